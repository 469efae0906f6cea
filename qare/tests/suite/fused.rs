//! The path that CPU backends take against the tensor operations of all others, in f32 and f64.

use burn::tensor::DType;
use burn::tensor::backend::AutodiffBackend;
use qare::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evaluation::{Flex, NdArray, NdArray64, Outcome, Path, distance, evaluate, number, of_type, rounded};
use crate::oracle::Rows;

/// Rows `[K·B, dim]` whose views of an image differ by `noise`, around `clusters` centres if there are any.
fn rows(images: usize, k: usize, dim: usize, noise: f64, clusters: usize, seed: u64) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = move || (0..3).map(|_| rng.random_range(-1.0..1.0)).sum::<f64>();
    let centres: Vec<Vec<f64>> = (0..clusters.max(1)).map(|_| (0..dim).map(|_| draw()).collect()).collect();
    let mut rows = Vec::new();
    for image in 0..images {
        let own: Vec<f64> = match clusters {
            0 => (0..dim).map(|_| draw()).collect(),
            _ => centres[image % clusters].clone(),
        };
        for _ in 0..k {
            rows.push(own.iter().map(|x| x + noise * draw()).collect());
        }
    }
    rows
}

/// In f32, by this path.
fn single<B: AutodiffBackend>(objective: &ContrastiveObjective, rows: &Rows, k: usize, path: Path) -> Outcome {
    evaluate::<B>(objective, rows, k, DType::F32, path).unwrap()
}

/// In f64, of the rows as they are in f32.
fn double(objective: &ContrastiveObjective, rows: &Rows, k: usize) -> Outcome {
    evaluate::<NdArray64>(objective, &rounded(rows), k, DType::F64, Path::Tensors).unwrap()
}

/// The value to 2e-5, and the gradient to 2e-4 of its norm.
fn assert_alike(config: &ContrastiveObjectiveConfig, rows: &Rows, k: usize, case: &str) {
    let objective = config.init().unwrap();
    let (value, gradient) = single::<Flex>(&objective, rows, k, Path::Chosen);
    let (expected, expected_gradient) = double(&objective, rows, k);
    let error = (value - expected).abs() / expected.abs().max(0.1);
    assert!(error < 2e-5, "{case}, {config}: {value}, expected {expected}");
    let error = distance(&gradient, &expected_gradient);
    assert!(error < 2e-4, "{case}, {config}: the gradient is off by {error:.1e}");
    // The same code on both CPU backends, so the same bits: tensor operations sum in orders of their own.
    let other = single::<NdArray>(&objective, rows, k, Path::Chosen);
    assert_eq!((value, gradient), other, "{case}, {config}: flex and ndarray");
}

fn configs() -> Vec<ContrastiveObjectiveConfig> {
    let nt_xent = |temperature, similarity, reduction| {
        ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(
            NtXentConfig::new().with_temperature(temperature).with_similarity(similarity).with_reduction(reduction),
        ))
    };
    let sparse = |margin, similarity| {
        ContrastiveObjectiveConfig::new(PairwiseConfig::SparseClr(
            SparseClrConfig::new().with_margin(margin).with_similarity(similarity),
        ))
    };
    let mut configs = vec![
        ContrastiveObjectiveConfig::simclr_qare(1.0, 0.5),
        ContrastiveObjectiveConfig::sparseclr_qare(0.7, 2.0),
        ContrastiveObjectiveConfig::sparseclr_qare(0.0, 1.0),
    ];
    for similarity in [Similarity::Cosine, Similarity::FlooredCosine] {
        for reduction in [NtXentReduction::LogOfMean, NtXentReduction::MeanOfLogs] {
            configs.extend([0.1, 0.5, 2.0].map(|temperature| nt_xent(temperature, similarity, reduction)));
        }
        configs.extend([0.0, 0.3, 1.0].map(|margin| sparse(margin, similarity)));
    }
    configs.extend(with_terms_of_norms());
    configs
}

/// The terms of norms of floored similarities, which the passes of the pairwise term compute along.
fn with_terms_of_norms() -> Vec<ContrastiveObjectiveConfig> {
    let of_cosines = ContrastiveObjectiveConfig::simclr().with_alpha(0.4).with_beta(-2.0);
    let configs = [
        ContrastiveObjectiveConfig::simclr_qare(1.0, 0.5),
        ContrastiveObjectiveConfig::sparseclr_qare(0.7, 2.0),
        ContrastiveObjectiveConfig::sparseclr_qare(1.0, 0.0),
        ContrastiveObjectiveConfig::sparseclr_qare(-1.5, 1.0),
        of_cosines,
    ];
    let with = |set_term| {
        let qare = QareConfig::new().with_set_term(set_term);
        configs.clone().map(|config| config.with_qare(Some(qare.clone())))
    };
    [SetTerm::Frobenius, SetTerm::Centred].into_iter().flat_map(with).collect()
}

fn frobenius() -> QareConfig {
    QareConfig::new().with_set_term(SetTerm::Frobenius)
}

/// Computed along with a pairwise term of no weight, and by itself.
#[test]
fn the_frobenius_term_along_with_a_pairwise_term_is_that_by_itself() {
    for (seed, (images, k, dim)) in
        [(2, 2, 3), (17, 2, 64), (33, 3, 16), (40, 8, 5), (130, 2, 64)].into_iter().enumerate()
    {
        let rows = rows(images, k, dim, 0.5, 3, seed as u64);
        for config in
            [ContrastiveObjectiveConfig::simclr_qare(0.0, 1.0), ContrastiveObjectiveConfig::sparseclr_qare(0.0, 1.0)]
        {
            let objective = config.with_qare(Some(frobenius())).init().unwrap();
            let (value, gradient) = single::<Flex>(&objective, &rows, k, Path::Chosen);
            let z = of_type::<Flex>(&rows, DType::F32).require_grad();
            let alone = frobenius().init().forward(z.clone(), Views::new(k).unwrap()).unwrap();
            let of_alone = z.grad(&alone.backward()).unwrap().into_data().iter::<f64>().collect::<Vec<f64>>();
            let case = format!("{images} × {k} × {dim}");
            // Sums in another order.
            assert!((value - number(alone)).abs() < 1e-6 * value, "{case}: the value is {value}");
            let error = distance(&gradient, &of_alone);
            assert!(error < 1e-5, "{case}: the gradients differ by {error:.1e}");
        }
    }
}

#[test]
fn the_fused_path_equals_tensor_operations() {
    // Around the sizes of blocks, panels and tasks.
    let sizes = [
        (2, 2, 3),
        (3, 3, 5),
        (16, 2, 8),
        (17, 2, 64),
        (33, 2, 16),
        (33, 4, 8),
        (66, 2, 130),
        (70, 3, 64),
        (130, 2, 64),
    ];
    for (seed, (images, k, dim)) in sizes.into_iter().enumerate() {
        for (noise, clusters) in [(1.0, 0), (0.1, 0), (0.1, 4)] {
            let rows = rows(images, k, dim, noise, clusters, seed as u64);
            let case = format!("{images} × {k} × {dim}, noise {noise}, {clusters} clusters");
            for config in configs() {
                assert_alike(&config, &rows, k, &case);
            }
        }
    }
}

#[test]
fn a_large_batch_equals_tensor_operations() {
    for (noise, clusters) in [(0.5, 0), (0.3, 10)] {
        let rows = rows(400, 2, 64, noise, clusters, 5);
        for config in
            [ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0), ContrastiveObjectiveConfig::simclr_qare(0.0, 1.0)]
        {
            assert_alike(&config, &rows, 2, &format!("400 images, {clusters} clusters"));
        }
    }
}

/// Where a tensor goes, by its bits: by tensor operations in f64 and by the host's code in f32, whatever the backend's own float is.
#[test]
fn the_type_of_the_tensor_chooses_the_path() {
    let rows = rounded(&rows(33, 2, 24, 0.5, 0, 4));
    for config in configs() {
        let objective = config.init().unwrap();
        let of = |dtype, path| {
            let one = evaluate::<NdArray>(&objective, &rows, 2, dtype, path).unwrap();
            assert_eq!(one, evaluate::<NdArray64>(&objective, &rows, 2, dtype, path).unwrap(), "{config}, {dtype:?}");
            one
        };
        assert_eq!(
            of(DType::F64, Path::Chosen),
            of(DType::F64, Path::Tensors),
            "{config}: f64 is for tensor operations"
        );
        let host = of(DType::F32, Path::Chosen);
        assert_ne!(host.1, of(DType::F32, Path::Tensors).1, "{config}: f32 is for the host");
        assert_eq!(
            host,
            single::<Flex>(&objective, &rows, 2, Path::Chosen),
            "{config}: there is one code for the host"
        );
    }
}

#[test]
fn exponentials_of_any_range_equal_tensor_operations() {
    // One group of views is close together and the rest far apart: no exponential serves all rows.
    let mut rows = rows(40, 2, 16, 0.7, 0, 3);
    for row in 0..6 {
        let first = rows[0].clone();
        rows[row].iter_mut().zip(first).for_each(|(x, y)| *x = y + 1e-3 * *x);
    }
    for reduction in [NtXentReduction::LogOfMean, NtXentReduction::MeanOfLogs] {
        for (temperature, tolerance) in [(0.01, 1e-4), (0.003, 5e-4)] {
            let config = NtXentConfig::new().with_temperature(temperature).with_reduction(reduction);
            let objective = ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(config)).init().unwrap();
            let (expected, expected_gradient) = double(&objective, &rows, 2);
            for path in [Path::Chosen, Path::Tensors] {
                let (value, gradient) = single::<Flex>(&objective, &rows, 2, path);
                assert!((value - expected).abs() < tolerance * expected.abs(), "{value}, expected {expected}");
                // An exponent is off by as much as a similarity, a few times 6e-8, over the temperature; so is an exponential.
                let error = distance(&gradient, &expected_gradient);
                assert!(error < 1e-6 / temperature, "{temperature}, {path:?}: off by {error:.1e}");
            }
        }
    }
}

#[test]
fn zero_rows_go_the_way_of_tensor_operations() {
    for config in [ContrastiveObjectiveConfig::simclr(), ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0)] {
        let objective = config.init().unwrap();
        let mut rows = rows(6, 2, 5, 0.5, 0, 1);
        rows[2].fill(0.0);
        let chosen = single::<Flex>(&objective, &rows, 2, Path::Chosen);
        assert_eq!(chosen, single::<Flex>(&objective, &rows, 2, Path::Tensors));
        assert!(chosen.0.is_finite() && chosen.1.iter().all(|g| g.is_finite()));
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let rows = rows(150, 2, 32, 0.4, 0, 9);
    for config in
        [ContrastiveObjectiveConfig::simclr_qare(1.0, 1.0), ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0)]
    {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| single::<Flex>(&config.init().unwrap(), &rows, 2, Path::Chosen))
        };
        let one = with(1);
        assert_eq!(one, with(2));
        assert_eq!(one, with(5));
    }
}
