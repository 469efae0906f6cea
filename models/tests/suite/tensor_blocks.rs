//! Blocks of layers as one operation of autodiff made of tensor operations, as on GPUs, against the layers one by one and the
//! reference. NdArray computes them here: with this checkpointing strategy it has no operation of its own.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{ProjectionHeadConfig, differentiate_blocks_with, named_tensors};

use crate::cpu_blocks::{self, Figures, assert_same};
use crate::golden_backbone;
use crate::numbers::{noise, tensor, values};

type ByBlocks = Autodiff<NdArray, BalancedCheckpointing>;

#[test]
fn blocks_compute_what_the_layers_do() {
    differentiate_blocks_with::<NdArray, BalancedCheckpointing>();
    cpu_blocks::compare::<ByBlocks>("blocks");
}

#[test]
fn blocks_agree_with_the_reference() {
    differentiate_blocks_with::<NdArray, BalancedCheckpointing>();
    golden_backbone::check::<ByBlocks>("blocks");
}

/// Embeddings, running statistics and all gradients of the projection head.
fn head<B: AutodiffBackend>(rows: usize) -> Figures {
    struct Gradients<'a, B: AutodiffBackend>(&'a B::Gradients, Figures);
    impl<B: AutodiffBackend> ModuleVisitor<B> for Gradients<'_, B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if let Some(gradient) = param.val().grad(self.0) {
                self.1.push((format!("gradient {}", self.1.len()), values(gradient)));
            }
        }
    }
    let head = ProjectionHeadConfig::new(20).init::<B>(3, &Default::default());
    let features = tensor::<B, 2>(&noise(rows * 20, 5), [rows, 20]).require_grad();
    let embeddings = head.forward(features.clone());
    let weights: Tensor<B, 2> = tensor(&noise(rows * 64, 6), [rows, 64]);
    let gradients = (embeddings.clone() * weights).sum().backward();
    let mut visitor = Gradients::<B>(&gradients, vec![("embeddings".into(), values(embeddings))]);
    head.visit(&mut visitor);
    let mut figures = visitor.1;
    figures.push(("gradient of the features".into(), values(features.grad(&gradients).unwrap())));
    let valid = head.valid();
    let state = named_tensors(&valid, "").into_iter().filter(|tensor| tensor.name.contains("running"));
    figures.extend(state.map(|tensor| (tensor.name, tensor.values.iter().map(|value| f64::from(*value)).collect())));
    figures
}

#[test]
fn a_head_as_one_operation_computes_what_the_layers_do() {
    differentiate_blocks_with::<NdArray, BalancedCheckpointing>();
    for rows in [2, 7, 64] {
        let (mut found, mut expected) = (head::<ByBlocks>(rows), head::<Autodiff<Flex>>(rows));
        // Batch normalisation takes off what the bias adds, so its gradient is rounding alone.
        let bias = found.iter().position(|(_, values)| values.len() == 256).unwrap();
        let largest = |values: &[f64]| values.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let all = found.iter().map(|(_, values)| largest(values)).fold(0.0, f64::max);
        assert!(largest(&found[bias].1) < 1e-5 * all, "{rows} rows: {:e} of {all}", largest(&found[bias].1));
        found.remove(bias);
        expected.remove(bias);
        assert_same(&found, &expected, 2e-5, &format!("{rows} rows"));
    }
}
