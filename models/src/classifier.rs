use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::module::linear;
use burn::tensor::{Tensor, backend::Backend};

use crate::initial_weights::{InitialWeights, WeightStream, parameter};
use crate::layers::weight;

/// Sizes of a [`LinearClassifier`].
#[derive(Config, Debug)]
pub struct LinearClassifierConfig {
    /// Number of features F.
    pub features: usize,
    /// Number of classes.
    pub classes: usize,
}

impl LinearClassifierConfig {
    /// A classifier whose weights are a function of the sizes and `seed`, the same on every
    /// backend.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> LinearClassifier<B> {
        let mut weights = InitialWeights::new(seed, WeightStream::Classifier);
        let (weight, bias) = weights.linear_values(self.features, self.classes);
        LinearClassifier {
            weight: parameter(weight, [self.classes, self.features], device),
            bias: parameter(bias, [self.classes], device),
        }
    }
}

/// A linear layer from features to class scores: the linear probe. Made by [`LinearClassifierConfig::init`].
#[derive(Module, Debug)]
pub struct LinearClassifier<B: Backend> {
    /// `[classes, F]`, the layout of PyTorch.
    pub weight: Param<Tensor<B, 2>>,
    /// `[classes]`
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> LinearClassifier<B> {
    /// Scores (logits) of features, `[N, F]` → `[N, classes]`, of the features' type.
    pub fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let dtype = features.dtype();
        linear(
            features,
            weight(&self.weight, dtype).transpose(), // [F, classes]
            Some(weight(&self.bias, dtype)),
        )
    }
}
