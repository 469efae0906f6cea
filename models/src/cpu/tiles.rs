//! The inner loops of convolutions: tiles of pixels × output channels, or of weights, that stay in registers.

// Tiles are written as they are drawn: by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use super::convolution::Sizes;
use super::vectors::{load, store, vectorize};

/// Writes all output pixels of a frame.
pub(super) fn convolve_frame(frame: &[f32], sizes: &Sizes, weights: &[f32], out: &mut [f32]) {
    assert_eq!((frame.len(), out.len()), (sizes.frame(), sizes.output()));
    assert_eq!(weights.len(), sizes.weights());
    vectorize(sizes.c_out, Convolve { frame, sizes, weights, out });
}

struct Convolve<'a> {
    frame: &'a [f32],
    sizes: &'a Sizes,
    weights: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Steps between the windows of neighbouring pixels that are known to the compiler become offsets of addresses.
        match self.sizes.stride * self.sizes.c_in {
            3 => self.rows::<S, 3>(simd),
            8 => self.rows::<S, 8>(simd),
            16 => self.rows::<S, 16>(simd),
            32 => self.rows::<S, 32>(simd),
            64 => self.rows::<S, 64>(simd),
            _ => self.rows::<S, 0>(simd),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn rows<S: Simd, const STEP: usize>(self, simd: S) {
        let blocks = self.sizes.c_out / S::F32_LANES;
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
        let Sizes { c_in, c_out, kernel, stride, .. } = *self.sizes;
        let (out_height, out_width) = (self.sizes.out_height(), self.sizes.out_width());
        let window = Window {
            row: self.sizes.frame_width() * c_in,
            rows: kernel,
            len: kernel * c_in,
            step: if STEP == 0 { stride * c_in } else { STEP },
            c_out,
        };
        for channel in (0..c_out).step_by(N * S::F32_LANES) {
            for y in 0..out_height {
                let mut x = 0;
                while x < out_width {
                    // SAFETY: the windows of pixels x to x + P − 1 of row y lie in the frame, their channels in weights and
                    // output, whose lengths `convolve_frame` has compared with the sizes.
                    unsafe {
                        let frame = self.frame.as_ptr().add(y * stride * window.row + x * window.step);
                        let weights = self.weights.as_ptr().add(channel);
                        let out = self.out.as_mut_ptr().add((y * out_width + x) * c_out + channel);
                        if x + P <= out_width {
                            window.tile::<S, P, N>(simd, frame, weights, out);
                            x += P;
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
    /// Rows and values in each of them.
    rows: usize,
    len: usize,
    /// From the window of a pixel to that of the next.
    step: usize,
    c_out: usize,
}

impl Window {
    /// P neighbouring pixels × N vectors of channels.
    ///
    /// # Safety
    /// `frame`, `weights` and `out` point to the first values of windows, weights and outputs that are all there.
    #[inline(always)]
    unsafe fn tile<S: Simd, const P: usize, const N: usize>(
        self,
        simd: S,
        frame: *const f32,
        weights: *const f32,
        out: *mut f32,
    ) {
        let mut sums = [[simd.splat_f32s(0.0); N]; P];
        // SAFETY: as the caller promises.
        unsafe {
            for row in 0..self.rows {
                let frame = frame.add(row * self.row);
                let weights = weights.add(row * self.len * self.c_out);
                for j in 0..self.len {
                    let weights = weights.add(j * self.c_out);
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

/// Adds the gradient of the weights, given that of the output, for the image in a frame.
pub(super) fn add_weight_gradient(frame: &[f32], gradient: &[f32], sizes: &Sizes, weights: &mut [f32]) {
    assert_eq!((frame.len(), gradient.len()), (sizes.frame(), sizes.output()));
    assert_eq!(weights.len(), sizes.weights());
    vectorize(sizes.c_out, WeightGradient { frame, gradient, sizes, weights });
}

struct WeightGradient<'a> {
    frame: &'a [f32],
    gradient: &'a [f32],
    sizes: &'a Sizes,
    weights: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let blocks = self.sizes.c_out / S::F32_LANES;
        let many_registers = S::REGISTER_COUNT >= 32;
        match (many_registers, blocks) {
            (true, blocks) if blocks.is_multiple_of(4) => self.tiles::<S, 6, 4>(simd),
            (true, blocks) if blocks.is_multiple_of(2) => self.tiles::<S, 8, 2>(simd),
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
        let Sizes { c_in, c_out, kernel, stride, .. } = *self.sizes;
        let (row, len) = (self.sizes.frame_width() * c_in, kernel * c_in);
        let places = Places {
            height: self.sizes.out_height(),
            width: self.sizes.out_width(),
            row: stride * row,
            step: stride * c_in,
            c_out,
        };
        for channel in (0..c_out).step_by(N * S::F32_LANES) {
            for ky in 0..kernel {
                let mut j = 0;
                while j < len {
                    // SAFETY: the places j to j + Q − 1 of all windows lie in the frame, and their weights are there.
                    unsafe {
                        let frame = self.frame.as_ptr().add(ky * row + j);
                        let gradient = self.gradient.as_ptr().add(channel);
                        let weights = self.weights.as_mut_ptr().add((ky * len + j) * c_out + channel);
                        if j + Q <= len {
                            places.tile::<S, Q, N>(simd, frame, gradient, weights);
                            j += Q;
                        } else if Q > 8 && j + 8 <= len {
                            places.tile::<S, 8, N>(simd, frame, gradient, weights);
                            j += 8;
                        } else if Q > 4 && j + 4 <= len {
                            places.tile::<S, 4, N>(simd, frame, gradient, weights);
                            j += 4;
                        } else {
                            places.tile::<S, 1, N>(simd, frame, gradient, weights);
                            j += 1;
                        }
                    }
                }
            }
        }
    }
}

/// All output pixels, and where the same place of their windows is.
#[derive(Clone, Copy)]
struct Places {
    height: usize,
    width: usize,
    /// From a row of outputs to the next, in the frame.
    row: usize,
    /// From a pixel to the next, in the frame.
    step: usize,
    c_out: usize,
}

impl Places {
    /// Q neighbouring places × N vectors of channels, summed over all pixels.
    ///
    /// # Safety
    /// `frame`, `gradient` and `weights` point to the first values of places, gradients and weights that are all there.
    #[inline(always)]
    unsafe fn tile<S: Simd, const Q: usize, const N: usize>(
        self,
        simd: S,
        frame: *const f32,
        gradient: *const f32,
        weights: *mut f32,
    ) {
        // SAFETY: as the caller promises.
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
                    frame = frame.add(self.step);
                    gradient = gradient.add(self.c_out);
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
