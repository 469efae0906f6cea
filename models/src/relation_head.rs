use burn::config::Config;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::hidden_layer::hidden_layer;
use crate::initial_weights::{InitialWeights, WeightStream};
use crate::layers::linear;

/// Sizes of a [`RelationHead`].
#[derive(Config, Debug)]
pub struct RelationHeadConfig {
    /// Size of an aggregated pair: 2F for two concatenated vectors of F features, F for their sum, mean or maximum.
    pub input: usize,
    /// Width of the hidden layer.
    #[config(default = 256)]
    pub hidden: usize,
}

impl RelationHeadConfig {
    /// A head whose weights are a function of the sizes and `seed`, the same on every backend.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> RelationHead<B> {
        let mut weights = InitialWeights::new(seed, WeightStream::Relation);
        RelationHead {
            linear1: weights.linear(self.input, self.hidden, device),
            bn1: BatchNorm::new(self.hidden, device),
            linear2: weights.linear(self.hidden, 1, device),
        }
    }
}

/// Scores whether the two of a pair are views of one image (Patacchiola & Storkey 2020): Linear → BatchNorm → LeakyReLU(0.01) →
/// Linear. Made by [`RelationHeadConfig::init`].
#[derive(Module, Debug)]
pub struct RelationHead<B: Backend> {
    linear1: Linear<B>,
    bn1: BatchNorm<B>,
    linear2: Linear<B>,
}

impl<B: Backend> RelationHead<B> {
    /// Scores (logits) of aggregated pairs, `[P, input]` → `[P, 1]`, of the pairs' type.
    pub fn forward(&self, pairs: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(&self.linear2, hidden_layer(&self.linear1, &self.bn1, pairs))
    }
}
