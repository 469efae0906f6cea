//! The objectives against slow literal oracles and finite differences, in f64, for K from 2 up; degenerate input.

use burn::tensor::{DType, Tensor, TensorData};
use qare::*;
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::evaluation::{Flex as F32, NdArray64 as F64, number as scalar, random_rows, tensor};
use crate::oracle::{self, Rows};

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found}, expected {expected}");
}

/// (images, views, dim)
const SIZES: [(usize, usize, usize); 8] =
    [(2, 2, 3), (5, 2, 4), (16, 2, 8), (2, 3, 5), (6, 3, 4), (4, 4, 16), (3, 8, 6), (9, 2, 64)];

#[test]
fn nt_xent_equals_the_oracle() {
    for (seed, (images, k, dim)) in SIZES.into_iter().enumerate() {
        let rows = random_rows(images * k, dim, seed as u64);
        for temperature in [0.07, 0.5, 2.0] {
            for similarity in [Similarity::Cosine, Similarity::FlooredCosine] {
                for reduction in [NtXentReduction::LogOfMean, NtXentReduction::MeanOfLogs] {
                    let loss = NtXentConfig::new()
                        .with_temperature(temperature)
                        .with_similarity(similarity)
                        .with_reduction(reduction)
                        .init()
                        .unwrap();
                    let found = scalar(loss.forward(tensor::<F64>(&rows), Views::new(k).unwrap()).unwrap());
                    let s =
                        if similarity == Similarity::Cosine { oracle::cosine(&rows) } else { oracle::floored(&rows) };
                    let expected = oracle::nt_xent(&s, k, temperature, reduction == NtXentReduction::MeanOfLogs);
                    assert_close(found, expected, &format!("{images} × {k} × {dim}, t {temperature}, {reduction:?}"));
                }
            }
        }
    }
}

#[test]
fn sparse_clr_equals_the_oracle() {
    for (seed, (images, k, dim)) in SIZES.into_iter().enumerate() {
        let rows = random_rows(images * k, dim, 100 + seed as u64);
        for margin in [0.0, 0.3, 1.0] {
            let loss = SparseClrConfig::new().with_margin(margin).init().unwrap();
            let found = scalar(loss.forward(tensor::<F64>(&rows), Views::new(k).unwrap()).unwrap());
            let expected = oracle::sparse_clr(&oracle::cosine(&rows), k, margin);
            assert_close(found, expected, &format!("{images} × {k} × {dim}, margin {margin}"));
        }
    }
}

#[test]
fn qare_equals_the_oracle() {
    for (seed, (images, k, dim)) in SIZES.into_iter().enumerate() {
        let rows = random_rows(images * k, dim, 200 + seed as u64);
        let found = scalar(Qare::default().forward(tensor::<F64>(&rows), Views::new(k).unwrap()).unwrap());
        assert_close(found, oracle::qare(&rows, k), &format!("{images} × {k} × {dim}"));
    }
}

#[test]
fn sparsemax_support_equals_sorting() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for width in [1, 2, 3, 10, 257] {
        for scale in [0.01, 0.3, 1.0, 20.0] {
            let rows: Rows = (0..20).map(|_| (0..width).map(|_| rng.random_range(-scale..scale)).collect()).collect();
            let support = sparsemax_support(tensor::<F64>(&rows)).into_data();
            let probabilities = sparsemax(tensor::<F64>(&rows)).into_data();
            let support: Vec<f64> = support.iter::<f64>().collect();
            let probabilities: Vec<f64> = probabilities.iter::<f64>().collect();
            for (i, row) in rows.iter().enumerate() {
                let (tau, size) = oracle::sparsemax_threshold(row);
                let found = &support[i * width..(i + 1) * width];
                assert_eq!(found.iter().sum::<f64>() as usize, size, "width {width}, scale {scale}");
                for (j, z) in row.iter().enumerate() {
                    assert_close(probabilities[i * width + j], (z - tau).max(0.0), "probability");
                }
            }
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let configs = [
        ContrastiveObjectiveConfig::simclr(),
        ContrastiveObjectiveConfig::sparseclr(),
        ContrastiveObjectiveConfig::simclr_qare(1.0, 0.5),
        ContrastiveObjectiveConfig::sparseclr_qare(0.7, 2.0),
        ContrastiveObjectiveConfig::sparseclr_qare(0.0, 1.0),
        ContrastiveObjectiveConfig::sparseclr_qare(0.5, 1.0)
            .with_qare(Some(QareConfig::new().with_similarity_floor(SimilarityFloor::None))),
        ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(
            NtXentConfig::new().with_temperature(0.2).with_reduction(NtXentReduction::MeanOfLogs),
        )),
        ContrastiveObjectiveConfig::new(PairwiseConfig::SparseClr(SparseClrConfig::new().with_margin(0.3))),
    ];
    for (images, k, dim) in [(4, 2, 3), (3, 3, 4), (4, 4, 2)] {
        let rows = random_rows(images * k, dim, 7);
        let views = Views::new(k).unwrap();
        for config in &configs {
            let objective = config.init().unwrap();
            let loss = |rows: &Rows| scalar(objective.forward(tensor::<F64>(rows), views).unwrap().loss);
            let z = tensor::<F64>(&rows).require_grad();
            let gradient = z.grad(&objective.forward(z.clone(), views).unwrap().loss.backward()).unwrap();
            let gradient: Vec<f64> = gradient.into_data().iter::<f64>().collect();
            for (index, found) in gradient.into_iter().enumerate() {
                let moved = |by: f64| {
                    let mut moved = rows.clone();
                    moved[index / dim][index % dim] += by;
                    loss(&moved)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((found - expected).abs() < 1e-6, "{config} at {index}: {found}, expected {expected}");
            }
        }
    }
}

#[test]
fn nt_xent_keeps_its_digits_in_f32_at_a_low_temperature() {
    let rows = random_rows(128, 64, 17);
    for temperature in [0.005, 0.02, 0.05, 0.07] {
        for reduction in [NtXentReduction::LogOfMean, NtXentReduction::MeanOfLogs] {
            let loss = NtXentConfig::new().with_temperature(temperature).with_reduction(reduction).init().unwrap();
            let found = scalar(loss.forward(tensor::<F32>(&rows), Views::PAIR).unwrap());
            let expected = scalar(loss.forward(tensor::<F64>(&rows), Views::PAIR).unwrap());
            assert!((found - expected).abs() < 1e-4 * expected.abs(), "t {temperature}: {found}, expected {expected}");
        }
    }
}

#[test]
fn eigendecomposition_reconstructs_and_is_sorted() {
    for size in [1, 2, 3, 7, 16, 65] {
        let rows = random_rows(size, size, size as u64);
        let symmetric: Rows = (0..size).map(|i| (0..size).map(|j| rows[i][j] + rows[j][i]).collect()).collect();
        let stack = tensor::<F64>(&symmetric).unsqueeze::<3>().repeat_dim(0, 2);
        let eigen = symmetric_eigen(stack.clone()).unwrap();
        assert!(eigen.values.iter().all(|l| l.is_sorted()));
        for (found, expected) in eigen.values[1].iter().zip(oracle::eigenvalues(symmetric)) {
            assert_close(*found, expected, "eigenvalue");
        }
        let values = TensorData::new(eigen.values.concat(), [2, size, 1]);
        let scaled = eigen.vectors.clone() * Tensor::from_data(values, (&Default::default(), DType::F64));
        let rebuilt = eigen.vectors.transpose().matmul(scaled);
        assert!(scalar((rebuilt - stack).abs().max()) < 1e-10 * size as f64);
    }
}

fn all_objectives() -> [ContrastiveObjective; 4] {
    [
        ContrastiveObjectiveConfig::simclr().init().unwrap(),
        ContrastiveObjectiveConfig::sparseclr().init().unwrap(),
        ContrastiveObjectiveConfig::simclr_qare(1.0, 1.0).init().unwrap(),
        ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0).init().unwrap(),
    ]
}

fn value_and_gradient(objective: &ContrastiveObjective, rows: &Rows, k: usize) -> (f64, Vec<f64>) {
    let z = tensor::<F32>(rows).require_grad();
    let loss = objective.forward(z.clone(), Views::new(k).unwrap()).unwrap().loss;
    let gradient = z.grad(&loss.backward()).unwrap().into_data().iter::<f64>().collect();
    (scalar(loss), gradient)
}

#[test]
fn degenerate_batches_have_finite_values_and_gradients() {
    let one = random_rows(1, 6, 1).remove(0);
    let mut zero_row = random_rows(24, 6, 2);
    zero_row[3] = vec![0.0; 6];
    let cases: [(&str, Rows, usize); 5] = [
        ("two images", random_rows(4, 6, 3), 2),
        ("identical views", random_rows(12, 6, 4).into_iter().flat_map(|row| [row.clone(), row]).collect(), 2),
        ("collapsed", vec![one; 24], 2),
        ("a zero row", zero_row.clone(), 2),
        ("a zero row of four views", zero_row, 4),
    ];
    for (name, rows, k) in cases {
        for objective in all_objectives() {
            let (value, gradient) = value_and_gradient(&objective, &rows, k);
            assert!(value.is_finite() && gradient.iter().all(|g| g.is_finite()), "{name}: {value}");
        }
    }
}

#[test]
fn degenerate_batches_have_the_values_that_the_formulas_give() {
    // All embeddings equal: s = 1 everywhere, so S = 2·11ᵀ has the one eigenvalue 2B.
    let images = 6;
    let collapsed = vec![vec![0.3, -0.4, 1.2]; 2 * images];
    let q = scalar(Qare::default().forward(tensor::<F32>(&collapsed), Views::PAIR).unwrap());
    let expected = (2 * images * 2 * images) as f64 / (images * (images - 1)) as f64;
    assert!((q - expected).abs() < 1e-4, "{q}, expected {expected}");
    let loss =
        scalar(NtXentConfig::of_reference().init().unwrap().forward(tensor::<F32>(&collapsed), Views::PAIR).unwrap());
    assert!((loss - ((2 * images - 1) as f64).ln()).abs() < 1e-5);

    // A zero row is as far from itself as from the others; the oracle knows no special case.
    let mut rows = random_rows(16, 5, 11);
    rows[6] = vec![0.0; 5];
    let found =
        scalar(NtXentConfig::of_reference().init().unwrap().forward(tensor::<F64>(&rows), Views::PAIR).unwrap());
    assert_close(found, oracle::nt_xent(&oracle::cosine(&rows), 2, 0.5, false), "a zero row");
    let found = scalar(Qare::default().forward(tensor::<F64>(&rows), Views::PAIR).unwrap());
    assert_close(found, oracle::qare(&rows, 2), "a zero row");
}

#[test]
fn impossible_batches_are_errors_that_say_why() {
    assert_eq!(Views::new(1), Err(ObjectiveError::TooFewViews { views: 1 }));
    for objective in all_objectives() {
        let error = |rows| objective.forward(tensor::<F32>(&random_rows(rows, 4, 1)), Views::PAIR).unwrap_err();
        assert_eq!(error(2), ObjectiveError::TooFewImages { images: 1 });
        assert!(error(2).to_string().contains("at least 2"));
        assert_eq!(error(7), ObjectiveError::RaggedViews { rows: 7, views: 2 });
    }
}

#[test]
fn numbers_that_are_none_are_errors_that_name_their_row() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in [0, 3, 7] {
            let mut rows = random_rows(8, 4, 5);
            rows[at][2] = bad;
            // A short row elsewhere does not hide it.
            rows[5][0] = 1e-30;
            let place = format!("row {at} of the embeddings");
            let set = format!("view set {} of 2", at % 2 + 1);
            let assert_named = |error: ObjectiveError| {
                assert!(matches!(error, ObjectiveError::NonFinite { .. }), "{error}");
                let text = error.to_string();
                assert!(text.contains(&place) && text.contains(&set) && text.contains("NaN or infinity"), "{text}");
            };
            assert_named(Qare::default().forward(tensor::<F32>(&rows), Views::PAIR).unwrap_err());
            for objective in all_objectives() {
                assert_named(objective.forward(tensor::<F32>(&rows), Views::PAIR).unwrap_err());
                assert_named(objective.forward(tensor::<F64>(&rows), Views::PAIR).unwrap_err());
                assert_named(objective.forward_generic(tensor::<F32>(&rows), Views::PAIR).unwrap_err());
                assert_named(objective.check(tensor::<F32>(&rows), Views::PAIR).unwrap_err());
            }
        }
    }
    let good = random_rows(8, 4, 5);
    all_objectives().iter().for_each(|objective| objective.check(tensor::<F32>(&good), Views::PAIR).unwrap());
}

#[test]
fn values_need_no_autodiff() {
    let rows = random_rows(12, 4, 9);
    for objective in all_objectives() {
        let plain = objective.forward(tensor::<burn_ndarray::NdArray<f64>>(&rows), Views::PAIR).unwrap().loss;
        let tracked = objective.forward(tensor::<F64>(&rows), Views::PAIR).unwrap().loss;
        assert_close(scalar(plain), scalar(tracked), "without autodiff");
    }
}
