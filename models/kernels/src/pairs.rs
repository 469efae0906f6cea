//! Convolutions to eight channels whose pixels go through vectors of 16 lanes in pairs.
//!
//! Neighbouring pixels x and x + 1 see windows of a row of the frame that are C_in values apart, together (k + 1)·C_in values. So the
//! convolution is one of windows of k × (k + 1) pixels, two apart, to 16 channels: the weights of pixel x, with zeros for the last C_in
//! values, beside those of pixel x + 1, with zeros for the first. The output `[H', W' / 2, 16]` is `[H', W', 8]`. That takes (k + 1) / 2k
//! of the products of vectors, 2/3 for k = 3. A value that is infinite or NaN makes the neighbour of a pixel that sees it NaN, too.

use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::has_sixteen_lanes;

/// Output channels of a pixel, half of a vector.
const HALF: usize = 8;

/// Whether a convolution is computed in pairs.
pub(crate) fn in_pairs(sizes: &ConvSizes) -> bool {
    let ConvParams { c_out, kernel, stride, .. } = sizes.params();
    c_out == HALF && stride == 1 && kernel > 1 && sizes.out_width().is_multiple_of(2) && has_sixteen_lanes()
}

/// The pairs of pixels of a row.
pub(crate) struct Pairs {
    /// Values of a row of the frame that a pair sees.
    pub len: usize,
    /// Values of the frame from a pair to the next.
    pub step: usize,
    pub per_row: usize,
}

/// # Panics
///
/// If the convolution has other than eight output channels, a stride, or an odd number of pixels in a row.
pub(crate) fn pairs_of(sizes: &ConvSizes) -> Pairs {
    let ConvParams { c_in, c_out, kernel, stride, .. } = sizes.params();
    let width = sizes.out_width();
    assert!(c_out == HALF && stride == 1 && width.is_multiple_of(2), "a convolution in pairs");
    Pairs { len: (kernel + 1) * c_in, step: 2 * c_in, per_row: width / 2 }
}

/// The weights `[k, k, C_in, 8]` for pairs, `[k, k + 1, C_in, 16]`.
pub(crate) fn paired(weights: &[f32], sizes: &ConvSizes) -> Vec<f32> {
    let ConvParams { c_in, kernel, .. } = sizes.params();
    let (len, of_pair) = (kernel * c_in, pairs_of(sizes).len);
    let mut paired = vec![0.0; kernel * of_pair * 2 * HALF];
    let rows = weights.chunks_exact(len * HALF).zip(paired.chunks_exact_mut(of_pair * 2 * HALF));
    for (weights, paired) in rows {
        for (j, weights) in weights.chunks_exact(HALF).enumerate() {
            paired[j * 2 * HALF..][..HALF].copy_from_slice(weights);
            paired[(j + c_in) * 2 * HALF + HALF..][..HALF].copy_from_slice(weights);
        }
    }
    paired
}

/// Adds the gradient of the paired weights `[k, k + 1, C_in, 16]` to that of the weights `[k, k, C_in, 8]`.
pub(crate) fn add_unpaired(paired: &[f32], sizes: &ConvSizes, weights: &mut [f32]) {
    let ConvParams { c_in, kernel, .. } = sizes.params();
    let (len, of_pair) = (kernel * c_in, pairs_of(sizes).len);
    let rows = weights.chunks_exact_mut(len * HALF).zip(paired.chunks_exact(of_pair * 2 * HALF));
    for (weights, paired) in rows {
        for (j, weights) in weights.chunks_exact_mut(HALF).enumerate() {
            let (first, second) = (&paired[j * 2 * HALF..][..HALF], &paired[(j + c_in) * 2 * HALF + HALF..][..HALF]);
            for ((weight, first), second) in weights.iter_mut().zip(first).zip(second) {
                *weight += first + second;
            }
        }
    }
}
