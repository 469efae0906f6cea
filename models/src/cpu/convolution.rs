//! Convolutions of one image, channels innermost.
//!
//! An image is `[H, W, C]`, the weights are `[k, k, C_in, C_out]`. Padding is made by copying the image into a frame of zeros
//! `[H + 2p, W + 2p, C]`, where the inputs of an output pixel under one row of the kernel stand together: the k·C_in values from
//! its first column on. So a convolution is k matrix products with windows of the rows of the frame,
//!
//! ```text
//! out[y, x, o] = Σ_ky Σ_j frame[s·y + ky][s·x·C_in + j] · weights[ky][j][o],   j = 0 … k·C_in − 1
//! ```
//!
//! for which pixels × output channels are kept in registers. The gradient of the input is the same kind of convolution, of the
//! gradient of the output with zeros between its pixels, by the mirrored weights; that of the weights is a sum over pixels.

// Tiles of registers are written as they are drawn: by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use super::vectors::{load, store, vectorize};

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sizes {
    pub height: usize,
    pub width: usize,
    pub c_in: usize,
    pub c_out: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

impl Sizes {
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Values of an input image.
    pub fn input(&self) -> usize {
        self.height * self.width * self.c_in
    }

    /// Values of an output image.
    pub fn output(&self) -> usize {
        self.out_height() * self.out_width() * self.c_out
    }

    /// Values of the weights.
    pub fn weights(&self) -> usize {
        self.kernel * self.kernel * self.c_in * self.c_out
    }

    fn frame_width(&self) -> usize {
        self.width + 2 * self.padding
    }

    /// Values of a frame.
    fn frame(&self) -> usize {
        (self.height + 2 * self.padding) * self.frame_width() * self.c_in
    }

    /// The convolution that makes the gradient of the input of that of the output, once this has zeros between its pixels.
    /// Its output channels are the input channels rounded up to whole vectors.
    fn transposed(&self) -> Self {
        Self {
            height: self.height + 2 * self.padding + 1 - self.kernel,
            width: self.width + 2 * self.padding + 1 - self.kernel,
            c_in: self.c_out,
            c_out: self.c_in.next_multiple_of(8),
            kernel: self.kernel,
            stride: 1,
            padding: self.kernel - 1 - self.padding,
        }
    }
}

/// How the values of an input image are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// `[C, H, W]`, as images come.
    Planar,
    /// `[H, W, C]`, as these functions write them.
    Interleaved,
}

/// Weights in the two arrangements that the kernels read.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    sizes: Sizes,
    /// `[k, k, C_in, C_out]`
    forward: Vec<f32>,
    /// Mirrored in both directions: `[k, k, C_out, C_in rounded up]`; empty unless gradients of inputs are wanted.
    mirrored: Vec<f32>,
}

impl Weights {
    /// Rearranges PyTorch's (and Burn's) `[C_out, C_in, k, k]`.
    pub fn new(weights: &[f32], sizes: Sizes, input_gradient: bool) -> Self {
        let Sizes { c_in, c_out, kernel, .. } = sizes;
        assert_eq!(weights.len(), sizes.weights());
        let places = kernel * kernel;
        let mut forward = vec![0.0; weights.len()];
        for (o, of_output) in weights.chunks_exact(c_in * places).enumerate() {
            for (i, of_input) in of_output.chunks_exact(places).enumerate() {
                for (place, weight) in of_input.iter().enumerate() {
                    forward[(place * c_in + i) * c_out + o] = *weight;
                }
            }
        }
        let mut mirrored = Vec::new();
        if input_gradient {
            let width = sizes.transposed().c_out;
            mirrored = vec![0.0; places * c_out * width];
            for (place, of_place) in forward.chunks_exact(c_in * c_out).enumerate() {
                let target = &mut mirrored[(places - 1 - place) * c_out * width..][..c_out * width];
                for (i, of_input) in of_place.chunks_exact(c_out).enumerate() {
                    for (o, weight) in of_input.iter().enumerate() {
                        target[o * width + i] = *weight;
                    }
                }
            }
        }
        Self { sizes, forward, mirrored }
    }
}

/// `[k, k, C_in, C_out]` back in PyTorch's arrangement `[C_out, C_in, k, k]`.
pub(super) fn pytorch_weights(weights: &[f32], sizes: &Sizes) -> Vec<f32> {
    let Sizes { c_in, c_out, kernel, .. } = *sizes;
    let places = kernel * kernel;
    let mut arranged = vec![0.0; weights.len()];
    for (place, of_place) in weights.chunks_exact(c_in * c_out).enumerate() {
        for (i, of_input) in of_place.chunks_exact(c_out).enumerate() {
            for (o, weight) in of_input.iter().enumerate() {
                arranged[(o * c_in + i) * places + place] = *weight;
            }
        }
    }
    arranged
}

/// Buffers that are used again from image to image.
#[derive(Debug, Default)]
pub(super) struct Frames {
    input: Vec<f32>,
    gradient: Vec<f32>,
    wide: Vec<f32>,
}

impl Frames {
    /// Writes the convolution of an image, `[H', W', C_out]`.
    pub fn convolve(&mut self, image: &[f32], layout: Layout, weights: &Weights, out: &mut [f32]) {
        let sizes = &weights.sizes;
        self.take(image, layout, sizes);
        convolve_frame(&self.input, sizes, &weights.forward, out);
    }

    /// Copies an image into the frame that [`add_weight_gradient`](Self::add_weight_gradient) reads.
    pub fn take(&mut self, image: &[f32], layout: Layout, sizes: &Sizes) {
        fill(&mut self.input, image, layout, sizes);
    }

    /// Adds the gradient of the weights `[k, k, C_in, C_out]` for the image taken last, given that of the output.
    pub fn add_weight_gradient(&self, gradient: &[f32], sizes: &Sizes, weights: &mut [f32]) {
        assert_eq!((self.input.len(), gradient.len()), (sizes.frame(), sizes.output()));
        assert_eq!(weights.len(), sizes.weights());
        vectorize(sizes.c_out, WeightGradient { frame: &self.input, gradient, sizes, weights });
    }

    /// Writes the gradient of the input image `[H, W, C_in]`, given that of the output.
    pub fn input_gradient(&mut self, gradient: &[f32], weights: &Weights, out: &mut [f32]) {
        let sizes = weights.sizes.transposed();
        match weights.sizes.stride {
            1 => fill(&mut self.gradient, gradient, Layout::Interleaved, &sizes),
            stride => {
                let small = [weights.sizes.out_height(), weights.sizes.out_width()];
                fill_apart(&mut self.gradient, gradient, small, &sizes, stride);
            }
        }
        let c_in = weights.sizes.c_in;
        if sizes.c_out == c_in {
            return convolve_frame(&self.gradient, &sizes, &weights.mirrored, out);
        }
        self.wide.resize(sizes.output(), 0.0);
        convolve_frame(&self.gradient, &sizes, &weights.mirrored, &mut self.wide);
        for (pixel, wide) in out.chunks_exact_mut(c_in).zip(self.wide.chunks_exact(sizes.c_out)) {
            pixel.copy_from_slice(&wide[..c_in]);
        }
    }
}

/// Copies an image into a frame of zeros.
fn fill(frame: &mut Vec<f32>, image: &[f32], layout: Layout, sizes: &Sizes) {
    let Sizes { height, width, c_in, padding, .. } = *sizes;
    assert_eq!(image.len(), sizes.input());
    frame.resize(sizes.frame(), 0.0);
    let row_len = sizes.frame_width() * c_in;
    let (above, rest) = frame.split_at_mut(padding * row_len);
    let (rows, below) = rest.split_at_mut(height * row_len);
    above.fill(0.0);
    below.fill(0.0);
    for (y, row) in rows.chunks_exact_mut(row_len).enumerate() {
        let (left, rest) = row.split_at_mut(padding * c_in);
        let (pixels, right) = rest.split_at_mut(width * c_in);
        left.fill(0.0);
        right.fill(0.0);
        match layout {
            Layout::Interleaved => pixels.copy_from_slice(&image[y * width * c_in..][..width * c_in]),
            Layout::Planar => {
                for (channel, plane) in image.chunks_exact(height * width).enumerate() {
                    let values = &plane[y * width..][..width];
                    for (pixel, value) in pixels.chunks_exact_mut(c_in).zip(values) {
                        pixel[channel] = *value;
                    }
                }
            }
        }
    }
}

/// Copies the pixels of `small` into a frame of zeros, `stride` apart.
fn fill_apart(frame: &mut Vec<f32>, image: &[f32], small: [usize; 2], sizes: &Sizes, stride: usize) {
    let Sizes { c_in, padding, .. } = *sizes;
    let [height, width] = small;
    assert_eq!(image.len(), height * width * c_in);
    frame.clear();
    frame.resize(sizes.frame(), 0.0);
    let row_len = sizes.frame_width() * c_in;
    for (y, row) in image.chunks_exact(width * c_in).enumerate() {
        let target = &mut frame[(y * stride + padding) * row_len..][..row_len];
        for (x, pixel) in row.chunks_exact(c_in).enumerate() {
            target[(x * stride + padding) * c_in..][..c_in].copy_from_slice(pixel);
        }
    }
}

/// Writes all output pixels of a frame.
fn convolve_frame(frame: &[f32], sizes: &Sizes, weights: &[f32], out: &mut [f32]) {
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
