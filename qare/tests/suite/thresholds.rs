//! Sparsemax of rows of up to 262,144 entries that are nearly equal, and SparseCLR of as many embeddings that have nearly collapsed.

use std::collections::BTreeMap;

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor, TensorData};
use qare::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::evaluation::{Flex, Path, evaluate, random_rows};
use crate::oracle::{self, Rows};

/// Rows as they come about: alike to some degree, with entries apart from the rest, in clusters.
fn kinds(width: usize, seed: u64) -> Vec<(&'static str, Vec<f32>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |level: f64, spread: f64| -> Vec<f32> {
        (0..width).map(|_| (level + spread * rng.random_range(-1.0..1.0f64)) as f32).collect()
    };
    let mut kinds = vec![
        ("all equal", vec![0.999_f32; width]),
        ("within one step of single precision", draw(0.999, 1e-7)),
        ("within 1e-6", draw(0.999, 1e-6)),
        ("within 1e-4", draw(0.999, 1e-4)),
        ("within 1e-2", draw(0.9, 1e-2)),
        ("around zero", draw(0.0, 1e-5)),
        ("negative", draw(-0.7, 1e-4)),
        ("far apart", draw(0.0, 1.0)),
        ("large", draw(1e6, 1e3)),
    ];
    if width < 4 {
        return kinds;
    }
    let mut outlier = draw(0.5, 1e-6);
    outlier[width / 3] = 1.0;
    kinds.push(("one far above the rest", outlier));
    let mut positive = draw(0.999, 1e-4);
    positive[1] -= 1.0;
    kinds.push(("one far below the rest", positive));
    let mut clusters = draw(0.999, 1e-5);
    clusters.iter_mut().step_by(3).for_each(|x| *x -= 1e-4);
    clusters.iter_mut().step_by(7).for_each(|x| *x -= 0.5);
    kinds.push(("clusters", clusters));
    let mut hidden = draw(0.999, 1e-4);
    hidden[width - 1] = f32::NEG_INFINITY;
    kinds.push(("one that does not count", hidden));
    kinds
}

fn assert_sums_to_one<B: Backend>(width: usize) {
    for (name, row) in kinds(width, width as u64) {
        let z = Tensor::<B, 2>::from_data(TensorData::new(row.clone(), [1, width]), (&Default::default(), DType::F32));
        let numbers = |tensor: Tensor<B, 2>| tensor.into_data().iter::<f64>().collect::<Vec<f64>>();
        let probabilities = numbers(sparsemax(z.clone()));
        let support = numbers(sparsemax_support(z));
        let sum: f64 = probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-4, "{name}, {width}: the probabilities sum to {sum}");
        let exact: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
        let finite: Vec<f64> = exact.iter().copied().filter(|x| x.is_finite()).collect();
        let (tau, _) = oracle::sparsemax_threshold(&finite);
        let expected: Vec<f64> = exact.iter().map(|n| (n - tau).max(0.0)).collect();
        let off: f64 = probabilities.iter().zip(&expected).map(|(p, e)| (p - e).abs()).sum();
        assert!(off < 1e-4, "{name}, {width}: the probabilities are off by {off:.1e}");
        for ((p, inside), expected) in probabilities.iter().zip(&support).zip(&expected) {
            assert_eq!(*inside == 1.0, *p > 0.0, "{name}, {width}");
            // Nothing that counts is on the wrong side.
            assert!(
                (*expected > 0.0) == (*p > 0.0) || expected.abs().max(*p) < 1e-9,
                "{name}, {width}: {p} for {expected}"
            );
        }
    }
}

#[test]
fn probabilities_sum_to_one_up_to_262144_entries() {
    for width in [1, 2, 31, 512, 4096, 4097, 32_768, 100_003, 131_072, 262_144] {
        assert_sums_to_one::<burn_flex::Flex>(width);
        assert_sums_to_one::<burn_ndarray::NdArray>(width);
    }
}

#[test]
fn sparsemax_differentiates_as_the_formula() {
    let z = random_rows(3, 40, 2);
    let upstream = random_rows(3, 40, 3);
    let flat = |rows: &Rows| TensorData::new(rows.concat(), [3, 40]);
    let x = Tensor::<Flex, 2>::from_data(flat(&z), (&Default::default(), DType::F64)).require_grad();
    let weights = Tensor::<Flex, 2>::from_data(flat(&upstream), (&Default::default(), DType::F64));
    let gradient = x.grad(&(sparsemax(x.clone()) * weights).sum().backward()).unwrap();
    let value = |z: &Rows| -> f64 {
        z.iter()
            .zip(&upstream)
            .map(|(z, w)| {
                let (tau, _) = oracle::sparsemax_threshold(z);
                z.iter().zip(w).map(|(z, w)| (z - tau).max(0.0) * w).sum::<f64>()
            })
            .sum()
    };
    for (at, found) in gradient.into_data().iter::<f64>().enumerate() {
        let moved = |by: f64| {
            let mut moved = z.clone();
            moved[at / 40][at % 40] += by;
            value(&moved)
        };
        let expected = (moved(1e-6) - moved(-1e-6)) / 2e-6;
        assert!((found - expected).abs() < 1e-6, "{at}: {found} for {expected}");
    }
}

/// Images in as many groups as there are `centres`, all embeddings of a group alike: value and gradient (one row a group, times N)
/// from similarities of the centres and the size of the groups alone.
fn grouped(centres: &Rows, rows: usize, margin: f64) -> (f64, Rows) {
    let (groups, dim) = (centres.len(), centres[0].len());
    let size = (rows / groups) as f64;
    let s = oracle::cosine(centres);
    // Of each group: probabilities of the positive, of others of the group, of those of each other group.
    let mut total = 0.0;
    let mut probabilities = Vec::new();
    for (own, row) in s.iter().enumerate() {
        let mut entries: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
        let mut add = |n: f64, count: f64| {
            // In descending order.
            entries.entry(-(n * 1e15).round() as i64).or_insert((n, 0.0)).1 += count;
        };
        let positive = row[own] - margin;
        add(positive, 1.0);
        row.iter().enumerate().for_each(|(other, s)| add(*s, if other == own { size - 2.0 } else { size }));
        let (mut sum, mut count, mut tau) = (0.0, 0.0, f64::NAN);
        // τ by the first c groups in order, for the largest c whose last entry is above it.
        for (n, many) in entries.values() {
            if count > 0.0 && *n <= tau {
                break;
            }
            sum += n * many;
            count += many;
            tau = (sum - 1.0) / count;
        }
        let p = |n: f64| (n - tau).max(0.0);
        total += 0.5
            * entries.values().filter(|(n, _)| *n > tau).map(|(n, many)| many * (n * n - tau * tau)).sum::<f64>()
            - positive
            + 0.5;
        probabilities.push((p(positive), row.iter().map(|s| p(*s)).collect::<Vec<f64>>()));
    }
    let unit: Rows = centres
        .iter()
        .map(|z| {
            let norm = z.iter().map(|x| x * x).sum::<f64>().sqrt();
            z.iter().map(|x| x / norm).collect()
        })
        .collect();
    let gradient = (0..groups)
        .map(|own| {
            let norm = centres[own].iter().map(|x| x * x).sum::<f64>().sqrt();
            let mut sum = vec![0.0; dim];
            for other in (0..groups).filter(|other| *other != own) {
                let weight = size * (probabilities[own].1[other] + probabilities[other].1[own]);
                sum.iter_mut().zip(&unit[other]).for_each(|(sum, u)| *sum += weight * u);
            }
            // What is along the row itself has no part in the gradient.
            let along: f64 = sum.iter().zip(&unit[own]).map(|(a, b)| a * b).sum();
            sum.iter().zip(&unit[own]).map(|(sum, u)| (sum - along * u) / norm).collect()
        })
        .collect();
    (total / groups as f64, gradient)
}

fn assert_grouped(rows: usize, groups: usize, dim: usize, noise: f64) {
    let apart = random_rows(groups, dim, 1);
    let common = &random_rows(1, dim, 2)[0];
    let centres: Rows = apart
        .iter()
        .map(|own| own.iter().zip(common).map(|(x, c)| f64::from((c + noise * x) as f32)).collect())
        .collect();
    let batch: Rows = (0..rows).map(|row| centres[row / 2 % groups].clone()).collect();
    let objective = ContrastiveObjectiveConfig::sparseclr().init().unwrap();
    let start = std::time::Instant::now();
    let (value, gradient) = evaluate::<Flex>(&objective, &batch, 2, DType::F32, Path::Chosen).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let (expected, slope) = grouped(&centres, rows, 1.0);
    let gradient: Vec<f64> = gradient[..2 * groups * dim]
        .chunks_exact(2 * dim)
        .flat_map(|pair| pair[..dim].to_vec())
        .map(|g| g * rows as f64)
        .collect();
    // Relative to what there is before the part along the row is taken away: each row has probabilities of 1 on either side.
    let norm = centres.iter().flatten().map(|x| x * x).sum::<f64>().sqrt() / (groups as f64).sqrt();
    let off = gradient.iter().zip(slope.concat()).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let error = off / (groups as f64).sqrt() * norm / 2.0;
    println!(
        "{rows} rows in {groups} groups, noise {noise:e}: {value} for {expected}, gradient off by {error:.1e}, {seconds:.1} s"
    );
    assert!((value - expected).abs() < 2e-5 * expected.abs().max(0.1), "{rows}, {noise:e}: {value} for {expected}");
    assert!(error < 1e-4, "{rows}, {noise:e}: the gradient is off by {error:.1e}");
}

#[test]
fn embeddings_that_have_nearly_collapsed() {
    for noise in [0.3, 0.05, 0.01] {
        assert_grouped(512, 8, 16, noise);
        assert_grouped(6_144, 32, 16, noise);
    }
}

/// Minutes on a few cores: `cargo test --release -p qare --test suite -- --ignored --nocapture large_batches`.
#[test]
#[ignore = "takes minutes"]
fn large_batches_that_have_nearly_collapsed() {
    for rows in [32_768, 131_072, 262_144] {
        assert_grouped(rows, 64, 16, 0.05);
    }
}
