//! The inner loops of convolutions of several images: tiles of one pixel of several images × output channels that stay in
//! registers.
//!
//! Where maps are small or have many channels, neighbouring pixels are too few to fill a tile, and the weights are too many to be
//! read again for every image. The pixels of a tile then are those at one place of several images: they see the same part of
//! their images, and so the same weights. What the padding adds, and what lies between the pixels of a gradient with gaps, is
//! left out. The sum of a pixel runs over the same products in the same order as in `convolution_tiles`.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::{Tiles, load, store, vectorize};
use crate::weights::{Weights, panel_width};

/// Writes the convolutions of images `[N, H, W, C_in]`, `[N, H', W', C_out]`.
///
/// # Panics
///
/// If the lengths are not those of N images.
pub(crate) fn convolve_images(images: &[f32], weights: &Weights, out: &mut [f32]) {
    let sizes = weights.sizes();
    let ConvParams { height, width, c_in, c_out, kernel, stride, padding } = sizes.params();
    let windows = Windows {
        side: [height, width],
        channels: c_in,
        kernel,
        step: stride,
        gap: 1,
        padding,
        out: [sizes.out_height(), sizes.out_width()],
        out_channels: c_out,
    };
    windows.convolve(images, weights.forward(), out);
}

/// Writes the gradients of the input images `[N, H, W, C_in]`, given the gradients of the output `[N, H', W', C_out]`.
///
/// # Panics
///
/// If the lengths are not those of N images, the input channels are not a multiple of the lanes of a vector, or the weights have
/// not been arranged for it.
pub(crate) fn input_gradients(gradients: &[f32], weights: &Weights, out: &mut [f32]) {
    let sizes = weights.sizes();
    let ConvParams { height, width, c_in, c_out, stride, .. } = sizes.params();
    let ConvParams { c_out: rounded, kernel, padding, .. } = sizes.transposed().params();
    assert_eq!(c_in, rounded, "input channels of the convolution (left) and of whole vectors (right)");
    let windows = Windows {
        side: [sizes.out_height(), sizes.out_width()],
        channels: c_out,
        kernel,
        step: 1,
        gap: stride,
        padding,
        out: [height, width],
        out_channels: c_in,
    };
    let mirrored = weights.mirrored().expect("weights arranged for the gradient of the images");
    windows.convolve(gradients, mirrored, out);
}

/// Whether the tiles of this file and of `image_weight_gradient` can compute a convolution and its gradients: all channels are
/// whole vectors of eight.
pub(crate) fn can_compute(sizes: &ConvSizes) -> bool {
    let ConvParams { c_in, c_out, .. } = sizes.params();
    c_in.is_multiple_of(8) && c_out.is_multiple_of(8)
}

/// What the pixels of an output see of an image: pixel (y, x) sees, at (ky, kx), the pixel ((step·y + ky − padding) / gap,
/// (step·x + kx − padding) / gap), if there is one.
#[derive(Clone, Copy, Debug)]
struct Windows {
    /// Height and width of the image.
    side: [usize; 2],
    channels: usize,
    kernel: usize,
    step: usize,
    gap: usize,
    padding: usize,
    /// Height and width of the output.
    out: [usize; 2],
    out_channels: usize,
}

/// Neighbouring values of an image and the weights for them.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Place of the first value in the image.
    image: usize,
    /// Place of its weights among those of an output channel, `[k, k, C]`.
    weight: usize,
    len: usize,
}

impl Windows {
    fn convolve(&self, images: &[f32], weights: &[f32], out: &mut [f32]) {
        let (len, out_len) = (self.image_len(), self.out_len());
        assert!(images.len().is_multiple_of(len), "whole images");
        assert_eq!(out.len(), images.len() / len * out_len);
        assert_eq!(weights.len(), self.kernel * self.kernel * self.channels * self.out_channels);
        vectorize(self.out_channels, ConvolveImages { windows: self, images, weights, out });
    }

    fn image_len(&self) -> usize {
        self.side[0] * self.side[1] * self.channels
    }

    fn out_len(&self) -> usize {
        self.out[0] * self.out[1] * self.out_channels
    }

    /// The row or column of an image that an output row or column sees at `at` of the kernel.
    fn seen(&self, out: usize, at: usize, side: usize) -> Option<usize> {
        let place = (self.step * out + at).checked_sub(self.padding)?;
        (place.is_multiple_of(self.gap) && place / self.gap < side).then_some(place / self.gap)
    }

    /// What an output pixel sees, in the order of the weights.
    fn segments(&self, [y, x]: [usize; 2], segments: &mut Vec<Segment>) {
        segments.clear();
        let [height, width] = self.side;
        for ky in 0..self.kernel {
            let Some(row) = self.seen(y, ky, height) else { continue };
            for kx in 0..self.kernel {
                let Some(column) = self.seen(x, kx, width) else { continue };
                let image = (row * width + column) * self.channels;
                let weight = (ky * self.kernel + kx) * self.channels;
                match segments.last_mut() {
                    Some(last) if last.image + last.len == image && last.weight + last.len == weight => {
                        last.len += self.channels;
                    }
                    _ => segments.push(Segment { image, weight, len: self.channels }),
                }
            }
        }
    }
}

/// Made by [`Windows::convolve`] alone: the lengths are those of the windows, and the lanes of a vector divide the output
/// channels.
struct ConvolveImages<'a> {
    windows: &'a Windows,
    images: &'a [f32],
    weights: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for ConvolveImages<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let panel = panel_width(self.windows.out_channels);
        self.in_registers(simd, panel);
    }
}

impl Tiles for ConvolveImages<'_> {
    /// All output, P images × N vectors of channels at a time.
    #[inline(always)]
    fn tiles<S: Simd, const P: usize, const N: usize>(self, simd: S) {
        let Windows { channels, kernel, out: [height, width], out_channels, .. } = *self.windows;
        let panel = panel_width(out_channels);
        let (image_len, out_len) = (self.windows.image_len(), self.windows.out_len());
        let count = self.images.len() / image_len;
        let mut segments = Vec::with_capacity(kernel * kernel);
        for channel in (0..out_channels).step_by(N * S::F32_LANES) {
            let weights = channel / panel * panel * kernel * kernel * channels + channel % panel;
            for pixel in 0..height * width {
                self.windows.segments([pixel / width, pixel % width], &mut segments);
                let mut image = 0;
                while image < count {
                    // SAFETY: the segments are of pixels of an image and of places of the kernel, and a tile has no image from
                    // count on; N vectors divide a panel, so that all of them are in the panel of weights and in the output
                    // pixel.
                    unsafe {
                        let tile = Tile {
                            segments: &segments,
                            images: self.images.as_ptr().add(image * image_len),
                            image_len,
                            weights: self.weights.as_ptr().add(weights),
                            panel,
                            out: self.out.as_mut_ptr().add(image * out_len + pixel * out_channels + channel),
                            out_len,
                        };
                        if image + P <= count {
                            tile.compute::<S, P, N>(simd);
                            image += P;
                        } else if P > 4 && image + 4 <= count {
                            tile.compute::<S, 4, N>(simd);
                            image += 4;
                        } else {
                            tile.compute::<S, 1, N>(simd);
                            image += 1;
                        }
                    }
                }
            }
        }
    }
}

/// One output pixel of neighbouring images.
struct Tile<'a> {
    segments: &'a [Segment],
    images: *const f32,
    image_len: usize,
    weights: *const f32,
    /// Values of the weights from a value of an image to the next.
    panel: usize,
    out: *mut f32,
    out_len: usize,
}

impl Tile<'_> {
    /// P images × N vectors of channels.
    ///
    /// # Safety
    ///
    /// For p < P, j < len of each segment and c < N·lanes, `images[p·image_len + image + j]` and
    /// `weights[(weight + j)·panel + c]` can be read, and `out[p·out_len + c]` can be written.
    #[inline(always)]
    unsafe fn compute<S: Simd, const P: usize, const N: usize>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); N]; P];
        // SAFETY: the loops run over the indices that the caller promises.
        unsafe {
            for segment in self.segments {
                let mut images = [self.images; P];
                for p in 0..P {
                    images[p] = self.images.add(p * self.image_len + segment.image);
                }
                let weights = self.weights.add(segment.weight * self.panel);
                for j in 0..segment.len {
                    let weights = weights.add(j * self.panel);
                    let mut weight = [simd.splat_f32s(0.0); N];
                    for n in 0..N {
                        weight[n] = load::<S>(weights.add(n * S::F32_LANES));
                    }
                    for p in 0..P {
                        let value = simd.splat_f32s(*images[p].add(j));
                        for n in 0..N {
                            sums[p][n] = simd.mul_add_e_f32s(value, weight[n], sums[p][n]);
                        }
                    }
                }
            }
            for p in 0..P {
                for n in 0..N {
                    store::<S>(self.out.add(p * self.out_len + n * S::F32_LANES), sums[p][n]);
                }
            }
        }
    }
}
