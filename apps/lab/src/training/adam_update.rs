//! A step of Adam for one parameter: by a kernel on the CPU, else by Burn.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{Adam, AdamState, LearningRate, SimpleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::optimizer::adam;

/// Adam with PyTorch's constants.
#[derive(Clone)]
pub struct AdamUpdate {
    burns: Adam,
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    weight_decay: f32,
}

impl AdamUpdate {
    /// Adam with this factor of L2 regularisation; 0 for none.
    pub fn new(weight_decay: f32) -> Self {
        let decay = (weight_decay != 0.0).then(|| WeightDecayConfig::new(weight_decay));
        Self {
            burns: adam().with_weight_decay(decay).build(),
            #[cfg(any(feature = "flex", feature = "ndarray"))]
            weight_decay,
        }
    }

    /// Takes a step and returns the weights and the new state. The kernel computes the bits that Burn's Adam computes.
    pub fn step<B: Backend, const D: usize>(
        &self,
        rate: LearningRate,
        weights: Tensor<B, D>,
        gradient: Tensor<B, D>,
        state: Option<AdamState<B, D>>,
    ) -> (Tensor<B, D>, AdamState<B, D>) {
        #[cfg(any(feature = "flex", feature = "ndarray"))]
        let (weights, gradient, state) =
            match super::host_adam::step(rate, self.weight_decay, (weights, gradient, state)) {
                Ok(stepped) => return stepped,
                Err(parameter) => parameter,
            };
        let (weights, state) = self.burns.step(rate, weights, gradient, state);
        (weights, state.expect("Adam has a state after a step"))
    }
}
