//! The linear probe's classifier: softmax regression on frozen features.
//!
//! With p = softmax(W·x + b) and y the one-hot class, the gradient of the mean cross entropy of a batch is
//! ∂W = mean (p − y)·xᵀ and ∂b = mean (p − y). The gradient is written out, so no autodiff graph is built.

use burn::module::Param;
use burn::optim::{Adam, AdamState, SimpleOptimizer};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::cast::ToElement;
use burn::tensor::{Int, Tensor, TensorData};
use qare_data::{Draw, Purpose};
use qare_models::{LinearClassifier, LinearClassifierConfig};

use crate::evaluation::features::Features;
use crate::progress::{OnProgress, Progress, Work};
use crate::recipe::ProbeRecipe;
use crate::training::optimizer::adam;

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
    fit(features, classes, recipe, seed, device, on_progress).0
}

/// Trains for all epochs, and returns the classifier and the loss of the last batch.
fn fit<B: Backend>(
    features: &Features,
    classes: usize,
    recipe: &ProbeRecipe,
    seed: u64,
    device: &B::Device,
    on_progress: OnProgress,
) -> (LinearClassifier<B>, f64) {
    let mut trainer =
        Trainer::new(features, LinearClassifierConfig::new(features.dim, classes).init::<B>(seed, device));
    let mut loss = f64::NAN;
    for epoch in 1..=recipe.epochs {
        let order = Draw::new(seed, Purpose::Probe, epoch as u64, 0, 0).permutation(features.len());
        loss = trainer.epoch(&order, recipe.batch_size, recipe.learning_rate);
        let (total, figure) = (recipe.epochs, format!("loss {loss:.4}"));
        on_progress(Progress { work: Work::ProbeEpochs, done: epoch, total, figure: &figure });
    }
    (trainer.into_classifier(), loss)
}

/// The training state of a classifier. The bias is the weight of an additional feature that is always 1.
struct Trainer<B: Backend> {
    /// `[N, F + 1]`
    inputs: Tensor<B, 2>,
    /// `[N]`
    labels: Tensor<B, 1, Int>,
    /// One-hot classes, `[classes, classes]`.
    one_hot: Tensor<B, 2>,
    /// `[classes, F + 1]`
    weight: Tensor<B, 2>,
    adam: Adam,
    state: Option<AdamState<B, 2>>,
}

impl<B: Backend> Trainer<B> {
    fn new(features: &Features, initial: LinearClassifier<B>) -> Self {
        let (weight, bias) = (initial.weight.val(), initial.bias.val());
        let (device, [classes, _]) = (weight.device(), weight.dims());
        let labels: Vec<i64> = features.labels.iter().map(|label| i64::from(*label)).collect();
        let ones = Tensor::ones([features.len(), 1], &device);
        Self {
            inputs: Tensor::cat(vec![features.tensor(&device), ones], 1),
            labels: Tensor::from_data(TensorData::new(labels, [features.len()]), &device),
            one_hot: Tensor::eye(classes, &device),
            weight: Tensor::cat(vec![weight, bias.unsqueeze_dim(1)], 1),
            adam: adam().build(),
            state: None,
        }
    }
}

impl<B: Backend> Trainer<B> {
    /// Takes one step of Adam for each `batch` of rows, in the given order; the last batch may be smaller. Returns the mean cross
    /// entropy of the last batch.
    fn epoch(&mut self, order: &[usize], batch: usize, rate: f64) -> f64 {
        let indices: Vec<i64> = order.iter().map(|index| *index as i64).collect();
        let indices = Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [order.len()]), &self.inputs.device());
        let inputs = self.inputs.clone().select(0, indices.clone());
        let labels = self.labels.clone().select(0, indices);
        let mut loss = f64::NAN;
        for start in (0..order.len()).step_by(batch) {
            let rows = start..(start + batch).min(order.len());
            let count = rows.len() as f64;
            let x = inputs.clone().slice([rows.clone()]); // [batch, F + 1]
            let y = self.one_hot.clone().select(0, labels.clone().slice([rows.clone()])); // [batch, classes]
            let logits = x.clone().matmul(self.weight.clone().transpose()); // [batch, classes]
            if rows.end == order.len() {
                let log_likelihood = log_softmax(logits.clone(), 1) * y.clone();
                loss = -log_likelihood.sum().into_scalar().to_f64() / count;
            }
            let residual = (softmax(logits, 1) - y).div_scalar(count); // [batch, classes]
            let gradient = residual.transpose().matmul(x); // [classes, F + 1]
            let (weight, state) = (self.weight.clone(), self.state.take());
            (self.weight, self.state) = SimpleOptimizer::<B>::step(&self.adam, rate, weight, gradient, state);
        }
        loss
    }

    /// Returns the classifier.
    fn into_classifier(self) -> LinearClassifier<B> {
        let dim = self.weight.dims()[1] - 1;
        let bias = self.weight.clone().narrow(1, dim, 1).squeeze_dim(1);
        LinearClassifier { weight: Param::from_tensor(self.weight.narrow(1, 0, dim)), bias: Param::from_tensor(bias) }
    }
}

#[cfg(test)]
mod tests {
    use burn::module::AutodiffModule;
    use burn::nn::loss::CrossEntropyLossConfig;
    use burn::optim::{GradientsParams, Optimizer};

    use super::*;
    use crate::evaluation::features::values;
    use crate::progress::ignore;
    use crate::test_backend::{Plain, Training, any_device};

    /// A trained classifier and the loss of its last batch.
    type Fitted = (LinearClassifier<Plain>, f64);

    fn features(rows: usize, dim: usize, classes: usize) -> Features {
        let mut draw = Draw::new(5, Purpose::View, 0, dim as u64, classes as u64);
        let labels: Vec<u16> = (0..rows).map(|_| draw.below(classes) as u16).collect();
        let value = |place: usize| draw.bell() + if place % dim == labels[place / dim] as usize { 1.0 } else { 0.0 };
        let values = (0..rows * dim).map(value).collect();
        Features { values, dim, labels }
    }

    fn fitted(features: &Features, classes: usize, recipe: &ProbeRecipe) -> Fitted {
        fit::<Plain>(features, classes, recipe, 3, &any_device(), &ignore)
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
                let logits =
                    classifier.forward(Tensor::from_data(TensorData::new(inputs, [rows.len(), features.dim]), &device));
                let loss = CrossEntropyLossConfig::new().init(&device).forward(logits, labels);
                last = f64::from(values(loss.clone())[0]);
                let gradients = GradientsParams::from_grads(loss.backward(), &classifier);
                classifier = optimizer.step(recipe.learning_rate, classifier, gradients);
            }
        }
        (classifier.valid(), last)
    }

    #[test]
    fn the_written_out_gradient_equals_autodiff() {
        // Fractions of the learning rate, the size of a step of Adam. Burn's ndarray backend differentiates a division through an
        // approximate reciprocal, and Adam scales small gradients up to full steps.
        let rate = 0.02;
        let tolerance = if cfg!(not(feature = "flex")) { 0.05 * rate } else { 0.01 * rate } as f32;
        // Batches of one row, a smaller last batch, one feature, two and many classes.
        let cases =
            [(9, 2, 3, 1), (50, 3, 2, 7), (130, 64, 10, 128), (70, 33, 5, 16), (66, 130, 200, 32), (20, 1, 4, 20)];
        for (rows, dim, classes, batch) in cases {
            let features = features(rows, dim, classes);
            let recipe = ProbeRecipe { epochs: 6, batch_size: batch, learning_rate: rate, ..Default::default() };
            let (expected, expected_loss) = reference(&features, classes, &recipe);
            let (found, loss) = fitted(&features, classes, &recipe);
            let case = format!("{rows} rows, {dim} features, {classes} classes, batches of {batch}");
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

    #[test]
    fn divergence_ends_in_weights_that_are_not_finite() {
        let recipe = ProbeRecipe { epochs: 5, batch_size: 8, learning_rate: 1e38, ..Default::default() };
        let fine = features(40, 6, 3);
        let mut broken = fine.clone();
        broken.values[17] = f32::NAN;
        let usual = ProbeRecipe { learning_rate: 1e-3, ..recipe.clone() };
        for (features, recipe) in [(&fine, &recipe), (&broken, &usual)] {
            let (found, _) = fitted(features, 3, recipe);
            assert!(values(found.weight.val()).iter().any(|value| !value.is_finite()));
        }
    }
}
