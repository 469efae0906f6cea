//! Gradients of a loss that is scaled before it is differentiated.

use std::collections::HashMap;

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Bool, Tensor, TensorPrimitive};

use super::loss_scale::DynamicLossScale;

/// Multiplies a loss `[1]` by `scale` and differentiates it. [`Differentiated::of`] divides the gradients by the scale.
pub fn differentiate<B: AutodiffBackend>(
    loss: Tensor<B, 1>,
    scale: Option<&DynamicLossScale<B::InnerBackend>>,
) -> Differentiated<B> {
    let loss = match scale {
        Some(scale) => loss * Tensor::from_inner(scale.factor()),
        None => loss,
    };
    let inverse = scale.map(DynamicLossScale::inverse);
    Differentiated { gradients: loss.backward(), inverse, sums: Vec::new() }
}

/// The gradients of a loss.
pub struct Differentiated<B: AutodiffBackend> {
    gradients: B::Gradients,
    /// Inverse of the scale, the factor of the gradients, `[1]`.
    inverse: Option<Tensor<B::InnerBackend, 1>>,
    /// Σg of each parameter so far, `[1]`, which is finite only if all its gradients are.
    sums: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> Differentiated<B> {
    /// Takes the gradients of a module's parameters, divided by the scale.
    pub fn of<M: AutodiffModule<B>>(&mut self, module: &M) -> GradientsParams {
        let gradients = GradientsParams::from_module(&mut self.gradients, module);
        let Some(inverse) = &self.inverse else { return gradients };
        // All sums, then all quotients, so that Burn can fuse those of a shape.
        let mut sums = Sums::<B> { gradients: &gradients, sums: &mut self.sums };
        module.visit(&mut sums);
        let mut unscaled = Unscaled::<B> { gradients, inverse, of_rank: HashMap::new() };
        module.visit(&mut unscaled);
        unscaled.gradients
    }

    /// Whether all gradients taken so far are finite, `[1]`. Reads nothing from the device. `None` without a scale, or if there are
    /// no gradients.
    pub fn are_finite(self) -> Option<Tensor<B::InnerBackend, 1, Bool>> {
        // Not a comparison with the largest number, which compilers for GPUs may take for always true.
        // No infinity is made up for by another: ∞ − ∞ is no number.
        self.sums.into_iter().reduce(|sum, more| sum + more).map(|sum| sum.is_finite())
    }
}

/// Visitor that sums the gradients of each of a module's parameters.
struct Sums<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    sums: &'a mut Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Sums<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.sums.extend(self.gradients.get::<B::InnerBackend, D>(param.id).map(Tensor::sum));
    }
}

/// Visitor that divides the gradients of a module's parameters by the scale.
struct Unscaled<'a, B: AutodiffBackend> {
    gradients: GradientsParams,
    inverse: &'a Tensor<B::InnerBackend, 1>,
    /// The inverse `[1; D]`, by D.
    of_rank: HashMap<usize, TensorPrimitive<B::InnerBackend>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Unscaled<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(gradient) = self.gradients.remove::<B::InnerBackend, D>(param.id) else { return };
        let inverse = self.of_rank.entry(D).or_insert_with(|| self.inverse.clone().reshape([1; D]).into_primitive());
        self.gradients.register(param.id, gradient * Tensor::from_primitive(inverse.clone()));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;
    use crate::evaluation::features::values;
    use crate::precision::Precision;
    use crate::test_backend::{Plain, Training, any_device};
    use crate::training::loss_scale::LossScale;

    /// A module of one parameter `[2]`.
    type Weights = Param<Tensor<Training, 1>>;

    /// The gradient of Σ factors·w, and whether it is finite.
    fn step(precision: Precision, factors: [f32; 2]) -> (Vec<f32>, Option<bool>) {
        let weights: Weights = Param::from_data(TensorData::from([1.0f32, 2.0]), &any_device());
        let factors = Tensor::<Training, 1>::from_floats(factors, &any_device());
        let loss = (weights.val() * factors).sum();
        let scale = LossScale::start(precision).map(|scale| scale.to_device::<Plain>(&any_device()));
        let mut differentiated = differentiate(loss, scale.as_ref());
        let gradient = differentiated.of(&weights).get::<Plain, 1>(weights.id).unwrap();
        (values(gradient), differentiated.are_finite().map(|finite| values(finite.float()) == [1.0]))
    }

    #[test]
    fn scaling_does_not_change_gradients() {
        let factors = [0.1, -3e-9];
        for precision in Precision::ALL {
            let finite = (precision == Precision::F16).then_some(true);
            assert_eq!(step(precision, factors), (factors.to_vec(), finite), "{precision}");
        }
    }

    #[test]
    fn overflows_are_found() {
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e35] {
            assert_eq!(step(Precision::F16, [1.0, bad]).1, Some(false), "{bad}");
        }
        // The sum of 2¹⁶·1e33 is in the range of f32.
        assert_eq!(step(Precision::F16, [1.0, 1e33]).1, Some(true));
        assert_eq!(step(Precision::F16, [0.0, 0.0]).1, Some(true));
    }
}
