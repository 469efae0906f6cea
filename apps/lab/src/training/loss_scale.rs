//! Dynamic loss scaling: f16 has no numbers between 0 and 6e-8, where many gradients are.
//!
//! The loss is multiplied by a scale before it is differentiated, and the gradients of the weights, which are f32, are divided by it.
//! A scale that makes a gradient overflow is halved, and that step is left out; after many steps in a row without, it is doubled.
//! Scales are powers of two, so that nothing is rounded by them.
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

/// The scale that training starts with.
const FIRST: f64 = 65_536.0;
/// Good steps after which it is doubled.
const PATIENCE: usize = 2000;
/// The least scale: where gradients overflow without one, smaller numbers will not help.
const LEAST: f64 = 1.0;

/// What a loss is multiplied by before it is differentiated; part of the state of a training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    scale: f64,
    /// Steps since it last changed.
    good_steps: usize,
}

impl LossScale {
    const START: Self = Self { scale: FIRST, good_steps: 0 };

    /// The scale that a training starts with; `None` where the precision needs none.
    pub fn start(precision: Precision) -> Option<Self> {
        (precision == Precision::F16).then_some(Self::START)
    }

    /// The factor.
    pub fn factor(self) -> f64 {
        self.scale
    }

    /// The scale after a step, given whether its gradients were finite.
    ///
    /// # Errors
    /// When they are not finite at the least scale either.
    pub fn after(self, finite: bool) -> Result<Self> {
        match (finite, self.good_steps + 1) {
            (false, _) if self.scale <= LEAST => Err(LabError::Failed(format!(
                "gradients are not finite even where the loss is multiplied by no more than {LEAST}: they are out of the range of \
                 f16, or training has diverged (use --precision bf16 or f32, or lower the learning rate)"
            ))),
            (false, _) => Ok(Self { scale: self.scale / 2.0, good_steps: 0 }),
            (true, PATIENCE) => Ok(Self { scale: self.scale * 2.0, good_steps: 0 }),
            (true, good_steps) => Ok(Self { good_steps, ..self }),
        }
    }
}

/// Differentiates a loss `[1]` that is multiplied by `scale` first, and divides the gradients by it.
pub fn differentiate<B: AutodiffBackend>(loss: Tensor<B, 1>, scale: Option<f64>) -> Differentiated<B> {
    let loss = match scale {
        Some(scale) => loss * scale,
        None => loss,
    };
    Differentiated { gradients: loss.backward(), inverse: scale.map(f64::recip), sums: Vec::new() }
}

/// A loss that has been differentiated: its gradients for one module after the other, and then whether they are finite.
pub struct Differentiated<B: AutodiffBackend> {
    gradients: B::Gradients,
    /// What the gradients are multiplied by.
    inverse: Option<f64>,
    /// Σ|g| of each parameter so far, `[1]`: not finite if one of its gradients is not.
    sums: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Differentiated<B> {
    /// The gradients of a module's parameters.
    pub fn of<M: AutodiffModule<B>>(&mut self, module: &M) -> GradientsParams {
        let gradients = GradientsParams::from_module(&mut self.gradients, module);
        let Some(inverse) = self.inverse else { return gradients };
        let mut unscaled = Unscaled::<B> { gradients, inverse, sums: &mut self.sums };
        module.visit(&mut unscaled);
        unscaled.gradients
    }

    /// Whether a step may be taken with the gradients: not if the scale made some of them overflow. Reads one number from the
    /// device; without a scale none, and the answer is yes.
    pub fn are_finite(self) -> bool {
        self.sums.is_empty() || Tensor::cat(self.sums, 0).sum().into_scalar().to_f64().is_finite()
    }
}

/// Divides the gradients of a module's parameters by the scale.
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

    /// The gradient of Σ factors·w, if a step may be taken with it.
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
    fn gradients_are_those_of_the_loss_to_the_bit() {
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
    fn a_scale_that_serves_for_long_is_doubled() {
        let mut state = LossScale { scale: 8.0, good_steps: 0 };
        for _ in 1..PATIENCE {
            state = state.after(true).unwrap();
        }
        assert_eq!(state, LossScale { scale: 8.0, good_steps: PATIENCE - 1 });
        assert_eq!(state.after(true).unwrap(), LossScale { scale: 16.0, good_steps: 0 });
        assert_eq!(state.after(false).unwrap(), LossScale { scale: 4.0, good_steps: 0 });
    }

    #[test]
    fn gradients_that_are_never_finite_are_a_failure() {
        let mut scale = LossScale::START;
        for _ in 0..16 {
            scale = scale.after(false).unwrap();
        }
        assert_eq!(scale.scale, LEAST);
        assert!(scale.after(false).unwrap_err().to_string().contains("not finite"));
    }
}
