//! The linear probe's classifier: softmax regression on frozen features.
//!
//! With p = softmax(W·x + b) and y the one-hot class, the gradient of the mean cross entropy of a batch is
//! ∂W = mean (p − y)·xᵀ and ∂b = mean (p − y). The gradient is written out, so no autodiff graph is built. There are two
//! implementations, equal up to rounding: tensor operations on any backend, and loops over `f32` slices on the host.

mod host;
mod tensors;

use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use qare_data::{Draw, Purpose};
use qare_models::{LinearClassifier, LinearClassifierConfig, computes_on_host};

use crate::evaluation::features::Features;
use crate::progress::{OnProgress, Progress, Work};
use crate::recipe::ProbeRecipe;

/// Up to this number of weights, loops on one thread are faster than tensor operations, whose call overhead dominates.
const FEW_WEIGHTS: usize = 12 * 1024;

/// The training state of a classifier: weights and moments of Adam.
trait Trainer<B: Backend> {
    /// Takes one step of Adam for each `batch` of rows, in the given order; the last batch may be smaller. Returns the mean cross
    /// entropy of the last batch.
    fn epoch(&mut self, order: &[usize], batch: usize, rate: f64) -> f64;

    /// Returns the weights `[classes, F]` and the bias `[classes]`.
    fn into_weights(self: Box<Self>) -> (Tensor<B, 2>, Tensor<B, 1>);
}

/// Trains a Linear(F, classes) with cross entropy and Adam.
///
/// The initial weights and the order of the rows in each epoch are a function of the seed. If the training diverges, the weights
/// contain NaN or infinity.
pub fn train<B: Backend>(
    features: &Features,
    classes: usize,
    recipe: &ProbeRecipe,
    seed: u64,
    device: &B::Device,
    on_progress: OnProgress,
) -> LinearClassifier<B> {
    let initial = LinearClassifierConfig::new(features.dim, classes).init::<B>(seed, device);
    let trainer: Box<dyn Trainer<B>> = if computes_on_host::<B>(device) && features.dim * classes <= FEW_WEIGHTS {
        Box::new(host::HostTrainer::new(features, &initial))
    } else {
        Box::new(tensors::TensorTrainer::new(features, &initial))
    };
    fit(trainer, features.len(), recipe, seed, on_progress).0
}

/// Trains for all epochs, and returns the classifier and the loss of the last batch.
fn fit<'a, B: Backend>(
    mut trainer: Box<dyn Trainer<B> + 'a>,
    rows: usize,
    recipe: &ProbeRecipe,
    seed: u64,
    on_progress: OnProgress,
) -> (LinearClassifier<B>, f64) {
    let mut loss = f64::NAN;
    for epoch in 1..=recipe.epochs {
        let order = Draw::new(seed, Purpose::Probe, epoch as u64, 0, 0).permutation(rows);
        loss = trainer.epoch(&order, recipe.batch_size, recipe.learning_rate);
        let (total, figure) = (recipe.epochs, format!("loss {loss:.4}"));
        on_progress(Progress { work: Work::ProbeEpochs, done: epoch, total, figure: &figure });
    }
    let (weight, bias) = trainer.into_weights();
    (LinearClassifier { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) }, loss)
}

/// Copies values from the host into a tensor.
fn tensor<B: Backend, const D: usize>(values: Vec<f32>, shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use burn::module::AutodiffModule;
    use burn::nn::loss::CrossEntropyLossConfig;
    use burn::optim::{GradientsParams, Optimizer};
    use burn::tensor::Int;

    use super::*;
    use crate::evaluation::features::values;
    use crate::progress::ignore;
    use crate::test_backend::{Plain, Training, any_device};
    use crate::training::optimizer::adam;

    /// A trained classifier and the loss of its last batch.
    type Fitted = (LinearClassifier<Plain>, f64);

    fn features(rows: usize, dim: usize, classes: usize) -> Features {
        let mut draw = Draw::new(5, Purpose::View, 0, dim as u64, classes as u64);
        let labels: Vec<u16> = (0..rows).map(|_| draw.below(classes) as u16).collect();
        let value = |place: usize| draw.bell() + if place % dim == labels[place / dim] as usize { 1.0 } else { 0.0 };
        let values = (0..rows * dim).map(value).collect();
        Features { values, dim, labels }
    }

    /// The results of both implementations, by name.
    fn implementations(features: &Features, classes: usize, recipe: &ProbeRecipe) -> [(&'static str, Fitted); 2] {
        let initial = || LinearClassifierConfig::new(features.dim, classes).init::<Plain>(3, &any_device());
        let host = Box::new(host::HostTrainer::new(features, &initial()));
        let tensors = Box::new(tensors::TensorTrainer::new(features, &initial()));
        let rows = features.len();
        [
            ("host", fit::<Plain>(host, rows, recipe, 3, &ignore)),
            ("tensors", fit::<Plain>(tensors, rows, recipe, 3, &ignore)),
        ]
    }

    /// The reference: Burn's module, autodiff and optimizer.
    fn reference(features: &Features, classes: usize, recipe: &ProbeRecipe) -> Fitted {
        let device = any_device();
        let mut classifier = LinearClassifierConfig::new(features.dim, classes).init::<Training>(3, &device);
        let mut optimizer = adam().init::<Training, LinearClassifier<Training>>();
        let mut last = f64::NAN;
        for epoch in 1..=recipe.epochs {
            let order = Draw::new(3, Purpose::Probe, epoch as u64, 0, 0).permutation(features.len());
            for rows in order.chunks(recipe.batch_size) {
                let inputs: Vec<f32> = rows
                    .iter()
                    .flat_map(|row| features.values[row * features.dim..][..features.dim].to_vec())
                    .collect();
                let labels: Vec<i64> = rows.iter().map(|row| i64::from(features.labels[*row])).collect();
                let labels = Tensor::<Training, 1, Int>::from_data(TensorData::new(labels, [rows.len()]), &device);
                let logits = classifier.forward(tensor(inputs, [rows.len(), features.dim], &device));
                let loss = CrossEntropyLossConfig::new().init(&device).forward(logits, labels);
                last = f64::from(values(loss.clone())[0]);
                let gradients = GradientsParams::from_grads(loss.backward(), &classifier);
                classifier = optimizer.step(recipe.learning_rate, classifier, gradients);
            }
        }
        (classifier.valid(), last)
    }

    #[test]
    fn both_implementations_equal_autodiff() {
        // Fractions of the learning rate, the size of a step of Adam. Burn's ndarray backend differentiates a division through an
        // approximate reciprocal, and Adam scales small gradients up to full steps.
        let rate = 0.02;
        let tolerance = if cfg!(not(feature = "flex")) { 0.05 * rate } else { 0.01 * rate } as f32;
        // Complete and incomplete tiles, batches of one row, a smaller last batch, one feature, two and many classes.
        let cases =
            [(9, 2, 3, 1), (50, 3, 2, 7), (130, 64, 10, 128), (70, 33, 5, 16), (66, 130, 200, 32), (20, 1, 4, 20)];
        for (rows, dim, classes, batch) in cases {
            let features = features(rows, dim, classes);
            let recipe = ProbeRecipe { epochs: 6, batch_size: batch, learning_rate: rate, ..Default::default() };
            let (expected, expected_loss) = reference(&features, classes, &recipe);
            for (name, (found, loss)) in implementations(&features, classes, &recipe) {
                let case = format!("{name}: {rows} rows, {dim} features, {classes} classes, batches of {batch}");
                assert!((loss - expected_loss).abs() < 1e-4, "{case}: loss {loss} is not {expected_loss}");
                let pairs = [
                    (values(found.weight.val()), values(expected.weight.val())),
                    (values(found.bias.val()), values(expected.bias.val())),
                ];
                for (found, expected) in pairs {
                    assert_eq!(found.len(), expected.len());
                    for (found, expected) in found.iter().zip(&expected) {
                        assert!((found - expected).abs() < tolerance, "{case}: {found} is not {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn divergence_ends_in_weights_that_are_not_finite() {
        let recipe = ProbeRecipe { epochs: 5, batch_size: 8, learning_rate: 1e38, ..Default::default() };
        let fine = features(40, 6, 3);
        let mut broken = fine.clone();
        broken.values[17] = f32::NAN;
        let usual = ProbeRecipe { learning_rate: 1e-3, ..recipe.clone() };
        for (features, recipe) in [(&fine, &recipe), (&broken, &usual)] {
            for (name, (found, _)) in implementations(features, 3, recipe) {
                assert!(values(found.weight.val()).iter().any(|value| !value.is_finite()), "{name}");
            }
        }
    }
}
