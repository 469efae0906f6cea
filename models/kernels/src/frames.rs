//! Convolutions of one image, channels innermost.
//!
//! An image is `[H, W, C_in]`, the weights are `[k, k, C_in, C_out]`. The image is copied into a frame, `[H + 2p, W + 2p, C_in]`,
//! whose border of zeros is the padding; without padding it is one itself. In a row of the frame, the k·C_in values that an output pixel sees are neighbours. So a
//! convolution is k matrix products with windows of the rows of the frame,
//!
//! ```text
//! out[y, x, o] = Σ_ky Σ_j frame[s·y + ky][s·x·C_in + j] · weights[ky][j][o],   j = 0 … k·C_in − 1
//! ```
//!
//! computed in tiles of pixels × output channels that stay in registers. The gradient of the input is a convolution of the same
//! kind: of the gradient of the output, with s − 1 zeros between its pixels, and the mirrored weights. The gradient of the weights
//! is a sum over pixels.

use crate::convolution_tiles::{convolve_frame, convolve_frame_in_pairs};
use crate::sizes::{ConvParams, ConvSizes};
use crate::weight_gradient_tiles::add_weight_gradient;
use crate::weights::Weights;

/// How the values of an image are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[C, H, W]`, the layout of PyTorch and Burn.
    Planar,
    /// `[H, W, C]`, the layout of all output.
    Interleaved,
}

/// Memory for frames that is used again from image to image.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    input: Vec<f32>,
    gradient: Vec<f32>,
    wide: Vec<f32>,
}

impl Frames {
    /// Writes the convolution of an image, `[H', W', C_out]`.
    pub fn convolve(&mut self, image: &[f32], layout: Layout, weights: &Weights, out: &mut [f32]) {
        let frame = framed(&mut self.input, image, layout, weights.sizes());
        convolve(frame, weights.sizes(), weights.forward(), weights.forward_pairs(), out);
    }

    /// Adds the gradient of the weights `[k, k, C_in, C_out]` for an image, given the gradient of the output.
    pub fn add_weight_gradient(
        &mut self,
        image: &[f32],
        layout: Layout,
        gradient: &[f32],
        sizes: &ConvSizes,
        weights: &mut [f32],
    ) {
        add_weight_gradient(framed(&mut self.input, image, layout, sizes), gradient, sizes, weights);
    }

    /// Writes the gradient of the input image `[H, W, C_in]`, given the gradient of the output.
    ///
    /// # Panics
    ///
    /// If the weights have not been arranged for it.
    pub fn input_gradient(&mut self, gradient: &[f32], weights: &Weights, out: &mut [f32]) {
        let sizes = weights.sizes().transposed();
        let mirrored = weights.mirrored().expect("weights arranged for the gradient of the images");
        let frame = match weights.sizes().params().stride {
            1 => framed(&mut self.gradient, gradient, Layout::Interleaved, &sizes),
            _ => {
                fill_with_gaps(&mut self.gradient, gradient, weights.sizes(), &sizes);
                &self.gradient
            }
        };
        let (c_in, rounded) = (weights.sizes().params().c_in, sizes.params().c_out);
        let pairs = weights.mirrored_pairs();
        if rounded == c_in {
            return convolve(frame, &sizes, mirrored, pairs, out);
        }
        assert_eq!(out.len(), weights.sizes().input_len());
        self.wide.resize(sizes.output_len(), 0.0);
        convolve(frame, &sizes, mirrored, pairs, &mut self.wide);
        for (to, from) in out.chunks_exact_mut(c_in).zip(self.wide.chunks_exact(rounded)) {
            to.copy_from_slice(&from[..c_in]);
        }
    }
}

/// Writes the convolution of a frame, by the weights for pairs of pixels if there are any.
fn convolve(frame: &[f32], sizes: &ConvSizes, weights: &[f32], pairs: Option<&[f32]>, out: &mut [f32]) {
    match pairs {
        Some(pairs) => convolve_frame_in_pairs(frame, sizes, pairs, out),
        None => convolve_frame(frame, sizes, weights, out),
    }
}

/// An image in a frame of zeros: the image itself if nothing is added and its layout is that of the frame, else a copy in `memory`.
fn framed<'a>(memory: &'a mut Vec<f32>, image: &'a [f32], layout: Layout, sizes: &ConvSizes) -> &'a [f32] {
    assert_eq!(image.len(), sizes.input_len());
    if sizes.params().padding == 0 && layout == Layout::Interleaved {
        return image;
    }
    fill(memory, image, layout, sizes);
    memory
}

/// Copies an image into a frame of zeros.
fn fill(frame: &mut Vec<f32>, image: &[f32], layout: Layout, sizes: &ConvSizes) {
    let ConvParams { height, width, c_in, padding, .. } = sizes.params();
    assert_eq!(image.len(), sizes.input_len());
    frame.resize(sizes.frame_len(), 0.0);
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
            Layout::Planar => interleave(image, [height, width, c_in], y, pixels),
        }
    }
}

/// Copies row `y` of an image `[C, H, W]` into pixels `[W, C]`.
fn interleave(image: &[f32], [height, width, channels]: [usize; 3], y: usize, pixels: &mut [f32]) {
    let row = |channel: usize| &image[(channel * height + y) * width..][..width];
    if channels == 3 {
        // The usual number of an image, in one pass.
        let values = row(0).iter().zip(row(1)).zip(row(2));
        let (pixels, _) = pixels.as_chunks_mut::<3>();
        return pixels.iter_mut().zip(values).for_each(|(pixel, ((a, b), c))| *pixel = [*a, *b, *c]);
    }
    for channel in 0..channels {
        for (pixel, value) in pixels.chunks_exact_mut(channels).zip(row(channel)) {
            pixel[channel] = *value;
        }
    }
}

/// Copies the gradient of the output of a convolution into a frame of zeros of the transposed one, its stride apart.
fn fill_with_gaps(frame: &mut Vec<f32>, gradient: &[f32], sizes: &ConvSizes, transposed: &ConvSizes) {
    let ConvParams { c_out, stride, .. } = sizes.params();
    let padding = transposed.params().padding;
    assert_eq!(gradient.len(), sizes.output_len());
    frame.clear();
    frame.resize(transposed.frame_len(), 0.0);
    let row_len = transposed.frame_width() * c_out;
    for (y, row) in gradient.chunks_exact(sizes.out_width() * c_out).enumerate() {
        let target = &mut frame[(y * stride + padding) * row_len..][..row_len];
        for (x, pixel) in row.chunks_exact(c_out).enumerate() {
            target[(x * stride + padding) * c_out..][..c_out].copy_from_slice(pixel);
        }
    }
}
