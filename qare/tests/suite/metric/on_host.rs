//! Losses of distances in the loops of CPU backends against the tensor operations of all others, in f32 and f64.

use qare::metric::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cases::{batch, evaluate_own, losses_of};
use super::oracle::Batch;
use crate::evaluation::{Flex, NdArray, NdArray64, distance, random_rows, rounded};
use crate::oracle::Rows;

/// The losses of distances, with other margins too.
fn of_distances(batch: &Batch) -> impl Iterator<Item = (&'static str, MetricLossConfig)> {
    use MetricLossConfig as Of;
    losses_of(batch).into_iter().filter(|(_, config)| matches!(config, Of::TripletMargin(_) | Of::Contrastive(_)))
}

/// Batches of other sizes than blocks of rows and lanes have, some with references; some rows are all but alike.
fn large_batches(seed: u64) -> Vec<Batch> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut labels =
        |count: usize, identities: i64| -> Vec<i64> { (0..count).map(|_| rng.random_range(0..identities)).collect() };
    let sizes = [(33, 3, 2), (64, 64, 16), (97, 70, 4), (130, 31, 60)];
    let mut batches: Vec<Batch> =
        sizes.iter().map(|(count, dim, identities)| batch(&labels(*count, *identities), *dim, seed)).collect();
    let mut near = batch(&labels(70, 9), 40, 100 + seed);
    let centre = random_rows(1, 40, 200 + seed);
    near.rows.iter_mut().for_each(|row| row.iter_mut().zip(&centre[0]).for_each(|(x, c)| *x = c + 0.02 * *x));
    batches.push(near);
    for (count, of_references) in [(40, 75), (75, 40)] {
        let mut with_references = batch(&labels(count, 8), 48, 300 + seed);
        with_references.references =
            Some((rounded(&random_rows(of_references, 48, 400 + seed)), labels(of_references, 8)));
        batches.push(with_references);
    }
    for batch in &mut batches {
        batch.rows = rounded(&batch.rows);
    }
    batches
}

/// Whether rounding in f32 may decide what counts, of which the loss is a mean.
fn is_borderline(config: &MetricLossConfig, batch: &Batch) -> bool {
    const ROUNDING: f64 = 5e-7;
    let unit = |row: &Vec<f64>| -> Vec<f64> {
        let length = row.iter().copied().fold(0.0, f64::hypot);
        row.iter().map(|x| x / length).collect()
    };
    let rows: Rows = batch.rows.iter().map(unit).collect();
    let (others, labels) = match &batch.references {
        Some((references, labels)) => (references.iter().map(unit).collect(), labels),
        None => (rows.clone(), &batch.labels),
    };
    rows.iter().zip(&batch.labels).enumerate().any(|(i, (row, label))| {
        let of = |same: bool| -> Vec<f64> {
            let counts = |j: &usize| (labels[*j] == *label) == same && (batch.references.is_some() || i != *j);
            let d = |j: usize| row.iter().zip(&others[j]).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt();
            (0..others.len()).filter(counts).map(d).collect()
        };
        let (positives, negatives) = (of(true), of(false));
        match config {
            MetricLossConfig::Contrastive(config) => {
                positives.iter().any(|d| (d - config.pos_margin).abs() < ROUNDING)
                    || negatives.iter().any(|d| (d - config.neg_margin).abs() < ROUNDING)
            }
            MetricLossConfig::TripletMargin(config) => positives.iter().any(|p| {
                negatives.iter().any(|n| {
                    let gap = p - n;
                    (gap + config.margin).abs() < ROUNDING || (config.triplets != Triplets::All && gap.abs() < ROUNDING)
                })
            }),
            _ => false,
        }
    })
}

#[test]
fn the_loops_of_the_host_equal_tensor_operations() {
    let (mut borderline, mut count) = (0, 0);
    for seed in 0..8 {
        for (at, batch) in large_batches(seed).iter().enumerate() {
            for (name, config) in of_distances(batch) {
                // Of 20 seeds, the largest errors were 1.4e-7 and 1.4e-6, and 1.5e-4 and 2e-3 where rounding decides what counts.
                let is_borderline = is_borderline(&config, batch);
                let (of_value, of_gradient) = if is_borderline { (1e-3, 1e-2) } else { (1e-6, 1e-5) };
                (borderline, count) = (borderline + usize::from(is_borderline), count + 1);
                let (expected, exact) = evaluate_own::<NdArray64>(&config, batch).unwrap();
                for found in [evaluate_own::<Flex>(&config, batch), evaluate_own::<NdArray>(&config, batch)] {
                    let (value, gradients) = found.unwrap();
                    let error = (value - expected).abs() / expected;
                    assert!(error < of_value, "{name}, seed {seed}, batch {at}: {value}, expected {expected}");
                    assert_eq!(gradients.len(), exact.len());
                    for (gradient, exact) in gradients.iter().zip(&exact) {
                        let error = distance(&gradient.concat(), &exact.concat());
                        assert!(
                            error < of_gradient,
                            "{name}, seed {seed}, batch {at}: the gradient is off by {error:.1e}"
                        );
                    }
                }
            }
        }
    }
    assert!(2 * borderline < count, "{borderline} of {count} tell little");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for batch in large_batches(50) {
        for (name, config) in of_distances(&batch) {
            let with = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| evaluate_own::<Flex>(&config, &batch).unwrap())
            };
            let one = with(1);
            assert_eq!(one, with(2), "{name}");
            assert_eq!(one, with(5), "{name}");
        }
    }
}
