//! The hidden layer of a head.

use burn::nn::Linear;
use burn::tensor::activation::leaky_relu;
use burn::tensor::{Tensor, backend::Backend};

use crate::batch_norm::BatchNorm;
use crate::layers::linear;
use crate::replicas::Replica;
use crate::tensor_block::{LinearBlock, LinearOutput, linear_block};

/// Linear → BatchNorm → LeakyReLU(0.01), `[N, F]` → `[N, hidden]`: as one operation where the backend has it, else layer by layer.
pub(crate) fn hidden_layer<B: Backend>(layer: &Linear<B>, norm: &BatchNorm<B>, rows: Tensor<B, 2>) -> Tensor<B, 2> {
    const SLOPE: f64 = 0.01;
    let by_layers = |rows| leaky_relu(norm.forward(linear(layer, rows)), SLOPE);
    let trains = norm.trains() && Replica::with_whole_statistics().is_none();
    let Some(bias) = layer.bias.as_ref().filter(|_| trains) else { return by_layers(rows) };
    let block = LinearBlock {
        input: rows,
        weight: layer.weight.val(),
        bias: bias.val(),
        gamma: norm.weight.val(),
        beta: norm.bias.val(),
        epsilon: norm.epsilon(),
        running: norm.running(),
        slope: SLOPE,
    };
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    let found = crate::cpu::linear_block(block).or_else(linear_block);
    #[cfg(not(any(feature = "flex", feature = "ndarray")))]
    let found = linear_block(block);
    match found {
        Err(block) => by_layers(block.input),
        Ok(LinearOutput { rows, running }) => {
            norm.set_running(|| running);
            rows
        }
    }
}
