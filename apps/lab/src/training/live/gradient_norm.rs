//! The norm of the gradient.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Returns ‖g‖ of the gradients of all parameters of a module, `[1]`. Nothing is read from the device. `None` without gradients.
pub fn gradient_norm<B: AutodiffBackend, M: AutodiffModule<B>>(
    module: &M,
    gradients: &GradientsParams,
) -> Option<Tensor<B::InnerBackend, 1>> {
    let mut squares = Squares::<B> { gradients, sums: Vec::new() };
    module.visit(&mut squares);
    let sums = squares.sums;
    (!sums.is_empty()).then(|| Tensor::cat(sums, 0).sum().sqrt())
}

/// Visitor that sums the squares of each parameter's gradient.
struct Squares<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Squares<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            self.sums.push(gradient.square().sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::features::values;
    use crate::test_backend::{Plain, Training, any_device};

    #[test]
    fn the_norm_is_that_of_all_gradients_together() {
        let param = |data: [f32; 2]| Param::from_tensor(Tensor::<Training, 1>::from_floats(data, &any_device()));
        let module = vec![param([0.0, 0.0]), param([1.0, 1.0]), param([2.0, 2.0])];
        let mut gradients = GradientsParams::new();
        assert!(gradient_norm::<Training, _>(&module, &gradients).is_none());
        for (param, data) in module.iter().zip([[1.0, -2.0], [4.0, 2.0]]) {
            gradients.register(param.id, Tensor::<Plain, 1>::from_floats(data, &any_device()));
        }
        let norm = values(gradient_norm::<Training, _>(&module, &gradients).unwrap());
        assert_eq!(norm, [5.0]);
    }
}
