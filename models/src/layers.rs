//! Layers that compute in the type of their input.
//!
//! Parameters are f32. On images of f16 or bf16, convolutions and linear layers round their weights to that type; the gradients
//! of the parameters are f32 again. Sums over many values are computed in f32 (see [`for_sums`]). On images of f32 nothing is
//! rounded, and nothing is added to the graph.

use burn::module::Param;
use burn::nn::Linear;
use burn::nn::PaddingConfig2d::{Explicit, Valid};
use burn::nn::conv::Conv2d;
use burn::tensor::{DType, FloatDType, Int, Tensor, backend::Backend};
use qare_host::computes_on_host;

/// A convolution in the type of the maps, `[N, C, H, W]`.
pub(crate) fn convolution<B: Backend>(layer: &Conv2d<B>, maps: Tensor<B, 4>) -> Tensor<B, 4> {
    let dtype = maps.dtype();
    let [height, width] = layer.stride;
    let pointwise = layer.kernel_size == [1, 1] && matches!(layer.padding, Valid | Explicit(0, 0, 0, 0));
    if pointwise && [height, width] != [1, 1] && !computes_on_host::<B>(&maps.device()) {
        let dense = Conv2d { stride: [1, 1], ..layer.clone() };
        return convolution(&dense, every(every(maps, 2, height), 3, width));
    }
    if layer.weight.val().dtype() == dtype {
        return layer.forward(maps);
    }
    let rounded = Conv2d {
        weight: Param::initialized(layer.weight.id, weight(&layer.weight, dtype)),
        bias: layer.bias.as_ref().map(|bias| Param::initialized(bias.id, weight(bias, dtype))),
        ..layer.clone()
    };
    rounded.forward(maps)
}

/// Each `step`-th entry of a dimension. A convolution of kernel 1 and this stride sees no others, and on GPUs Burn 0.21 may find their gradient
/// to be zero (`conv_transpose2d_direct`, for kernels smaller than their stride).
fn every<B: Backend>(maps: Tensor<B, 4>, dim: usize, step: usize) -> Tensor<B, 4> {
    let places = Tensor::<B, 1, Int>::arange_step(0..maps.dims()[dim] as i64, step, &maps.device());
    maps.select(dim, places)
}

/// A linear layer in the type of the rows, `[N, F]` → `[N, C]`.
pub(crate) fn linear<B: Backend>(layer: &Linear<B>, rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = rows.dtype();
    let bias = layer.bias.as_ref().map(|bias| weight(bias, dtype));
    let layer = LinearLayer { rows, weight: weight(&layer.weight, dtype), bias };
    #[cfg(any(feature = "flex", feature = "ndarray"))]
    let layer = match crate::cpu::linear(layer) {
        Ok(out) => return out,
        Err(layer) => layer,
    };
    burn::tensor::module::linear(layer.rows, layer.weight, layer.bias)
}

/// The arguments of a linear layer.
pub(crate) struct LinearLayer<B: Backend> {
    /// `[N, F]`
    pub rows: Tensor<B, 2>,
    /// `[F, C]`
    pub weight: Tensor<B, 2>,
    /// `[C]`
    pub bias: Option<Tensor<B, 1>>,
}

/// A parameter in the type `dtype`.
pub(crate) fn weight<B: Backend, const D: usize>(parameter: &Param<Tensor<B, D>>, dtype: DType) -> Tensor<B, D> {
    parameter.val().cast(dtype)
}

/// The tensor in f32 if it is f16 or bf16: sums over many such values lose digits or overflow.
pub(crate) fn for_sums<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(FloatDType::F32),
        _ => tensor,
    }
}
