//! Adam's bias correction for a number of steps that only the device knows.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::optimizer::{BETA_1, BETA_2, EPSILON};

/// What the bias correction does to a step of Adam after t steps: w ← w − rate·m·factor/(√v + epsilon), where m and v are the mean
/// gradient and the mean squared gradient. `[1]` each, or `[T]` for T numbers of steps.
#[derive(Clone, Debug)]
pub(super) struct BiasCorrection<B: Backend> {
    /// √(1 − β₂ᵗ)/(1 − β₁ᵗ).
    pub factor: Tensor<B, 1>,
    /// ε·√(1 − β₂ᵗ).
    pub epsilon: Tensor<B, 1>,
}

impl<B: Backend> BiasCorrection<B> {
    /// Returns the correction after `steps` steps, `[1]`, from the table `self`.
    pub fn at(&self, steps: &Tensor<B, 1, Int>) -> Self {
        let last = self.factor.dims()[0] as i64 - 1;
        let row = steps.clone().clamp_max(last);
        Self { factor: self.factor.clone().select(0, row.clone()), epsilon: self.epsilon.clone().select(0, row) }
    }
}

/// Returns the corrections after 0, 1, 2, … steps. The last is that of all greater numbers; that of 0 steps is not used.
pub(super) fn correction_table<B: Backend>(device: &B::Device) -> BiasCorrection<B> {
    let (factors, epsilons): (Vec<f32>, Vec<f32>) = corrections().unzip();
    let on_device = |numbers: Vec<f32>| Tensor::from_floats(numbers.as_slice(), device);
    BiasCorrection { factor: on_device(factors), epsilon: on_device(epsilons) }
}

/// Returns factor and epsilon after 0, 1, 2, … steps, as long as they change.
fn corrections() -> impl Iterator<Item = (f32, f32)> {
    // 1 − p rounds to 1 for p ≤ 2⁻²⁵. β₂ᵗ is greater than β₁ᵗ; a factor of 2 is left for its rounding.
    let negligible = f32::EPSILON / 8.0;
    let steps = (1..).take_while(move |steps| BETA_2.powi(steps - 1) > negligible).map(correction);
    std::iter::once((1.0, EPSILON)).chain(steps)
}

/// Returns factor and epsilon after `steps` steps, in the operations of Burn's `Adam`.
pub(super) fn correction(steps: i32) -> (f32, f32) {
    let root = (1.0 - BETA_2.powi(steps)).sqrt();
    (root / (1.0 - BETA_1.powi(steps)), EPSILON * root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::features::values;
    use crate::test_backend::{Plain, any_device};

    /// The correction after a number of steps, from the table of a device.
    fn on_the_device(table: &BiasCorrection<Plain>, steps: i32) -> (f32, f32) {
        let found = table.at(&Tensor::from_ints([steps], &any_device()));
        (values(found.factor)[0], values(found.epsilon)[0])
    }

    #[test]
    fn the_table_holds_the_correction_of_every_number_of_steps() {
        let table = correction_table::<Plain>(&any_device());
        let rows = table.factor.dims()[0] as i32;
        assert!((18_000..20_000).contains(&rows), "{rows}");
        for steps in (1..200).chain((200..2 * rows).step_by(97)).chain(rows - 3..rows + 3) {
            assert_eq!(on_the_device(&table, steps), correction(steps), "{steps}");
        }
        // The greatest number of steps that an optimizer's file or a device of 32 bits may hold.
        assert_eq!(on_the_device(&table, i32::MAX), (1.0, EPSILON));
    }

    /// With u = 2⁻²⁴, a power βᵗ by repeated multiplication has a relative error of at most t·u, up to terms in u². So that of 1 − βᵗ is
    /// at most u·(1 + t·βᵗ/(1 − βᵗ)) ≤ u·(1 + β/(1 − β)): 1000 u for β₂ and 10 u for β₁. The root of the first has 500 u + u. With the
    /// rounding of the quotient, the factor has at most 512 u; with that of the product, epsilon has at most 502 u.
    #[test]
    fn corrections_are_as_exact_as_their_roundings() {
        let unit = f64::from(f32::EPSILON) / 2.0;
        let (beta_1, beta_2) = (f64::from(BETA_1), f64::from(BETA_2));
        let (mut worst_factor, mut worst_epsilon) = (0.0f64, 0.0f64);
        for (steps, (factor, epsilon)) in corrections().enumerate().skip(1) {
            let root = -(steps as f64 * beta_2.ln()).exp_m1();
            let root = root.sqrt();
            let expected = root / -(steps as f64 * beta_1.ln()).exp_m1();
            worst_factor = worst_factor.max((f64::from(factor) / expected - 1.0).abs() / unit);
            worst_epsilon = worst_epsilon.max((f64::from(epsilon) / (f64::from(EPSILON) * root) - 1.0).abs() / unit);
        }
        println!("factor {worst_factor:.1} units, epsilon {worst_epsilon:.1} units");
        assert!(worst_factor <= 512.0, "{worst_factor}");
        assert!(worst_epsilon <= 502.0, "{worst_epsilon}");
    }
}
