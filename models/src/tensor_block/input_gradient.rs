//! The gradient of a convolution's input.

use std::ops::Range;

use burn::tensor::{Tensor, backend::Backend};
use qare_host::{primitive, tensor};

use super::kernels::BlockKernels;
use super::weight_gradient::{Sizes, at_once, of_images, planar};

/// The gradient `[N, H, W, C_in]` of the maps, of the weights `[C_out, C_in, k, k]` and the gradient of the output `[N, H', W', C_out]`.
///
/// It is a product of matrices, ∂y `[N·P, C_out]` and the weights `[C_out, k²·C_in]`, whose values at each place are added up in the pixels
/// that they are from.
///
/// Burn 0.21 chooses between kernels of its own. One of them, `conv_transpose2d_direct`, finds zero for kernels smaller than their stride, as
/// in the shortcuts of residual networks. Another makes a product that is wrong for some lengths of its sums, which are the channels of
/// the output. So they serve multiples of 128 channels alone.
pub(super) fn input_gradient<B: Backend, K: BlockKernels<B>>(
    maps: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    of_output: Tensor<B, 4>,
    sizes: Sizes,
) -> Tensor<B, 4> {
    let [c_out, c_in, ..] = weight.dims();
    if sizes.kernel >= sizes.stride && !K::needs_product(c_out) {
        let [maps, of_output] = [maps, of_output].map(|maps| primitive(planar(maps)));
        let gradient = B::conv2d_x_backward(maps, primitive(weight), of_output, sizes.options());
        return tensor::<B, 4>(gradient).permute([0, 2, 3, 1]);
    }
    let dtype = of_output.dtype();
    let [images, ..] = of_output.dims();
    let values = sizes.taps() * c_in;
    let weight = weight.permute([0, 2, 3, 1]).reshape([c_out, values]);
    let part = |part: Range<usize>| {
        let count = part.len();
        let rows = of_images(&of_output, part).reshape([count * sizes.places(), c_out]);
        let patches = K::product(rows, weight.clone());
        K::fold(patches.reshape([count, sizes.places(), values]), sizes).cast(dtype)
    };
    let mut parts: Vec<_> = at_once(images, sizes.places() * values).map(part).collect();
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
}
