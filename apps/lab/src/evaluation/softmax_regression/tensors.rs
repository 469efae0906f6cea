//! Softmax regression in tensor operations, for every backend.

use burn::optim::{Adam, AdamState, SimpleOptimizer};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::cast::ToElement;
use burn::tensor::{Int, Tensor, TensorData};
use qare_models::LinearClassifier;

use super::Trainer;
use crate::evaluation::features::Features;
use crate::training::optimizer::adam;

/// The training state as tensors. The bias is the weight of an additional feature that is always 1.
pub struct TensorTrainer<B: Backend> {
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

impl<B: Backend> TensorTrainer<B> {
    pub fn new(features: &Features, initial: &LinearClassifier<B>) -> Self {
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

impl<B: Backend> Trainer<B> for TensorTrainer<B> {
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

    fn into_weights(self: Box<Self>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        let dim = self.weight.dims()[1] - 1;
        let bias = self.weight.clone().narrow(1, dim, 1).squeeze_dim(1);
        (self.weight.narrow(1, 0, dim), bias)
    }
}
