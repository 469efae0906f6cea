//! Softmax regression in tensor operations, for every backend.

use burn::optim::{Adam, AdamState, SimpleOptimizer};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::cast::ToElement;
use burn::tensor::{Int, Tensor, TensorData};
use qare_models::LinearClassifier;

use super::Learning;
use crate::features::Features;
use crate::optimizer::adam;

pub struct TensorLearning<B: Backend> {
    /// `[N, F]`
    inputs: Tensor<B, 2>,
    /// `[N]`
    labels: Tensor<B, 1, Int>,
    /// One-hot classes, `[classes, classes]`.
    one_hot: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    /// `[1, classes]`
    bias: Tensor<B, 2>,
    adam: Adam,
    weight_state: Option<AdamState<B, 2>>,
    bias_state: Option<AdamState<B, 2>>,
}

impl<B: Backend> TensorLearning<B> {
    pub fn new(features: &Features, initial: &LinearClassifier<B>) -> Self {
        let (weight, bias) = (initial.weight.val(), initial.bias.val().unsqueeze());
        let (device, [classes, _]) = (weight.device(), weight.dims());
        let labels: Vec<i64> = features.labels.iter().map(|label| i64::from(*label)).collect();
        Self {
            inputs: features.tensor(&device),
            labels: Tensor::from_data(TensorData::new(labels, [features.len()]), &device),
            one_hot: Tensor::eye(classes, &device),
            weight,
            bias,
            adam: adam().build(),
            weight_state: None,
            bias_state: None,
        }
    }
}

impl<B: Backend> Learning<B> for TensorLearning<B> {
    fn epoch(&mut self, order: &[usize], batch: usize, rate: f64) -> f64 {
        let indices: Vec<i64> = order.iter().map(|index| *index as i64).collect();
        let indices = Tensor::<B, 1, Int>::from_data(TensorData::new(indices, [order.len()]), &self.inputs.device());
        let inputs = self.inputs.clone().select(0, indices.clone());
        let labels = self.labels.clone().select(0, indices);
        let mut loss = f64::NAN;
        for start in (0..order.len()).step_by(batch) {
            let rows = start..(start + batch).min(order.len());
            let count = rows.len() as f64;
            let x = inputs.clone().slice([rows.clone()]); // [batch, F]
            let y = self.one_hot.clone().select(0, labels.clone().slice([rows.clone()])); // [batch, classes]
            let logits = x.clone().matmul(self.weight.clone().transpose()) + self.bias.clone(); // [batch, classes]
            if rows.end == order.len() {
                let of_classes = log_softmax(logits.clone(), 1) * y.clone();
                loss = -of_classes.sum().into_scalar().to_f64() / count;
            }
            let residual = (softmax(logits, 1) - y).div_scalar(count); // [batch, classes]
            let bias_gradient = residual.clone().sum_dim(0); // [1, classes]
            let weight_gradient = residual.transpose().matmul(x); // [classes, F]
            let step = |tensor, gradient, state| SimpleOptimizer::<B>::step(&self.adam, rate, tensor, gradient, state);
            (self.weight, self.weight_state) = step(self.weight.clone(), weight_gradient, self.weight_state.take());
            (self.bias, self.bias_state) = step(self.bias.clone(), bias_gradient, self.bias_state.take());
        }
        loss
    }

    fn into_weights(self: Box<Self>) -> (Tensor<B, 2>, Tensor<B, 1>) {
        (self.weight, self.bias.squeeze_dim(0))
    }
}
