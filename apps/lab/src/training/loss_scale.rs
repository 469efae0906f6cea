//! Dynamic loss scaling for f16, whose smallest positive number is 6e-8. Many gradients are smaller.
//!
//! The loss is multiplied by a scale before it is differentiated, and the f32 gradients of the weights are divided by the scale.
//! If a gradient overflows, the step is skipped and the scale is halved. After many steps in a row without overflow, the scale is
//! doubled. Scales are powers of two, so that scaling does not round.
//!
//! Source: Micikevicius et al., "Mixed Precision Training" (2018), section 3.2.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::cast::ToElement;
use serde::{Deserialize, Serialize};

use crate::error::{LabError, Result};
use crate::precision::Precision;

/// Scale at the start of training.
const INITIAL_SCALE: f64 = 65_536.0;
/// Number of steps in a row without overflow after which the scale is doubled.
const GROWTH_INTERVAL: usize = 2000;
/// Smallest scale. If gradients overflow without scaling, a smaller scale does not help.
const MIN_SCALE: f64 = 1.0;

/// The factor of the loss before differentiation. It is part of the training state.
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

    /// Returns the factor of the loss.
    pub fn factor(self) -> f64 {
        self.scale
    }

    /// Returns the scale after a step. `finite` says whether the gradients of the step were finite.
    ///
    /// # Errors
    /// If the gradients are not finite at the smallest scale.
    pub fn after(self, finite: bool) -> Result<Self> {
        match (finite, self.good_steps + 1) {
            (false, _) if self.scale <= MIN_SCALE => Err(LabError::Failed(format!(
                "gradients are not finite at the smallest loss scale, {MIN_SCALE}: they are out of the range of f16, or training \
                 has diverged (use --precision bf16 or f32, or lower the learning rate)"
            ))),
            (false, _) => Ok(Self { scale: self.scale / 2.0, good_steps: 0 }),
            (true, GROWTH_INTERVAL) => Ok(Self { scale: self.scale * 2.0, good_steps: 0 }),
            (true, good_steps) => Ok(Self { good_steps, ..self }),
        }
    }
}

/// Multiplies a loss `[1]` by `scale` and differentiates it. [`Differentiated::of`] divides the gradients by the scale.
pub fn differentiate<B: AutodiffBackend>(loss: Tensor<B, 1>, scale: Option<f64>) -> Differentiated<B> {
    let loss = match scale {
        Some(scale) => loss * scale,
        None => loss,
    };
    Differentiated { gradients: loss.backward(), inverse: scale.map(f64::recip), sums: Vec::new() }
}

/// The gradients of a loss.
pub struct Differentiated<B: AutodiffBackend> {
    gradients: B::Gradients,
    /// Inverse of the scale, the factor of the gradients.
    inverse: Option<f64>,
    /// Σ|g| of each parameter so far, `[1]`, which is finite only if all its gradients are.
    sums: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Differentiated<B> {
    /// Takes the gradients of a module's parameters, divided by the scale.
    pub fn of<M: AutodiffModule<B>>(&mut self, module: &M) -> GradientsParams {
        let gradients = GradientsParams::from_module(&mut self.gradients, module);
        let Some(inverse) = self.inverse else { return gradients };
        let mut unscaled = Unscaled::<B> { gradients, inverse, sums: &mut self.sums };
        module.visit(&mut unscaled);
        unscaled.gradients
    }

    /// Whether all gradients taken so far are finite. Reads one number from the device. Without a scale, returns true and reads
    /// nothing.
    pub fn are_finite(self) -> bool {
        self.sums.is_empty() || Tensor::cat(self.sums, 0).sum().into_scalar().to_f64().is_finite()
    }
}

/// Visitor that divides the gradients of a module's parameters by the scale.
struct Unscaled<'a, B: AutodiffBackend> {
    gradients: GradientsParams,
    inverse: f64,
    sums: &'a mut Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Unscaled<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) else { return };
        self.sums.push(gradient.clone().abs().sum());
        self.gradients.register(param.id, gradient * self.inverse);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::evaluation::features::values;
    use crate::test_backend::{Plain, Training, any_device};

    /// A module of one parameter `[2]`.
    type Weights = Param<Tensor<Training, 1>>;

    /// The gradient of Σ factors·w, or `None` if it is not finite.
    fn step(scale: Option<LossScale>, factors: [f32; 2]) -> Option<Vec<f32>> {
        let weights: Weights = Param::from_data(TensorData::from([1.0f32, 2.0]), &any_device());
        let factors = Tensor::<Training, 1>::from_floats(factors, &any_device());
        let loss = (weights.val() * factors).sum();
        let mut differentiated = differentiate(loss, scale.map(LossScale::factor));
        let gradients = differentiated.of(&weights);
        let gradient = gradients.get::<Plain, 1>(weights.id).unwrap();
        differentiated.are_finite().then(|| values(gradient))
    }

    #[test]
    fn scaling_does_not_change_gradients() {
        let factors = [0.1, -3e-9];
        for precision in Precision::ALL {
            assert_eq!(step(LossScale::start(precision), factors), Some(factors.to_vec()), "{precision}");
        }
        assert_eq!(LossScale::start(Precision::Bf16), None);
    }

    #[test]
    fn an_overflow_halves_the_scale_and_skips_the_step() {
        let mut scale = LossScale::START;
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e35] {
            assert_eq!(step(Some(scale), [1.0, bad]), None, "{bad}");
            let before = scale;
            scale = scale.after(false).unwrap();
            assert_eq!(scale, LossScale { scale: before.scale / 2.0, good_steps: 0 }, "{bad}");
        }
        assert_eq!(step(Some(scale), [1.0, 2.0]), Some(vec![1.0, 2.0]));
        assert_eq!(scale.after(true).unwrap(), LossScale { scale: 4096.0, good_steps: 1 });
    }

    #[test]
    fn a_scale_without_overflow_for_many_steps_is_doubled() {
        let mut state = LossScale { scale: 8.0, good_steps: 0 };
        for _ in 1..GROWTH_INTERVAL {
            state = state.after(true).unwrap();
        }
        assert_eq!(state, LossScale { scale: 8.0, good_steps: GROWTH_INTERVAL - 1 });
        assert_eq!(state.after(true).unwrap(), LossScale { scale: 16.0, good_steps: 0 });
        assert_eq!(state.after(false).unwrap(), LossScale { scale: 4.0, good_steps: 0 });
    }

    #[test]
    fn gradients_that_are_never_finite_are_an_error() {
        let mut scale = LossScale::START;
        for _ in 0..16 {
            scale = scale.after(false).unwrap();
        }
        assert_eq!(scale.scale, MIN_SCALE);
        assert!(scale.after(false).unwrap_err().to_string().contains("not finite"));
    }
}
