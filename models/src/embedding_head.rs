use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::module::linear;
use burn::tensor::{Tensor, backend::Backend};

use crate::initial_weights::{InitialWeights, WeightStream, parameter};
use crate::layers::weight;

/// Sizes of an [`EmbeddingHead`].
#[derive(Config, Debug)]
pub struct EmbeddingHeadConfig {
    /// Number of features F of the backbone.
    pub features: usize,
    /// Number of embedding dimensions D.
    pub output: usize,
}

impl EmbeddingHeadConfig {
    /// A head whose weights are a function of the sizes and `seed`, the same on every backend.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> EmbeddingHead<B> {
        let (weight, bias) =
            InitialWeights::new(seed, WeightStream::Embedding).linear_values(self.features, self.output);
        EmbeddingHead {
            weight: parameter(weight, [self.output, self.features], device),
            bias: parameter(bias, [self.output], device),
        }
    }
}

/// A linear layer from features to the embeddings of metric learning. Made by [`EmbeddingHeadConfig::init`].
///
/// Unlike a [`ProjectionHead`](crate::ProjectionHead), it is part of the result: retrieval compares its output.
#[derive(Module, Debug)]
pub struct EmbeddingHead<B: Backend> {
    /// `[D, F]`, the layout of PyTorch.
    pub weight: Param<Tensor<B, 2>>,
    /// `[D]`
    pub bias: Param<Tensor<B, 1>>,
}

impl<B: Backend> EmbeddingHead<B> {
    /// Embeddings of features, `[N, F]` → `[N, D]`, of the features' type.
    pub fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        let dtype = features.dtype();
        linear(
            features,
            weight(&self.weight, dtype).transpose(), // [F, D]
            Some(weight(&self.bias, dtype)),
        )
    }
}
