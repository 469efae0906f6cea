use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::hidden_layer::hidden_layer;
use crate::initial_weights::{InitialWeights, WeightStream};
use crate::layers::linear;

/// Sizes of a [`ProjectionHead`].
#[derive(Config, Debug)]
pub struct ProjectionHeadConfig {
    /// Number of features F of the backbone.
    pub input: usize,
    /// Width of the hidden layer.
    #[config(default = 256)]
    pub hidden: usize,
    /// Number of embedding dimensions D.
    #[config(default = 64)]
    pub output: usize,
}

impl ProjectionHeadConfig {
    /// A head whose weights are a function of the sizes and `seed`, the same on every backend.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> ProjectionHead<B> {
        let mut weights = InitialWeights::new(seed, WeightStream::Head);
        ProjectionHead {
            linear1: weights.linear(self.input, self.hidden, device),
            bn1: BatchNorm::new(self.hidden, device),
            linear2: weights.linear(self.hidden, self.output, device),
        }
    }
}

/// Maps features to the embeddings that the objectives compare (Chen et al. 2020):
/// Linear → BatchNorm → LeakyReLU(0.01) → Linear. Made by [`ProjectionHeadConfig::init`].
#[derive(Module, Debug)]
pub struct ProjectionHead<B: Backend> {
    linear1: Linear<B>,
    bn1: BatchNorm<B>,
    linear2: Linear<B>,
}

impl<B: Backend> ProjectionHead<B> {
    /// Embeddings of features, `[N, F]` → `[N, D]`, of the features' type.
    pub fn forward(&self, features: Tensor<B, 2>) -> Tensor<B, 2> {
        linear(&self.linear2, hidden_layer(&self.linear1, &self.bn1, features))
    }

    /// The head with new weights from N(0, `std`) and bias 0 in its last layer, as in DeepCluster (Caron et al. 2018) after each
    /// clustering. The parameters keep their ids, so an optimizer keeps their moments.
    pub fn with_new_output(mut self, std: f64, weights: &mut InitialWeights) -> Self {
        let [inputs, outputs] = self.linear2.weight.lazy_shape().dims();
        let new = weights.normal_linear(inputs, outputs, std, &self.linear2.weight.lazy_device());
        self.linear2.weight = renewed(self.linear2.weight, new.weight);
        self.linear2.bias = self.linear2.bias.zip(new.bias).map(|(old, new)| renewed(old, new));
        self
    }
}

/// The parameter `old`, id included, with the value of `new`.
fn renewed<B: Backend, const D: usize>(old: Param<Tensor<B, D>>, new: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
    let id = old.id;
    old.transform_for_load(new.val(), id)
}
