//! The linear probe's classifier: softmax regression on frozen features.
//!
//! With p = softmax(W·x + b) and y the one-hot class, the gradient of the mean cross entropy of a batch is
//! ∂W = mean (p − y)·xᵀ and ∂b = mean (p − y). It is short enough to need no graph: [`tensors`] takes its steps in tensor
//! operations, on any backend, and [`host`] in loops over plain numbers. Both do the same to rounding.

mod host;
mod tensors;

use burn::module::Param;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use qare_data::{Draw, Purpose};
use qare_models::{LinearClassifier, LinearClassifierConfig};

use crate::backend;
use crate::features::Features;
use crate::progress::bar;
use crate::recipe::ProbeRecipe;

/// Up to so many weights, loops on one thread are faster than tensor operations, whose calls cost more than what they do.
const FEW_WEIGHTS: usize = 16 * 1024;

/// A classifier while it learns.
trait Learning<B: Backend> {
    /// Takes a step of Adam for each `batch` of these rows in turn, the last one perhaps shorter, and returns the mean
    /// cross entropy of the last.
    fn epoch(&mut self, order: &[usize], batch: usize, rate: f64) -> f64;

    /// Weights `[classes, F]` and bias `[classes]`.
    fn into_weights(self: Box<Self>) -> (Tensor<B, 2>, Tensor<B, 1>);
}

/// Trains a Linear(F, classes) by cross entropy and Adam. Its first weights and the order of the rows in each epoch are a
/// function of the seed. What diverges ends in weights that are not finite.
pub fn train<B: Backend>(
    features: &Features,
    classes: usize,
    recipe: &ProbeRecipe,
    seed: u64,
    device: &B::Device,
) -> LinearClassifier<B> {
    let initial = LinearClassifierConfig::new(features.dim, classes).init::<B>(seed, device);
    let mut learning: Box<dyn Learning<B>> = match backend::HOST && features.dim * classes <= FEW_WEIGHTS {
        true => Box::new(host::HostLearning::new(features, &initial)),
        false => Box::new(tensors::TensorLearning::new(features, &initial)),
    };
    run(learning.as_mut(), features.len(), recipe, seed);
    let (weight, bias) = learning.into_weights();
    LinearClassifier { weight: Param::from_tensor(weight), bias: Param::from_tensor(bias) }
}

fn run<B: Backend>(learning: &mut dyn Learning<B>, rows: usize, recipe: &ProbeRecipe, seed: u64) {
    let progress = bar(recipe.epochs as u64, "probe epoch {pos}/{len} [{bar:25}] {msg}, {eta} left");
    for epoch in 1..=recipe.epochs {
        let order = Draw::new(seed, Purpose::Probe, epoch as u64, 0, 0).permutation(rows);
        let loss = learning.epoch(&order, recipe.data_size, recipe.learning_rate);
        progress.set_message(format!("loss {loss:.4}"));
        progress.inc(1);
    }
    progress.finish_and_clear();
}

/// A tensor's values on the host.
fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data has just been converted")
}

/// A tensor of values on the host.
fn tensor<B: Backend, const D: usize>(values: Vec<f32>, shape: [usize; D], device: &B::Device) -> Tensor<B, D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}
