//! Luma, mean and blends of views `[B, K, 3, H, W]`, whose values are integers from 0 to 255.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

use super::integer_part::{dyadic_integer_part, integer_part};
use super::table::OF_BLEND;

/// One channel of views, `[B, K, 1, H, W]`.
pub(super) fn channel<B: Backend>(views: &Tensor<B, 5>, channel: usize) -> Tensor<B, 5> {
    views.clone().narrow(2, channel, 1)
}

/// The luma of each pixel, `[B, K, 1, H, W]`, as [`luma`](crate::color::luma).
pub(super) fn luma<B: Backend>(views: &Tensor<B, 5>) -> Tensor<B, 5> {
    let sum = channel(views, 0) * 19595.0 + channel(views, 1) * 38470.0 + channel(views, 2) * 7471.0;
    dyadic_integer_part((sum + f64::from(0x8000)) * (1.0 / 65536.0))
}

/// The mean luma of each view, rounded to an integer, `[B, K, 1, 1, 1]`.
pub(super) fn rounded_mean<B: Backend>(luma: Tensor<B, 5>) -> Tensor<B, 5> {
    let [_, _, _, height, width] = luma.dims();
    let pixels = (height * width) as i64;
    // The sum of a row fits into the 24 bits of an `f32`, that of a view into 32.
    let sum = luma.sum_dim(4).int().sum_dim(3);
    sum.mul_scalar(2).add_scalar(pixels).div_scalar(2 * pixels).float().cast(DType::F32)
}

/// Above every product of a blend: a factor up to 2 of a difference up to 255.
const LARGEST_PRODUCT: f64 = 512.0;

/// Blends views with a gray: `from + factor · (view - from)`, clamped to 8 bits and rounded down.
///
/// `of_blend` are the factor, and the shares of the mean luma and of the pixel's luma in the gray, each `[B, K, 1, 1, 1]`.
pub(super) fn blend<B: Backend>(views: Tensor<B, 5>, of_blend: [Tensor<B, 5>; OF_BLEND]) -> Tensor<B, 5> {
    let [factor, of_mean, of_luma] = of_blend;
    let luma = luma(&views);
    let from = rounded_mean(luma.clone()) * of_mean + luma * of_luma;
    let difference = views - from.clone();
    // The clamp changes no value, but the product below it rounds on its own.
    let product = (difference * factor).clamp(-LARGEST_PRODUCT, LARGEST_PRODUCT);
    integer_part((from + product).clamp(0.0, 255.0))
}

/// Moves from one integer to another where `share` is 1, and not where it is 0.
pub(super) fn replace<B: Backend>(from: Tensor<B, 5>, to: Tensor<B, 5>, share: Tensor<B, 5>) -> Tensor<B, 5> {
    from.clone() + (to - from) * share
}
