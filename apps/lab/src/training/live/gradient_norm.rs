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
    let mut rows = Rows::<B> { gradients, rows: Vec::new() };
    module.visit(&mut rows);
    // A sum for each parameter would launch more kernels on a GPU than one sum over a copy of all.
    (!rows.rows.is_empty()).then(|| Tensor::cat(rows.rows, 0).square().sum().sqrt())
}

/// Visitor that collects each parameter's gradient as a row.
struct Rows<'a, B: AutodiffBackend> {
    gradients: &'a GradientsParams,
    rows: Vec<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Rows<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(gradient) = self.gradients.get::<B::InnerBackend, D>(param.id) {
            self.rows.push(gradient.flatten(0, D - 1));
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
