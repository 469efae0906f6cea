//! The inner loops of convolutions: tiles of pixels × output channels that stay in registers.
//!
//! Eight output channels fill half of a vector of 16 lanes, so there two neighbouring pixels share one: see [`crate::pairs`].

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use crate::pairs::pairs_of;
use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::{load, store, vectorize};
use crate::weights::panel_width;

/// Writes the convolution of a frame `[H + 2p, W + 2p, C_in]` with weights `[C_out / w, k, k, C_in, w]`.
///
/// # Panics
///
/// If the lengths are not those of the sizes.
pub(crate) fn convolve_frame(frame: &[f32], sizes: &ConvSizes, weights: &[f32], out: &mut [f32]) {
    assert_eq!((frame.len(), out.len()), (sizes.frame_len(), sizes.output_len()));
    assert_eq!(weights.len(), sizes.weights_len());
    let ConvParams { c_in, c_out, kernel, stride, .. } = sizes.params();
    let row = sizes.frame_width() * c_in;
    let geometry = Geometry {
        rows: kernel,
        len: kernel * c_in,
        row,
        step: stride * c_in,
        down: stride * row,
        out: [sizes.out_height(), sizes.out_width()],
        c_out,
    };
    vectorize(c_out, Convolve { frame, geometry, weights, out });
}

/// Writes the products of pixels `[R, C_in]` with the weights `[C_out / w, C_in, w]` of a convolution of 1×1, `[R, C_out]`.
///
/// # Panics
///
/// If the lengths are not those of R pixels, or the kernel is not 1×1.
pub(crate) fn multiply_pixels(pixels: &[f32], sizes: &ConvSizes, weights: &[f32], out: &mut [f32]) {
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let count = pixels.len() / c_in;
    assert_eq!((kernel, pixels.len(), out.len()), (1, count * c_in, count * c_out));
    assert_eq!(weights.len(), c_in * c_out);
    let geometry =
        Geometry { rows: 1, len: c_in, row: pixels.len(), step: c_in, down: pixels.len(), out: [1, count], c_out };
    vectorize(c_out, Convolve { frame: pixels, geometry, weights, out });
}

/// The same as [`convolve_frame`] with the [paired weights](crate::pairs::paired) of a convolution [in pairs](crate::pairs::in_pairs).
///
/// # Panics
///
/// If the lengths are not those of the sizes, or the convolution is not in pairs.
pub(crate) fn convolve_frame_in_pairs(frame: &[f32], sizes: &ConvSizes, weights: &[f32], out: &mut [f32]) {
    assert_eq!((frame.len(), out.len()), (sizes.frame_len(), sizes.output_len()));
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let (pairs, row) = (pairs_of(sizes), sizes.frame_width() * c_in);
    let geometry = Geometry {
        rows: kernel,
        len: pairs.len,
        row,
        step: pairs.step,
        down: row,
        out: [sizes.out_height(), pairs.per_row],
        c_out: 2 * c_out,
    };
    assert_eq!(weights.len(), kernel * pairs.len * 2 * c_out);
    vectorize(2 * c_out, Convolve { frame, geometry, weights, out });
}

/// A convolution as products of windows of a frame with weights.
#[derive(Clone, Copy)]
struct Geometry {
    /// Rows of a window.
    rows: usize,
    /// Values of a window in each of them.
    len: usize,
    /// Values of a row of the frame.
    row: usize,
    /// Values of the frame from a window to the next.
    step: usize,
    /// Values of the frame from the windows of an output row to those of the next.
    down: usize,
    /// Rows of the output, and windows in each of them.
    out: [usize; 2],
    /// Values that a window leads to.
    c_out: usize,
}

/// Made by the functions above alone: all windows are in the frame, the lengths are those of the geometry, and the lanes of a vector divide
/// C_out.
struct Convolve<'a> {
    frame: &'a [f32],
    geometry: Geometry,
    weights: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A step that the compiler knows becomes an offset in an address.
        match self.geometry.step {
            3 => self.rows::<S, 3>(simd),
            6 => self.rows::<S, 6>(simd),
            8 => self.rows::<S, 8>(simd),
            16 => self.rows::<S, 16>(simd),
            32 => self.rows::<S, 32>(simd),
            64 => self.rows::<S, 64>(simd),
            _ => self.rows::<S, 0>(simd),
        }
    }
}

impl Convolve<'_> {
    /// Chooses tiles that fit into the registers. STEP is the step from the window of a pixel to the next, or 0 for any.
    #[inline(always)]
    fn rows<S: Simd, const STEP: usize>(self, simd: S) {
        let blocks = panel_width(self.geometry.c_out) / S::F32_LANES;
        let many_registers = S::REGISTER_COUNT >= 32;
        match (many_registers, blocks) {
            (true, blocks) if S::F32_LANES == 4 && blocks.is_multiple_of(4) => self.tiles::<S, STEP, 4, 4>(simd),
            (true, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, STEP, 8, 2>(simd),
            (true, _) => self.tiles::<S, STEP, 16, 1>(simd),
            (false, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, STEP, 4, 2>(simd),
            (false, _) => self.tiles::<S, STEP, 8, 1>(simd),
        }
    }

    /// All output, P pixels × N vectors of channels at a time.
    #[inline(always)]
    fn tiles<S: Simd, const STEP: usize, const P: usize, const N: usize>(self, simd: S) {
        let Geometry { rows, len, row, step, down, out: [out_height, out_width], c_out } = self.geometry;
        let panel = panel_width(c_out);
        let window = Window { row, rows, len, step: if STEP == 0 { step } else { STEP }, panel, c_out };
        for channel in (0..c_out).step_by(N * S::F32_LANES) {
            let weights = channel / panel * panel * rows * len + channel % panel;
            for y in 0..out_height {
                let mut x = 0;
                while x < out_width {
                    // SAFETY: the windows of all output pixels are in the frame, and a tile has no pixel from
                    // out_width on; N vectors divide a panel, so that all of them are in the panel of weights and in the output
                    // pixel.
                    unsafe {
                        let frame = self.frame.as_ptr().add(y * down + x * window.step);
                        let weights = self.weights.as_ptr().add(weights);
                        let out = self.out.as_mut_ptr().add((y * out_width + x) * c_out + channel);
                        if x + P <= out_width {
                            window.tile::<S, P, N>(simd, frame, weights, out);
                            x += P;
                        } else if P > 8 && x + 8 <= out_width {
                            window.tile::<S, 8, N>(simd, frame, weights, out);
                            x += 8;
                        } else if P > 4 && x + 4 <= out_width {
                            window.tile::<S, 4, N>(simd, frame, weights, out);
                            x += 4;
                        } else {
                            window.tile::<S, 1, N>(simd, frame, weights, out);
                            x += 1;
                        }
                    }
                }
            }
        }
    }
}

/// The part of a frame that one output pixel sees.
#[derive(Clone, Copy)]
struct Window {
    /// Values of a row of the frame.
    row: usize,
    /// Number of rows.
    rows: usize,
    /// Values of the window in each of them.
    len: usize,
    /// Values from the window of a pixel to that of the next.
    step: usize,
    /// Values of the weights from a value of the window to the next.
    panel: usize,
    c_out: usize,
}

impl Window {
    /// P neighbouring pixels × N vectors of channels.
    ///
    /// # Safety
    ///
    /// For p < P, ky < rows, j < len and c < N·lanes, `frame[ky·row + p·step + j]` and `weights[(ky·len + j)·panel + c]` can be
    /// read, and `out[p·C_out + c]` can be written.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const N: usize>(
        self,
        simd: S,
        frame: *const f32,
        weights: *const f32,
        out: *mut f32,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); N]; P];
        // SAFETY: the loops run over the indices that the caller promises.
        unsafe {
            for row in 0..self.rows {
                let frame = frame.add(row * self.row);
                let weights = weights.add(row * self.len * self.panel);
                for j in 0..self.len {
                    let weights = weights.add(j * self.panel);
                    let mut weight = [simd.splat_f32s(0.0); N];
                    for n in 0..N {
                        weight[n] = load::<S>(weights.add(n * S::F32_LANES));
                    }
                    for p in 0..P {
                        let value = simd.splat_f32s(*frame.add(j + p * self.step));
                        for n in 0..N {
                            sums[p][n] = simd.mul_add_e_f32s(value, weight[n], sums[p][n]);
                        }
                    }
                }
            }
            for p in 0..P {
                for n in 0..N {
                    store::<S>(out.add(p * self.c_out + n * S::F32_LANES), sums[p][n]);
                }
            }
        }
    }
}
