//! Adam's step of several tensors at once.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// What a step of a tensor starts from.
#[derive(CubeType, CubeLaunch)]
pub struct Before {
    pub weights: Array<f32>,
    pub gradient: Tensor<f32>,
    /// The mean gradient.
    pub mean: Array<f32>,
    /// The mean squared gradient.
    pub square: Array<f32>,
    /// Whether the gradient lies in the order of the weights.
    #[cube(comptime)]
    pub in_order: bool,
}

/// What a step of a tensor results in.
#[derive(CubeType, CubeLaunch)]
pub struct After {
    pub weights: Array<f32>,
    pub mean: Array<f32>,
    pub square: Array<f32>,
}

/// The numbers of a step.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Rates {
    /// The learning rate.
    pub rate: f32,
    /// Decay of the mean gradient.
    pub beta_1: f32,
    /// Decay of the mean squared gradient.
    pub beta_2: f32,
    /// √(1 − β₂ᵗ)/(1 − β₁ᵗ).
    pub factor: f32,
    /// ε·√(1 − β₂ᵗ).
    pub epsilon: f32,
    /// The factor of the weights in the gradient.
    pub weight_decay: f32,
}

/// Where the number `at`, counted row by row, lies.
#[cube]
fn place_in_memory(tensor: &Tensor<f32>, at: usize) -> usize {
    let mut place = 0;
    let mut rest = at;
    for from_last in 0..tensor.rank() {
        let axis = tensor.rank() - 1 - from_last;
        place += (rest % tensor.shape(axis)) * tensor.stride(axis);
        rest /= tensor.shape(axis);
    }
    place
}

/// w − rate·m·factor/(√v + ε) with m ← β₁m + (1 − β₁)g and v ← β₂v + (1 − β₂)g², of every tensor. One of `units` units computes every
/// `units`-th number of each.
#[cube(launch)]
pub fn adam_step(
    before: &Sequence<Before>,
    after: &mut Sequence<After>,
    rates: &Rates,
    units: usize,
    #[comptime] decays: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    #[unroll]
    for tensor in 0..before.len() {
        let old = before.index(tensor);
        let new = after.index_mut(tensor);
        let mut at = ABSOLUTE_POS;
        while at < old.weights.len() {
            let weight = old.weights[at];
            let mut place = at;
            if !old.in_order {
                place = place_in_memory(&old.gradient, at);
            }
            let mut gradient = old.gradient[place];
            if decays {
                gradient += weight * rates.weight_decay;
            }
            let mean = old.mean[at] * rates.beta_1 + gradient * (f32::new(1.0) - rates.beta_1);
            let square = old.square[at] * rates.beta_2 + gradient * gradient * (f32::new(1.0) - rates.beta_2);
            new.mean[at] = mean;
            new.square[at] = square;
            new.weights[at] = weight - rates.rate * (mean * rates.factor / (f32::sqrt(square) + rates.epsilon));
            at += units;
        }
    }
}
