//! The path that CPU backends take against the tensor operations of all others, in f32 and f64.

use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;
use qare::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Flex = Autodiff<burn_flex::Flex>;

/// Rows `[K·B, dim]` whose views of an image differ by `noise`, around `clusters` centres if there are any.
fn rows(images: usize, k: usize, dim: usize, noise: f64, clusters: usize, seed: u64) -> Vec<f64> {
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
            rows.extend(own.iter().map(|x| x + noise * draw()));
        }
    }
    rows
}

/// Value and gradient, through `forward` or through `forward_generic`.
fn evaluate<B: AutodiffBackend>(
    objective: &ContrastiveObjective,
    rows: &[f64],
    k: usize,
    dim: usize,
    generic: bool,
) -> (f64, Vec<f64>) {
    let data = TensorData::new(rows.to_vec(), [rows.len() / dim, dim]);
    let z = Tensor::<B, 2>::from_data(data, &Default::default()).require_grad();
    let views = Views::new(k).unwrap();
    let output = match generic {
        true => objective.forward_generic(z.clone(), views),
        false => objective.forward(z.clone(), views),
    };
    let loss = output.unwrap().loss;
    let gradient = z.grad(&loss.backward()).unwrap().into_data().iter::<f64>().collect();
    (loss.into_data().iter::<f64>().next().unwrap(), gradient)
}

/// ‖a − b‖ / ‖b‖.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-30)
}

fn assert_alike<B: AutodiffBackend>(
    config: &ContrastiveObjectiveConfig,
    rows: &[f64],
    k: usize,
    dim: usize,
    case: &str,
) {
    let objective = config.init();
    let (value, gradient) = evaluate::<B>(&objective, rows, k, dim, false);
    let (expected, expected_gradient) = evaluate::<Autodiff<NdArray<f64>>>(&objective, rows, k, dim, true);
    let error = (value - expected).abs() / expected.abs().max(0.1);
    assert!(error < 2e-5, "{case}, {config}: {value}, expected {expected}");
    let error = distance(&gradient, &expected_gradient);
    // Where the loss has all but vanished, its gradient has few digits in f32, however it is computed.
    let unavoidable = || 2.0 * distance(&evaluate::<B>(&objective, rows, k, dim, true).1, &expected_gradient);
    assert!(error < 2e-4 || error < unavoidable(), "{case}, {config}: the gradient is off by {error:.1e}");
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
    configs
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
                assert_alike::<Flex>(&config, &rows, k, dim, &case);
                assert_alike::<Autodiff<NdArray>>(&config, &rows, k, dim, &case);
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
            assert_alike::<Flex>(&config, &rows, 2, 64, &format!("400 images, {clusters} clusters"));
        }
    }
}

#[test]
fn exponentials_of_any_range_equal_tensor_operations() {
    // One group of views is close together and the rest far apart: no exponential serves all rows.
    let mut rows = rows(40, 2, 16, 0.7, 0, 3);
    for row in 0..6 {
        let first = rows[..16].to_vec();
        rows[row * 16..][..16].iter_mut().zip(first).for_each(|(x, y)| *x = y + 1e-3 * *x);
    }
    for reduction in [NtXentReduction::LogOfMean, NtXentReduction::MeanOfLogs] {
        let config = NtXentConfig::new().with_temperature(0.01).with_reduction(reduction);
        let objective = ContrastiveObjectiveConfig::new(PairwiseConfig::NtXent(config)).init();
        let (value, gradient) = evaluate::<Flex>(&objective, &rows, 2, 16, false);
        let (expected, expected_gradient) = evaluate::<Autodiff<NdArray<f64>>>(&objective, &rows, 2, 16, true);
        assert!((value - expected).abs() < 1e-3 * expected.abs(), "{value}, expected {expected}");
        assert!(distance(&gradient, &expected_gradient) < 1e-2);
    }
}

#[test]
fn zero_rows_and_numbers_that_are_none_go_the_way_of_tensor_operations() {
    for config in [ContrastiveObjectiveConfig::simclr(), ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0)] {
        let objective = config.init();
        let mut rows = rows(6, 2, 5, 0.5, 0, 1);
        rows[10..15].fill(0.0);
        let fused = evaluate::<Flex>(&objective, &rows, 2, 5, false);
        assert_eq!(fused, evaluate::<Flex>(&objective, &rows, 2, 5, true));
        assert!(fused.0.is_finite());
    }
    let mut rows = rows(6, 2, 5, 0.5, 0, 1);
    rows[7] = f64::NAN;
    assert!(evaluate::<Flex>(&ContrastiveObjectiveConfig::simclr().init(), &rows, 2, 5, false).0.is_nan());
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let rows = rows(150, 2, 32, 0.4, 0, 9);
    for config in
        [ContrastiveObjectiveConfig::simclr_qare(1.0, 1.0), ContrastiveObjectiveConfig::sparseclr_qare(1.0, 1.0)]
    {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate::<Flex>(&config.init(), &rows, 2, 32, false))
        };
        let one = with(1);
        assert_eq!(one, with(2));
        assert_eq!(one, with(5));
    }
}
