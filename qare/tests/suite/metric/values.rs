//! Values and gradients: pytorch-metric-learning's, those of the oracle, and finite differences.

use burn::tensor::{DType, Element};
use qare::metric::*;

use super::cases::{batch, batches, evaluate, evaluate_own, losses_of};
use super::golden::{Tolerance, check};
use super::oracle::{self, Batch};
use crate::evaluation::{Flex, NdArray, NdArray64, distance, rounded, scaled};
use crate::oracle::Rows;

#[test]
fn pytorch_metric_learning_in_f64() {
    // Both round; the differences of nearly equal rows have a few digits less.
    check::<NdArray64>(DType::F64, &Tolerance { value: 1e-10, gradient: 1e-9, least: 1e-3 }, None);
}

#[test]
fn pytorch_metric_learning_in_f32() {
    let tolerance = Tolerance { value: 1e-5, gradient: 1e-4, least: 1e-3 };
    check::<Flex>(DType::F32, &tolerance, None);
    check::<NdArray>(DType::F32, &tolerance, None);
}

#[test]
fn values_equal_the_oracle() {
    for (at, batch) in batches().iter().enumerate() {
        for (name, config) in losses_of(batch) {
            let Some((found, _)) = evaluate_own::<NdArray64>(&config, batch) else { continue };
            let expected = oracle::value(&config, batch);
            assert!(
                (found - expected).abs() <= 1e-11 * expected.abs().max(1.0),
                "{name}, batch {at}: {found}, expected {expected}"
            );
        }
    }
}

/// Batches that do not fit the parts that distances and triplets are computed in.
#[test]
fn values_of_large_batches_equal_the_oracle() {
    let labels: Vec<i64> = (0..210).map(|row| (row * row) % 37).collect();
    let batch = batch(&labels, 300, 3);
    for triplets in [Triplets::All, Triplets::Hard, Triplets::SemiHard] {
        let config = MetricLossConfig::TripletMargin(TripletMarginConfig { margin: 0.1, triplets });
        let (found, gradients) = evaluate_own::<NdArray64>(&config, &batch).unwrap();
        let expected = oracle::value(&config, &batch);
        assert!((found - expected).abs() <= 1e-10 * expected, "{triplets:?}: {found}, expected {expected}");
        // A step along the gradient, in the last part as in the first.
        let slope: f64 = gradients[0].iter().flatten().map(|g| g * g).sum();
        let moved = |by: f64| {
            let mut moved = batch.clone();
            let entries = moved.rows.iter_mut().flatten().zip(gradients[0].iter().flatten());
            entries.for_each(|(x, g)| *x += by * g);
            oracle::value(&config, &moved)
        };
        // Small enough for no triplet to begin or cease to count: their number divides.
        let step = 1e-9 / slope.sqrt();
        let difference = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((difference - slope).abs() <= 1e-3 * slope, "{triplets:?}: {slope}, by differences {difference}");
    }
}

#[test]
fn gradients_equal_finite_differences() {
    const STEP: f64 = 1e-6;
    for (at, batch) in batches().into_iter().enumerate() {
        for (name, config) in losses_of(&batch) {
            let Some((_, gradients)) = evaluate_own::<NdArray64>(&config, &batch) else { continue };
            for (leaf, gradient) in gradients.iter().enumerate() {
                let most = gradient.iter().flatten().fold(1.0f64, |most, g| most.max(g.abs()));
                for (row, of_row) in gradient.iter().enumerate() {
                    for (column, found) in of_row.iter().enumerate() {
                        let shifted = |by: f64| {
                            let mut shifted = batch.clone();
                            leaf_of(&mut shifted, leaf)[row][column] += by;
                            oracle::value(&config, &shifted)
                        };
                        let difference = (shifted(STEP) - shifted(-STEP)) / (2.0 * STEP);
                        // The third derivative is at most a few (1/0.07)³ or 50³, times STEP² / 6; and rounding is 1e-15 / STEP.
                        assert!(
                            (found - difference).abs() <= 2e-6 * most,
                            "{name}, batch {at}, leaf {leaf}, row {row}: {found}, by differences {difference}"
                        );
                    }
                }
            }
        }
    }
}

/// The rows, and then the references or the proxies.
fn leaf_of(batch: &mut Batch, leaf: usize) -> &mut Rows {
    match (leaf, &mut batch.references) {
        (0, _) => &mut batch.rows,
        (_, Some((references, _))) => references,
        (_, None) => &mut batch.proxies,
    }
}

#[test]
fn the_order_of_rows_and_the_names_of_identities_do_not_matter() {
    let labels = [0, 1, 2, 0, 1, 2, 0, 3, 4, 4];
    let batch = batch(&labels, 5, 11);
    let order = [7, 2, 9, 0, 4, 8, 1, 3, 6, 5];
    let mut shuffled = batch.clone();
    shuffled.rows = order.iter().map(|row| batch.rows[*row].clone()).collect();
    shuffled.labels = order.iter().map(|row| labels[*row]).collect();
    let mut renamed = batch.clone();
    renamed.labels = labels.iter().map(|label| 1_000_000 - 77_777 * label * label).collect();
    for (name, config) in losses_of(&batch) {
        let (value, gradients) = evaluate_own::<NdArray64>(&config, &batch).unwrap();
        let (found, of_shuffled) = evaluate_own::<NdArray64>(&config, &shuffled).unwrap();
        assert!((found - value).abs() <= 1e-12 * value.abs().max(1.0), "{name}: {found}, {value}");
        let expected: Vec<f64> = order.iter().flat_map(|row| gradients[0][*row].clone()).collect();
        assert!(distance(&of_shuffled[0].concat(), &expected) <= 1e-10, "{name}");
        if gradients.len() == 1 {
            assert_eq!(evaluate_own::<NdArray64>(&config, &renamed).unwrap(), (value, gradients), "{name}");
        }
    }
}

/// A length has no effect on the value, and the gradient goes with one over it.
#[test]
fn rows_of_any_length_have_the_loss_of_their_directions() {
    let mut batch = batch(&[0, 1, 2, 0, 1, 2, 0, 3], 6, 12);
    batch.rows = rounded(&batch.rows);
    batch.proxies = rounded(&batch.proxies);
    let factor = |row: usize| [1.0, 2f64.powi(60), 2f64.powi(-13), 8.0][row % 4];
    let mut longer = batch.clone();
    longer.rows = scaled(&batch.rows, factor);
    longer.proxies = scaled(&batch.proxies, factor);
    for (name, config) in losses_of(&batch) {
        let (value, gradients) = evaluate_own::<Flex>(&config, &batch).unwrap();
        let (found, of_longer) = evaluate_own::<Flex>(&config, &longer).unwrap();
        assert!((found - value).abs() <= 1e-6 * value.abs().max(1e-3), "{name}: {found}, {value}");
        for (gradient, of_longer) in gradients.iter().zip(&of_longer) {
            let expected = scaled(gradient, |row| 1.0 / factor(row));
            for (found, expected) in of_longer.iter().zip(&expected) {
                let least = 1e-5 * gradient.iter().flatten().fold(0.0f64, |most, g| most.max(g.abs()));
                let size = expected.iter().copied().fold(0.0, f64::hypot);
                if size > 0.0 && distance(expected, &vec![0.0; expected.len()]) > least {
                    assert!(distance(found, expected) <= 1e-4, "{name}: {found:?}, {expected:?}");
                }
            }
        }
    }
}

/// Embeddings of f16 and bf16 have the loss of the same numbers in f32, and the gradient of it, rounded.
#[test]
fn half_precision_is_computed_in_f32() {
    let batch = batch(&[0, 1, 2, 0, 1, 2, 0, 3], 6, 13);
    for (dtype, rounding) in [(DType::F16, 1.0 / 2048.0), (DType::BF16, 1.0 / 256.0)] {
        let mut half = batch.clone();
        for rows in [&mut half.rows, &mut half.proxies] {
            let tensor = crate::evaluation::of_type::<Flex>(rows, dtype);
            let dim = rows[0].len();
            *rows = tensor.into_data().iter::<f64>().collect::<Vec<_>>().chunks(dim).map(<[f64]>::to_vec).collect();
        }
        for (name, config) in losses_of(&half) {
            let (expected, exact) = evaluate::<Flex>(&config, &half, f32::dtype()).unwrap();
            let (found, gradients) = evaluate::<Flex>(&config, &half, dtype).unwrap();
            assert_eq!(found, expected, "{name} in {dtype:?}");
            for (gradient, exact) in gradients.iter().zip(&exact) {
                for (found, exact) in gradient.iter().flatten().zip(exact.iter().flatten()) {
                    // The smallest number of f16 is 6e-8.
                    assert!(
                        (found - exact).abs() <= rounding * exact.abs() + 3e-8,
                        "{name} in {dtype:?}: {found}, {exact}"
                    );
                }
            }
        }
    }
}
