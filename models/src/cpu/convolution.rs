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

use super::tiles::{add_weight_gradient, convolve_frame};

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

    /// Pixels of a row of a frame.
    pub fn frame_width(&self) -> usize {
        self.width + 2 * self.padding
    }

    /// Values of a frame.
    pub fn frame(&self) -> usize {
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
        add_weight_gradient(&self.input, gradient, sizes, weights);
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
