//! The set term without a floor: by Gram matrices of embedding dimensions, as by those of images.

use burn::backend::Autodiff;
use qare::{Qare, QareConfig, SimilarityFloor, Views};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evaluation::{NdArray64 as F64, number, tensor};
use crate::oracle::{self, Rows};

fn floorless() -> Qare {
    QareConfig::new().with_similarity_floor(SimilarityFloor::None).init()
}

/// (images, views, dimensions): fewer, as many and more images than dimensions.
const SIZES: [(usize, usize, usize); 7] =
    [(2, 2, 7), (5, 3, 4), (6, 2, 4), (6, 2, 5), (30, 2, 3), (17, 4, 6), (12, 2, 1)];

fn rows(images: usize, views: usize, dim: usize) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(images as u64);
    (0..images * views).map(|_| (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()).collect()
}

#[test]
fn values_are_those_of_the_spectra_of_all_similarities() {
    for (images, k, dim) in SIZES {
        let rows = rows(images, k, dim);
        let found = number(floorless().forward(tensor::<F64>(&rows), Views::new(k).unwrap()).unwrap());
        let expected = oracle::qare_of(&rows, k, oracle::cosine);
        assert!((found - expected).abs() < 1e-9 * expected, "{images} × {k} × {dim}: {found}, expected {expected}");
    }
}

/// The same similarities, floored far below the least of them: the way by matrices of images, with its own gradient.
#[test]
fn gradients_are_those_of_the_large_matrices() {
    for (images, k, dim) in SIZES {
        let rows = rows(images, k, dim);
        // A leaf for each pass: another thread's pass may drop the graph of a leaf that has been through one (Burn 0.21).
        let z = tensor::<F64>(&rows).require_grad();
        let sets = z.clone().reshape([images, k, dim]).swap_dims(0, 1);
        let unit = sets.clone() / (sets.clone() * sets).sum_dim(2).sqrt();
        let similarities = unit.clone().matmul(unit.transpose());
        let large = Qare::default().forward_similarities(similarities).unwrap();
        let expected = z.grad(&large.backward()).unwrap().into_data();

        let z = z.detach().require_grad();
        let small = floorless().forward(z.clone(), Views::new(k).unwrap()).unwrap();
        let found = z.grad(&small.backward()).unwrap().into_data();
        for (found, expected) in found.iter::<f64>().zip(expected.iter::<f64>()) {
            assert!((found - expected).abs() < 1e-9, "{images} × {k} × {dim}: {found}, expected {expected}");
        }
    }
}

#[test]
fn where_all_similarities_are_positive_the_floor_changes_nothing() {
    let rows: Rows = rows(9, 2, 5).into_iter().map(|row| row.into_iter().map(f64::abs).collect()).collect();
    let value = |qare: Qare| number(qare.forward(tensor::<F64>(&rows), Views::PAIR).unwrap());
    assert!((value(floorless()) - value(Qare::default())).abs() < 1e-10);
}

/// 65,536 images are decomposed by 65 × 65 matrices: with matrices of images this would need 32 GiB and years of a core.
#[test]
fn a_batch_of_65536_images() {
    type F32 = Autodiff<burn_flex::Flex>;
    let z = burn::tensor::Tensor::<F32, 2>::random(
        [2 << 16, 64],
        burn::tensor::Distribution::Normal(0.0, 1.0),
        &Default::default(),
    )
    .require_grad();
    let value = floorless().forward(z.clone(), Views::PAIR).unwrap();
    let gradient = z.grad(&value.backward()).unwrap();
    let value = value.into_data().iter::<f64>().next().unwrap();
    // Of B isotropic unit rows, S has the eigenvalue B once and about B/D D times: q → 1 + 1/D.
    assert!((value - (1.0 + 1.0 / 64.0)).abs() < 1e-3, "{value}");
    assert!(gradient.into_data().iter::<f64>().all(f64::is_finite));
}

#[test]
fn numbers_that_are_none_are_an_error() {
    let mut rows = rows(20, 2, 3);
    rows[5][1] = f64::NAN;
    let error = floorless().forward(tensor::<F64>(&rows), Views::PAIR).unwrap_err().to_string();
    assert!(error.contains("NaN or infinity"), "{error}");
}
