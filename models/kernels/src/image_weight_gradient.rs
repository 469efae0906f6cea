//! The inner loops of the gradient of weights for several images: tiles of weights that stay in registers while a sum runs over
//! all images.
//!
//! Where weights are many and maps small, adding the gradient of one image to them would take longer than computing it.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::{Tiles, load, store, vectorize};
use crate::weights::panel_width;

/// Writes a part of the gradient of the weights for images `[N, H, W, C_in]`, summed over them, given the gradients of their
/// outputs `[N, H', W', C_out]`: of the panel of output channels from `channel` on, and row `ky` of the kernel, `[k, C_in, w]`.
///
/// # Panics
///
/// If the lengths are not those of N images, the input channels are not a multiple of eight, or there is no such part.
pub(crate) fn weight_gradient_row(
    images: &[f32],
    gradients: &[f32],
    sizes: &ConvSizes,
    [channel, ky]: [usize; 2],
    weights: &mut [f32],
) {
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let panel = panel_width(c_out);
    let count = images.len() / sizes.input_len();
    assert_eq!((images.len(), gradients.len()), (count * sizes.input_len(), count * sizes.output_len()));
    assert!(c_in.is_multiple_of(8) && channel.is_multiple_of(panel) && channel < c_out && ky < kernel);
    assert_eq!(weights.len(), kernel * c_in * panel);
    vectorize(panel, WeightGradientRow { images, gradients, sizes, channel, ky, weights });
}

/// Made by [`weight_gradient_row`] alone: the lengths are those of the sizes, the lanes of a vector divide the panel that begins
/// at the channel, and the input channels are a multiple of eight.
struct WeightGradientRow<'a> {
    images: &'a [f32],
    gradients: &'a [f32],
    sizes: &'a ConvSizes,
    channel: usize,
    ky: usize,
    weights: &'a mut [f32],
}

impl WithSimd for WeightGradientRow<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let panel = panel_width(self.sizes.params().c_out);
        self.in_registers(simd, panel);
    }
}

impl Tiles for WeightGradientRow<'_> {
    /// All weights, Q input channels × N vectors of output channels at a time. Q divides eight.
    #[inline(always)]
    fn tiles<S: Simd, const Q: usize, const N: usize>(self, simd: S) {
        let ConvParams { height, width, c_in, c_out, kernel, stride, padding } = self.sizes.params();
        let (out_height, out_width) = (self.sizes.out_height(), self.sizes.out_width());
        let (image_len, out_len) = (self.sizes.input_len(), self.sizes.output_len());
        let count = self.images.len() / image_len;
        let panel = panel_width(c_out);
        let rows = seeing(self.ky, [stride, padding], height, out_height);
        let mut starts = Vec::new();
        for kx in 0..kernel {
            let columns = seeing(kx, [stride, padding], width, out_width);
            // Places of the pixels in image and gradient. A sum runs over them, and from each along a row or over all images,
            // whichever is longer.
            let pixel = |y: usize, x: usize| {
                let seen = (y * stride + self.ky - padding) * width + x * stride + kx - padding;
                [seen * c_in, (y * out_width + x) * c_out + self.channel]
            };
            starts.clear();
            let run = if columns.len() > count {
                for image in 0..count {
                    let of_row = |y: usize| {
                        let [seen, out] = pixel(y, columns.start);
                        [image * image_len + seen, image * out_len + out]
                    };
                    starts.extend(rows.clone().map(of_row));
                }
                Run { len: columns.len(), step: [stride * c_in, c_out] }
            } else {
                for y in rows.clone() {
                    starts.extend(columns.clone().map(|x| pixel(y, x)));
                }
                Run { len: count, step: [image_len, out_len] }
            };
            for i in (0..c_in).step_by(Q) {
                for n in (0..panel).step_by(N * S::F32_LANES) {
                    // SAFETY: the starts and what is `step` apart of them, `len` times, are output pixels, and the pixels that
                    // these see, which are in the image; Q divides eight and so the input channels, and N vectors divide the
                    // panel.
                    unsafe {
                        run.tile::<S, Q, N>(
                            simd,
                            &starts,
                            self.images.as_ptr().add(i),
                            self.gradients.as_ptr().add(n),
                            self.weights.as_mut_ptr().add((kx * c_in + i) * panel + n),
                            panel,
                        );
                    }
                }
            }
        }
    }
}

/// The output rows or columns that see one of the image at `at` of the kernel.
fn seeing(at: usize, [stride, padding]: [usize; 2], side: usize, out: usize) -> Range<usize> {
    // stride·y + at − padding is from 0 to side − 1.
    let first = padding.saturating_sub(at).div_ceil(stride);
    let end = (side + padding).saturating_sub(at).div_ceil(stride).min(out);
    first.min(end)..end
}

/// Pixels that are a step apart, in the images and in the gradients.
#[derive(Clone, Copy)]
struct Run {
    len: usize,
    step: [usize; 2],
}

impl Run {
    /// Q input channels × N vectors of output channels, summed over the runs from all starts.
    ///
    /// # Safety
    ///
    /// For t < len, q < Q and c < N·lanes, `images[start[0] + t·step[0] + q]` and `gradients[start[1] + t·step[1] + c]` can be read
    /// for every start, and `weights[q·panel + c]` can be written.
    #[inline(always)]
    unsafe fn tile<S: Simd, const Q: usize, const N: usize>(
        self,
        simd: S,
        starts: &[[usize; 2]],
        images: *const f32,
        gradients: *const f32,
        weights: *mut f32,
        panel: usize,
    ) {
        // SAFETY: the loops run over the indices that the caller promises.
        unsafe {
            let mut sums = [[simd.splat_f32s(0.0); N]; Q];
            for [image, gradient] in starts {
                let mut image = images.add(*image);
                let mut gradient = gradients.add(*gradient);
                for _ in 0..self.len {
                    let mut of_output = [simd.splat_f32s(0.0); N];
                    for n in 0..N {
                        of_output[n] = load::<S>(gradient.add(n * S::F32_LANES));
                    }
                    for q in 0..Q {
                        let value = simd.splat_f32s(*image.add(q));
                        for n in 0..N {
                            sums[q][n] = simd.mul_add_e_f32s(value, of_output[n], sums[q][n]);
                        }
                    }
                    // After the last pixel these may point past the end of their arrays, which `add` must not.
                    image = image.wrapping_add(self.step[0]);
                    gradient = gradient.wrapping_add(self.step[1]);
                }
            }
            for q in 0..Q {
                for n in 0..N {
                    store::<S>(weights.add(q * panel + n * S::F32_LANES), sums[q][n]);
                }
            }
        }
    }
}
