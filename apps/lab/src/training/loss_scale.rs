//! Dynamic loss scaling for f16, whose smallest positive number is 6e-8. Many gradients are smaller.
//!
//! The loss is multiplied by a scale before it is differentiated, and the f32 gradients of the weights are divided by the scale.
//! If a gradient overflows, the step is skipped and the scale is halved. After many steps in a row without overflow, the scale is
//! doubled. Scales are powers of two, so that scaling does not round.
//!
//! During training the scale stays on the device, because the host would have to wait for each step to learn whether it
//! overflowed.
//!
//! Source: Micikevicius et al., "Mixed Precision Training" (2018), section 3.2.

use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::evaluation::features::values;
use crate::precision::Precision;

/// Scale at the start of training.
const INITIAL_SCALE: f64 = 65_536.0;
/// Number of steps in a row without overflow after which the scale is doubled.
const GROWTH_INTERVAL: usize = 2000;
/// Smallest scale. If gradients overflow without scaling, a smaller scale does not help.
const MIN_SCALE: f64 = 1.0;
/// Largest scale, the last whose inverse is a normal f32. Only gradients that are all zero let a scale grow so far.
const MAX_SCALE: f64 = (1u128 << 126) as f64;

/// The loss scale in the training state of a file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    scale: f64,
    /// Number of steps in a row without overflow since the last change of the scale.
    good_steps: usize,
}

impl LossScale {
    const START: Self = Self { scale: INITIAL_SCALE, good_steps: 0 };

    /// Returns the scale at the start of training; `None` for a precision that needs no scaling.
    pub fn start(precision: Precision) -> Option<Self> {
        (precision == Precision::F16).then_some(Self::START)
    }

    /// Copies the scale to a device, for training. A scale above 2¹²⁶ becomes 2¹²⁶.
    pub fn to_device<B: Backend>(self, device: &Device<B>) -> DynamicLossScale<B> {
        let scale = self.scale.min(MAX_SCALE);
        let number = |number: f64| Tensor::from_floats([number as f32], device);
        DynamicLossScale {
            factor: number(scale),
            inverse: number(scale.recip()),
            good_steps: number(self.good_steps as f64),
            exhausted: number(0.0),
        }
    }

    /// The error of a step whose gradients are not finite at the smallest scale.
    pub(super) fn error_of_exhaustion() -> LabError {
        LabError::Failed(format!(
            "gradients are not finite at the smallest loss scale, {MIN_SCALE}: they are out of the range of f16, or training \
             has diverged (use --precision bf16 or f32, or lower the learning rate)"
        ))
    }
}

/// The loss scale during training. All numbers are on the device, `[1]`.
#[derive(Clone, Debug)]
pub struct DynamicLossScale<B: Backend> {
    factor: Tensor<B, 1>,
    inverse: Tensor<B, 1>,
    /// A whole number of at most [`GROWTH_INTERVAL`], which f32 holds exactly.
    good_steps: Tensor<B, 1>,
    exhausted: Tensor<B, 1>,
}

impl<B: Backend> DynamicLossScale<B> {
    /// Returns the factor of the loss, `[1]`.
    pub fn factor(&self) -> Tensor<B, 1> {
        self.factor.clone()
    }

    /// Returns the inverse of the factor, `[1]`.
    pub fn inverse(&self) -> Tensor<B, 1> {
        self.inverse.clone()
    }

    /// Returns 1 if the gradients of the last step were not finite at the smallest scale, else 0, `[1]`. Training must then end.
    pub fn exhausted(&self) -> Tensor<B, 1> {
        self.exhausted.clone()
    }

    /// Returns the scale after a step. `finite`, `[1]`, says whether the gradients of the step were finite.
    pub fn after(self, finite: &Tensor<B, 1, Bool>) -> Self {
        let overflow = finite.clone().bool_not();
        let is_least = self.factor.clone().lower_equal_elem(MIN_SCALE);
        let exhausted = overflow.clone().bool_and(is_least.clone());
        let halved = overflow.clone().bool_and(is_least.bool_not());
        let good_steps = (self.good_steps + 1.0).mask_fill(overflow, 0.0);
        let due = good_steps.clone().equal_elem(GROWTH_INTERVAL as f64);
        let doubled = due.clone().bool_and(self.factor.clone().lower_elem(MAX_SCALE));
        // Products with powers of two are exact on every device, which a quotient need not be.
        let scaled = |number: Tensor<B, 1>, doubled: &Tensor<B, 1, Bool>, halved: &Tensor<B, 1, Bool>| {
            let (twice, half) = (number.clone() * 2.0, number.clone() * 0.5);
            number.mask_where(doubled.clone(), twice).mask_where(halved.clone(), half)
        };
        Self {
            factor: scaled(self.factor, &doubled, &halved),
            inverse: scaled(self.inverse, &halved, &doubled),
            good_steps: good_steps.mask_fill(due, 0.0),
            exhausted: exhausted.float(),
        }
    }

    /// Copies the scale to another device.
    pub fn to_device(self, device: &Device<B>) -> Self {
        Self {
            factor: self.factor.to_device(device),
            inverse: self.inverse.to_device(device),
            good_steps: self.good_steps.to_device(device),
            exhausted: self.exhausted.to_device(device),
        }
    }

    /// Reads the scale. Waits for the device.
    pub fn read(&self) -> LossScale {
        let numbers = values(Tensor::cat(vec![self.factor(), self.good_steps.clone()], 0));
        LossScale { scale: numbers[0].into(), good_steps: numbers[1] as usize }
    }
}

#[cfg(test)]
mod tests {
    use qare_data::{Draw, Purpose};

    use super::*;
    use crate::test_backend::{Plain, any_device};

    /// The rule on the host. `None` is an error.
    fn on_the_host(before: LossScale, finite: bool) -> Option<LossScale> {
        match (finite, before.good_steps + 1) {
            (false, _) if before.scale <= MIN_SCALE => None,
            (false, _) => Some(LossScale { scale: before.scale / 2.0, good_steps: 0 }),
            (true, GROWTH_INTERVAL) => Some(LossScale { scale: before.scale * 2.0, good_steps: 0 }),
            (true, good_steps) => Some(LossScale { good_steps, ..before }),
        }
    }

    fn flag(finite: bool) -> Tensor<Plain, 1, Bool> {
        Tensor::from_data([finite], &any_device())
    }

    fn is_exhausted(scale: &DynamicLossScale<Plain>) -> bool {
        values(scale.exhausted()) == [1.0]
    }

    /// Compares the rules over steps, of which each overflows with this probability, until an error. Returns the last scale.
    fn compare(start: LossScale, steps: usize, mut overflows: impl FnMut(usize) -> bool) -> Option<LossScale> {
        let (mut host, mut device) = (start, start.to_device::<Plain>(&any_device()));
        for step in 0..steps {
            let finite = !overflows(step);
            device = device.after(&flag(finite));
            let Some(after) = on_the_host(host, finite) else {
                assert!(is_exhausted(&device), "step {step} from {start:?}");
                return None;
            };
            host = after;
            assert_eq!((device.read(), is_exhausted(&device)), (host, false), "step {step} from {start:?}");
            let product = values(device.factor() * device.inverse());
            assert_eq!(product, [1.0], "step {step} from {start:?}");
        }
        Some(host)
    }

    #[test]
    fn only_f16_has_a_scale() {
        let scales = Precision::ALL.map(|precision| (precision, LossScale::start(precision).is_some()));
        assert_eq!(scales, [(Precision::F32, false), (Precision::F16, true), (Precision::Bf16, false)]);
        assert_eq!(LossScale::START.to_device::<Plain>(&any_device()).read(), LossScale::START);
    }

    #[test]
    fn the_scale_of_the_device_follows_the_rule_of_the_host() {
        let mut errors = 0;
        for seed in 0..30 {
            // Overflows are as frequent as in each of these cases: rare enough for growth, mixed, and until the error.
            let period = [3000, 1500, 40, 3, 2][seed % 5];
            let mut draw = Draw::new(seed as u64, Purpose::HeldOut, 0, 0, 0);
            let end = compare(LossScale::START, 5000, |_| draw.below(period) == 0);
            errors += usize::from(end.is_none());
        }
        assert!((1..30).contains(&errors), "{errors}");
    }

    #[test]
    fn a_scale_without_overflow_for_2000_steps_is_doubled() {
        let start = LossScale { scale: 8.0, good_steps: 0 };
        assert_eq!(compare(start, 1999, |_| false), Some(LossScale { scale: 8.0, good_steps: 1999 }));
        assert_eq!(compare(start, 2000, |_| false), Some(LossScale { scale: 16.0, good_steps: 0 }));
        assert_eq!(compare(start, 2001, |_| false), Some(LossScale { scale: 16.0, good_steps: 1 }));
        // An overflow in the last step halves the scale.
        assert_eq!(compare(start, 2000, |step| step == 1999), Some(LossScale { scale: 4.0, good_steps: 0 }));
    }

    #[test]
    fn gradients_that_are_never_finite_exhaust_the_scale() {
        assert_eq!(compare(LossScale::START, 16, |_| true), Some(LossScale { scale: MIN_SCALE, good_steps: 0 }));
        assert_eq!(compare(LossScale::START, 17, |_| true), None);
        // The scale stays, and a good step takes the flag back.
        let least = LossScale { scale: MIN_SCALE, good_steps: 7 }.to_device::<Plain>(&any_device());
        let exhausted = least.after(&flag(false));
        assert!(is_exhausted(&exhausted));
        assert_eq!(exhausted.read(), LossScale { scale: MIN_SCALE, good_steps: 0 });
        let good = exhausted.after(&flag(true));
        assert!(!is_exhausted(&good));
        assert_eq!(good.read(), LossScale { scale: MIN_SCALE, good_steps: 1 });
        assert!(LossScale::error_of_exhaustion().to_string().contains("not finite at the smallest loss scale, 1:"));
    }

    #[test]
    fn the_largest_scale_and_its_inverse_are_normal_numbers() {
        assert_eq!(MAX_SCALE, 2f64.powi(126));
        for scale in [MAX_SCALE, 1e300] {
            let start = LossScale { scale, good_steps: GROWTH_INTERVAL - 1 };
            let after = start.to_device::<Plain>(&any_device()).after(&flag(true));
            assert_eq!(after.read(), LossScale { scale: MAX_SCALE, good_steps: 0 });
            assert_eq!(values(after.inverse()), [f32::MIN_POSITIVE]);
        }
    }
}
