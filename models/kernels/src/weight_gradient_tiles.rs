//! The inner loops of the gradient of weights: tiles of weights that stay in registers while a sum runs over all pixels.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use crate::pairs::{add_unpaired, in_pairs, pairs_of};
use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::{load, store, vectorize};

/// Adds the gradient of the weights `[k, k, C_in, C_out]` for the image in a frame, given the gradient of the output.
///
/// # Panics
///
/// If the lengths are not those of the sizes.
pub(crate) fn add_weight_gradient(frame: &[f32], gradient: &[f32], sizes: &ConvSizes, weights: &mut [f32]) {
    assert_eq!((frame.len(), gradient.len()), (sizes.frame_len(), sizes.output_len()));
    assert_eq!(weights.len(), sizes.weights_len());
    let ConvParams { c_in, c_out, kernel, stride, .. } = sizes.params();
    let (height, width, row) = (sizes.out_height(), sizes.out_width(), sizes.frame_width() * c_in);
    if in_pairs(sizes) {
        let pairs = pairs_of(sizes);
        let pixels = Pixels { height, width: pairs.per_row, row, step: pairs.step, c_out: 2 * c_out };
        let mut paired = vec![0.0; kernel * pairs.len * 2 * c_out];
        let of_pairs =
            WeightGradient { frame, gradient, pixels, row, rows: kernel, len: pairs.len, weights: &mut paired };
        vectorize(2 * c_out, of_pairs);
        return add_unpaired(&paired, sizes, weights);
    }
    let pixels = Pixels { height, width, row: stride * row, step: stride * c_in, c_out };
    vectorize(c_out, WeightGradient { frame, gradient, pixels, row, rows: kernel, len: kernel * c_in, weights });
}

/// Made by [`add_weight_gradient`] alone: the windows of all pixels are in the frame, the lengths fit, and the lanes of a vector divide C_out.
struct WeightGradient<'a> {
    frame: &'a [f32],
    gradient: &'a [f32],
    pixels: Pixels,
    /// Values of a row of the frame.
    row: usize,
    /// Rows of a window, and its values in each of them.
    rows: usize,
    len: usize,
    weights: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let blocks = self.pixels.c_out / S::F32_LANES;
        let many_registers = S::REGISTER_COUNT >= 32;
        match (many_registers, blocks) {
            (true, blocks) if blocks.is_multiple_of(4) => self.tiles::<S, 6, 4>(simd),
            (true, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, 8, 2>(simd),
            // Three channels in pairs: all places of a row of the window.
            (true, _) if self.len == 12 => self.tiles::<S, 12, 1>(simd),
            (true, _) => self.tiles::<S, 16, 1>(simd),
            (false, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, 4, 2>(simd),
            (false, _) => self.tiles::<S, 8, 1>(simd),
        }
    }
}

impl WeightGradient<'_> {
    /// All weights, Q places of a window × N vectors of channels at a time.
    #[inline(always)]
    fn tiles<S: Simd, const Q: usize, const N: usize>(self, simd: S) {
        let Self { pixels, row, rows, len, .. } = self;
        let c_out = pixels.c_out;
        for channel in (0..c_out).step_by(N * S::F32_LANES) {
            for ky in 0..rows {
                let mut j = 0;
                while j < len {
                    // SAFETY: the windows of all output pixels are in the frame, and a tile has no place from len on;
                    // N vectors divide C_out, so channels up to N·lanes from `channel` on are in weights and gradient.
                    unsafe {
                        let frame = self.frame.as_ptr().add(ky * row + j);
                        let gradient = self.gradient.as_ptr().add(channel);
                        let weights = self.weights.as_mut_ptr().add((ky * len + j) * c_out + channel);
                        if j + Q <= len {
                            pixels.tile::<S, Q, N>(simd, frame, gradient, weights);
                            j += Q;
                        } else if Q > 8 && j + 8 <= len {
                            pixels.tile::<S, 8, N>(simd, frame, gradient, weights);
                            j += 8;
                        } else if Q > 4 && j + 4 <= len {
                            pixels.tile::<S, 4, N>(simd, frame, gradient, weights);
                            j += 4;
                        } else {
                            pixels.tile::<S, 1, N>(simd, frame, gradient, weights);
                            j += 1;
                        }
                    }
                }
            }
        }
    }
}

/// The output pixels, and how far apart their windows are in the frame.
#[derive(Clone, Copy)]
struct Pixels {
    height: usize,
    width: usize,
    /// Values of the frame from an output row to the next.
    row: usize,
    /// Values of the frame from an output pixel to the next.
    step: usize,
    c_out: usize,
}

impl Pixels {
    /// Q neighbouring places of the windows × N vectors of channels, summed over all pixels.
    ///
    /// # Safety
    ///
    /// For y < height, x < width, q < Q and c < N·lanes, `frame[y·row + x·step + q]` and `gradient[(y·width + x)·C_out + c]` can
    /// be read, and `weights[q·C_out + c]` can be read and written.
    #[inline(always)]
    unsafe fn tile<S: Simd, const Q: usize, const N: usize>(
        self,
        simd: S,
        frame: *const f32,
        gradient: *const f32,
        weights: *mut f32,
    ) {
        // SAFETY: the loops run over the indices that the caller promises.
        unsafe {
            let mut sums = [[simd.splat_f32s(0.0); N]; Q];
            for y in 0..self.height {
                let mut frame = frame.add(y * self.row);
                let mut gradient = gradient.add(y * self.width * self.c_out);
                for _ in 0..self.width {
                    let mut of_output = [simd.splat_f32s(0.0); N];
                    for n in 0..N {
                        of_output[n] = load::<S>(gradient.add(n * S::F32_LANES));
                    }
                    for q in 0..Q {
                        let value = simd.splat_f32s(*frame.add(q));
                        for n in 0..N {
                            sums[q][n] = simd.mul_add_e_f32s(value, of_output[n], sums[q][n]);
                        }
                    }
                    // After the last pixel these may point past the end of their arrays, which `add` must not.
                    frame = frame.wrapping_add(self.step);
                    gradient = gradient.wrapping_add(self.c_out);
                }
            }
            for q in 0..Q {
                for n in 0..N {
                    let at = weights.add(q * self.c_out + n * S::F32_LANES);
                    store::<S>(at, simd.add_f32s(load::<S>(at), sums[q][n]));
                }
            }
        }
    }
}
