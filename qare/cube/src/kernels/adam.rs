//! Adam's step of several tensors at once.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// What a step of a tensor starts from.
#[derive(CubeType, CubeLaunch)]
pub struct Before {
    pub weights: Array<f32>,
    pub gradient: Tensor<f32>,
    /// Whether the gradient lies in the order of the weights.
    #[cube(comptime)]
    pub in_order: bool,
}

/// What a step of a tensor changes.
#[derive(CubeType, CubeLaunch)]
pub struct Changed {
    /// The weights after the step.
    pub weights: Array<f32>,
    /// The mean gradient, before and after it.
    pub mean: Array<f32>,
    /// The mean squared gradient, before and after it.
    pub square: Array<f32>,
}

/// What a conditional step reads from the device, `[1]` each.
#[derive(CubeType, CubeLaunch)]
pub struct Condition {
    /// 1 if the step is taken, 0 if not.
    pub taken: Array<f32>,
    pub factor: Array<f32>,
    pub epsilon: Array<f32>,
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
/// `units`-th number of each. Nothing changes in a conditional step that is not taken; in one that is, factor and epsilon are those of
/// the condition.
#[cube(launch)]
pub fn adam_step(
    before: &Sequence<Before>,
    changed: &mut Sequence<Changed>,
    condition: &Condition,
    rates: &Rates,
    units: usize,
    #[comptime] conditional: bool,
    #[comptime] decays: bool,
) {
    if ABSOLUTE_POS >= units {
        terminate!();
    }
    let mut factor = rates.factor;
    let mut epsilon = rates.epsilon;
    let mut is_taken = true;
    if conditional {
        factor = condition.factor[0];
        epsilon = condition.epsilon[0];
        is_taken = condition.taken[0] != f32::new(0.0);
    }
    #[unroll]
    for tensor in 0..before.len() {
        let old = before.index(tensor);
        let new = changed.index_mut(tensor);
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
            if is_taken {
                let mean = new.mean[at] * rates.beta_1 + gradient * (f32::new(1.0) - rates.beta_1);
                let square = new.square[at] * rates.beta_2 + gradient * gradient * (f32::new(1.0) - rates.beta_2);
                new.mean[at] = mean;
                new.square[at] = square;
                new.weights[at] = weight - rates.rate * (mean * factor / (f32::sqrt(square) + epsilon));
            } else {
                new.weights[at] = weight;
            }
            at += units;
        }
    }
}
