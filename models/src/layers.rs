//! Layers that compute in the type of their input.
//!
//! Weights are kept in f32. On images of f16 or bf16, convolutions and linear layers work with weights rounded to that type; the
//! gradients come back through the rounding and are f32 again. Sums over many values are made in f32 (see [`for_sums`]). On images
//! of f32 nothing is rounded, and nothing is added to the graph.

use burn::module::Param;
use burn::nn::Linear;
use burn::nn::conv::Conv2d;
use burn::tensor::{DType, FloatDType, Tensor, backend::Backend};

/// The convolution of maps.
pub(crate) fn convolution<B: Backend>(layer: &Conv2d<B>, maps: Tensor<B, 4>) -> Tensor<B, 4> {
    let dtype = maps.dtype();
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

/// The linear layer of rows.
pub(crate) fn linear<B: Backend, const D: usize>(layer: &Linear<B>, rows: Tensor<B, D>) -> Tensor<B, D> {
    let dtype = rows.dtype();
    let bias = layer.bias.as_ref().map(|bias| weight(bias, dtype));
    burn::tensor::module::linear(rows, weight(&layer.weight, dtype), bias)
}

/// A parameter in the type of what it meets.
pub(crate) fn weight<B: Backend, const D: usize>(parameter: &Param<Tensor<B, D>>, dtype: DType) -> Tensor<B, D> {
    parameter.val().cast(dtype)
}

/// The tensor in f32, if it is of a type with 16 bits: sums of many such numbers would lose digits, or overflow.
pub(crate) fn for_sums<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(FloatDType::F32),
        _ => tensor,
    }
}
