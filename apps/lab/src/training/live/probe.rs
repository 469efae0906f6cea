//! The linear probe after each epoch.

use burn::tensor::backend::Backend;

use crate::evaluation::features::Features;
use crate::evaluation::softmax_regression;
use crate::progress::ignore;
use crate::recipe::ProbeRecipe;

/// Number of passes over the bank.
const EPOCHS: usize = 10;
/// Learning rate of Adam on features of variance 1.
const LEARNING_RATE: f64 = 1e-2;
/// Number of rows in a batch.
const BATCH: usize = 256;

/// Fits a linear classifier to the features of the bank, and returns its accuracy on the queries in percent.
///
/// Both are divided by the standard deviations of the bank after its mean is subtracted. The classifier is fitted from the start each
/// time, so that a resumed run gives the same figure, and sees features only, so that nothing reaches the backbone.
pub fn probe_accuracy<B: Backend>(bank: &Features, queries: &Features, seed: u64, device: &B::Device) -> f64 {
    let (bank, queries) = standardized(bank, queries);
    let classes = bank.labels.iter().chain(&queries.labels).max().map_or(1, |most| usize::from(*most) + 1);
    let recipe =
        ProbeRecipe { epochs: EPOCHS, batch_size: BATCH, learning_rate: LEARNING_RATE, ..ProbeRecipe::default() };
    let classifier = softmax_regression::train::<B>(&bank, classes, &recipe, seed, device, &ignore);
    let logits = crate::evaluation::features::values(classifier.forward(queries.tensor::<B>(device)));
    let hits = logits.chunks_exact(classes).zip(&queries.labels).filter(|(row, label)| {
        let best = row.iter().enumerate().fold(0, |best, (class, value)| if *value > row[best] { class } else { best });
        best == usize::from(**label)
    });
    100.0 * hits.count() as f64 / queries.len() as f64
}

/// Subtracts the means of the bank, and divides by its standard deviations.
fn standardized(bank: &Features, queries: &Features) -> (Features, Features) {
    let (dim, count) = (bank.dim, bank.len() as f64);
    let mut means = vec![0.0; dim];
    let mut deviations = vec![0.0; dim];
    for row in bank.values.chunks_exact(dim) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += f64::from(*value) / count);
    }
    for row in bank.values.chunks_exact(dim) {
        for ((deviation, value), mean) in deviations.iter_mut().zip(row).zip(&means) {
            *deviation += (f64::from(*value) - mean).powi(2) / count;
        }
    }
    // A dimension that does not vary becomes 0.
    let factors: Vec<f64> =
        deviations.iter().map(|variance: &f64| if *variance > 1e-12 { 1.0 / variance.sqrt() } else { 0.0 }).collect();
    let of = |features: &Features| {
        let at =
            |(place, value): (usize, &f32)| ((f64::from(*value) - means[place % dim]) * factors[place % dim]) as f32;
        Features { values: features.values.iter().enumerate().map(at).collect(), ..features.clone() }
    };
    (of(bank), of(queries))
}

#[cfg(test)]
mod tests {
    use qare_data::{Draw, Purpose};

    use super::*;
    use crate::test_backend::{Plain, any_device};

    /// Features of three classes, of which a dimension each says the class, far from the origin and at a small scale.
    fn features(rows: usize, separation: f32, index: u64) -> Features {
        let mut draw = Draw::new(3, Purpose::HeldOut, 0, index, 0);
        let labels: Vec<u16> = (0..rows).map(|_| draw.below(3) as u16).collect();
        let value = |place: usize| {
            let own = place % 5 == usize::from(labels[place / 5]);
            4.0 + 1e-3 * (draw.bell() + if own { separation } else { 0.0 })
        };
        let values = (0..5 * rows).map(value).collect();
        Features { values, dim: 5, labels }
    }

    #[test]
    fn separable_classes_are_told_apart_and_others_are_not() {
        let accuracy = |separation| {
            let (bank, queries) = (features(6000, separation, 1), features(300, separation, 2));
            probe_accuracy::<Plain>(&bank, &queries, 1, &any_device())
        };
        // Eight standard deviations lie between two classes, so next to no row is on the wrong side of the best boundary.
        assert!(accuracy(8.0) > 99.0, "{}", accuracy(8.0));
        // A third is chance; the standard deviation of 300 queries is 2.7.
        assert!((accuracy(0.0) - 33.3).abs() < 5.0 * 2.7, "{}", accuracy(0.0));
        assert_eq!(accuracy(1.0), accuracy(1.0));
    }
}
