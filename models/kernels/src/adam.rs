//! A step of Adam in one pass over memory.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::vectors::vectorize;

/// A step of Adam (Kingma & Ba 2015), element by element:
///
/// ```text
/// g ← g + weight_decay·w
/// m ← β₁·m + (1 − β₁)·g
/// v ← β₂·v + (1 − β₂)·g²
/// w ← w − factor·m / (√v + epsilon) · rate
/// ```
///
/// Every operation is rounded to f32, from left to right: results depend on neither threads nor vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate.
    pub rate: f32,
    /// β₁, the decay of the mean gradient m.
    pub beta_1: f32,
    /// β₂, the decay of the mean squared gradient v.
    pub beta_2: f32,
    /// The factor of L2 regularisation; 0 for none.
    pub weight_decay: f32,
    /// The bias correction √(1 − β₂ᵗ) / (1 − β₁ᵗ), where t counts this step, too.
    pub factor: f32,
    /// ε·√(1 − β₂ᵗ).
    pub epsilon: f32,
}

/// Fewer values are not worth waking a thread.
const LEAST_SHARE: usize = 1 << 14;

impl Adam {
    /// Takes a step with a gradient: changes the weights, the mean gradient and the mean squared gradient.
    ///
    /// # Panics
    ///
    /// If the lengths are not the same.
    pub fn step(&self, weights: &mut [f32], gradient: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let len = weights.len();
        assert!([gradient.len(), mean.len(), square.len()] == [len; 3], "arrays of the same length");
        let share = len.div_ceil(rayon::current_num_threads()).max(LEAST_SHARE);
        let shares = weights.par_chunks_mut(share).zip(gradient.par_chunks(share));
        let shares = shares.zip(mean.par_chunks_mut(share)).zip(square.par_chunks_mut(share));
        shares.for_each(|(((weights, gradient), mean), square)| {
            // The widest vectors: what is left over goes value by value.
            vectorize(16, Step { adam: self, weights, gradient, mean, square });
        });
    }
}

/// Made by [`Adam::step`] alone: all slices are of the same length.
struct Step<'a> {
    adam: &'a Adam,
    weights: &'a mut [f32],
    gradient: &'a [f32],
    mean: &'a mut [f32],
    square: &'a mut [f32],
}

impl WithSimd for Step<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // The compiler uses the vectors that this function is compiled for.
        match self.adam.weight_decay {
            0.0 => self.run(|_, gradient| gradient),
            decay => self.run(|weight, gradient| weight * decay + gradient),
        }
    }
}

impl Step<'_> {
    #[inline(always)]
    fn run(self, decayed: impl Fn(f32, f32) -> f32) {
        let Adam { rate, beta_1, beta_2, factor, epsilon, .. } = *self.adam;
        let (of_gradient, of_square) = (1.0 - beta_1, 1.0 - beta_2);
        let moments = self.mean.iter_mut().zip(self.square);
        for ((weight, gradient), (mean, square)) in self.weights.iter_mut().zip(self.gradient).zip(moments) {
            let gradient = decayed(*weight, *gradient);
            *mean = *mean * beta_1 + gradient * of_gradient;
            *square = *square * beta_2 + gradient * gradient * of_square;
            *weight -= *mean * factor / (square.sqrt() + epsilon) * rate;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lengths that are no multiples of a vector, and those of several shares.
    #[test]
    fn equals_the_formula_bit_for_bit() {
        for len in [0, 1, 7, 16, 33, LEAST_SHARE - 1, LEAST_SHARE + 1, 5 * LEAST_SHARE + 5] {
            for weight_decay in [0.0, 0.01] {
                let noise = |seed: usize| -> Vec<f32> {
                    let number = |i: usize| ((i * 7919 + seed) as u32).wrapping_mul(2654435761);
                    (0..len).map(|i| number(i) as f32 / (1u32 << 31) as f32 - 1.0).collect()
                };
                let adam = Adam { rate: 1e-3, beta_1: 0.9, beta_2: 0.999, weight_decay, factor: 0.4, epsilon: 1e-9 };
                let (mut weights, gradient, mut mean) = (noise(1), noise(2), noise(3));
                let mut square: Vec<f32> = noise(4).into_iter().map(f32::abs).collect();
                let mut expected = [weights.clone(), mean.clone(), square.clone()];
                for i in 0..len {
                    let [weights, mean, square] = &mut expected;
                    let g = if weight_decay == 0.0 { gradient[i] } else { weights[i] * weight_decay + gradient[i] };
                    let (old, fresh) = (mean[i] * 0.9, g * (1.0 - 0.9));
                    mean[i] = old + fresh;
                    let (old, fresh) = (square[i] * 0.999, g * g * (1.0 - 0.999));
                    square[i] = old + fresh;
                    let root = square[i].sqrt() + 1e-9;
                    let scaled = mean[i] * 0.4 / root;
                    weights[i] -= scaled * 1e-3;
                }
                adam.step(&mut weights, &gradient, &mut mean, &mut square);
                let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert!(bits(&weights) == bits(&expected[0]), "weights, {len} values");
                assert!(bits(&mean) == bits(&expected[1]), "means, {len} values");
                assert!(bits(&square) == bits(&expected[2]), "squares, {len} values");
            }
        }
    }
}
