//! The gradient of a convolution's weights.

use std::ops::Range;

use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, backend::Backend};
use qare_host::{primitive, tensor};

use super::kernels::BlockKernels;
use crate::layers::for_sums;

/// Side of the square of weights that one group of threads computes in CubeCL's kernels.
const TILE: usize = 64;
/// Number of groups of threads that keep a large GPU busy.
const GROUPS: usize = 256;
/// Number of values of patches that are gathered at once: 256 MiB of f32.
const PATCHES: usize = 1 << 26;

/// The sizes of a convolution without groups and dilation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sizes {
    pub height: usize,
    pub width: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Sizes {
    pub fn out_height(self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub fn out_width(self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub fn taps(self) -> usize {
        self.kernel * self.kernel
    }

    pub fn places(self) -> usize {
        self.out_height() * self.out_width()
    }

    pub fn options(self) -> ConvOptions<2> {
        ConvOptions::new([self.stride; 2], [self.padding; 2], [1; 2], 1)
    }
}

/// The gradient `[C_out, C_in, k, k]` of the weights, of the maps `[N, H, W, C_in]` and the gradient of the output
/// `[N, H', W', C_out]`.
///
/// It is a product of two matrices, ∂yᵀ `[C_out, N·P]` and the patches `[N·P, k²·C_in]`. Backends compute it as a convolution
/// whose kernel splits the result, not the long sum: with few channels, most of a GPU idles. Then the patches are gathered and the
/// product is computed for many parts of the sum at once.
pub(super) fn weight_gradient<B: Backend, K: BlockKernels<B>>(
    maps: Tensor<B, 4>,
    weight: Tensor<B, 4>,
    of_output: Tensor<B, 4>,
    sizes: Sizes,
) -> Tensor<B, 4> {
    let [c_out, c_in, ..] = weight.dims();
    let tiles = c_out.div_ceil(TILE) * (c_in * sizes.taps()).div_ceil(TILE);
    if tiles < GROUPS / 4 {
        return gathered::<B, K>(maps, of_output, sizes, GROUPS / tiles);
    }
    let [maps, of_output] = [maps, of_output].map(|maps| primitive(planar(maps)));
    tensor(B::conv2d_weight_backward(maps, primitive(weight), of_output, sizes.options()))
}

/// `[N, H, W, C]` → `[N, C, H, W]`
pub(super) fn planar<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 4> {
    maps.permute([0, 3, 1, 2])
}

/// The parts of a batch whose patches, of so many values for each image, are held at once.
pub(super) fn at_once(images: usize, values: usize) -> impl Iterator<Item = Range<usize>> {
    let count = (PATCHES / values).clamp(1, images);
    (0..images).step_by(count).map(move |first| first..(first + count).min(images))
}

/// Some images of a batch.
pub(super) fn of_images<B: Backend>(batch: &Tensor<B, 4>, images: Range<usize>) -> Tensor<B, 4> {
    match images.len() == batch.dims()[0] {
        true => batch.clone(),
        false => batch.clone().narrow(0, images.start, images.len()),
    }
}

/// The gradient by gathered patches, in at most `parts` products of parts of the sum.
fn gathered<B: Backend, K: BlockKernels<B>>(
    maps: Tensor<B, 4>,
    of_output: Tensor<B, 4>,
    sizes: Sizes,
    parts: usize,
) -> Tensor<B, 4> {
    let dtype = maps.dtype();
    let [images, _, _, c_in] = maps.dims();
    let [_, _, _, c_out] = of_output.dims();
    let columns = sizes.taps() * c_in;
    let part = |part: Range<usize>| {
        let of = |tensor: &Tensor<B, 4>| of_images(tensor, part.clone());
        let rows = part.len() * sizes.places();
        let parts = (1..=parts.min(rows)).rev().find(|parts| rows.is_multiple_of(*parts)).unwrap_or(1);
        let patches = K::patches(of(&maps), sizes).reshape([parts, rows / parts, columns]);
        let of_output = of(&of_output).reshape([parts, rows / parts, c_out]);
        // Half precision would lose what many parts add up to.
        for_sums(K::product(of_output.transpose(), patches)).sum_dim(0) // [1, C_out, k²·C_in]
    };
    let sums = at_once(images, sizes.places() * columns).map(part);
    let sum = sums.reduce(|sum, part| sum + part).expect("a batch has images");
    sum.reshape([c_out, sizes.kernel, sizes.kernel, c_in]).permute([0, 3, 1, 2]).cast(dtype)
}
