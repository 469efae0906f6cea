//! Average pooling of one image `[H, W, C]`.

use pulp::{Simd, WithSimd};

use crate::normalization::Pixels;
use crate::vectors::{load, store, vectorize};

/// Writes the means of 2×2 pixels, `[H, W, C]` → `[H/2, W/2, C]`; an odd last row or column is dropped.
///
/// # Panics
///
/// If the image has no whole rows, or the output is of another length.
pub(crate) fn average_pool(image: &[f32], width: usize, channels: usize, out: &mut [f32]) {
    let row = width * channels;
    assert!(image.len().is_multiple_of(row));
    let [height, width] = [image.len() / row / 2, width / 2];
    assert_eq!(out.len(), height * width * channels);
    vectorize(channels, AveragePool { image, row, channels, height, width, out });
}

/// Made by [`average_pool`] alone: the image has 2·height rows of 2·width pixels or more, and the lanes of a vector divide the
/// channels.
struct AveragePool<'a> {
    image: &'a [f32],
    /// Values of a row of the image.
    row: usize,
    channels: usize,
    /// Of the output.
    height: usize,
    width: usize,
    out: &'a mut [f32],
}

impl WithSimd for AveragePool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let quarter = simd.splat_f32s(0.25);
        for y in 0..self.height {
            for x in 0..self.width {
                for channel in (0..self.channels).step_by(S::F32_LANES) {
                    // SAFETY: y and x are those of an output pixel, and 2y + 1 and 2x + 1 of a pixel of the image; the vector
                    // ends within its channels.
                    unsafe {
                        let at = self.image.as_ptr().add(2 * y * self.row + 2 * x * self.channels + channel);
                        let of_row = |at: *const f32| simd.add_f32s(load::<S>(at), load::<S>(at.add(self.channels)));
                        let sum = simd.add_f32s(of_row(at), of_row(at.add(self.row)));
                        let out = self.out.as_mut_ptr().add((y * self.width + x) * self.channels + channel);
                        store::<S>(out, simd.mul_f32s(sum, quarter));
                    }
                }
            }
        }
    }
}

/// Writes the means over all pixels, `[H, W, C]` → `[C]`.
///
/// # Panics
///
/// If the image has no whole pixels of as many channels as the output has values.
pub(crate) fn global_average(image: &[f32], out: &mut [f32]) {
    assert!(image.len().is_multiple_of(out.len()));
    vectorize(out.len(), GlobalAverage { image, out });
}

/// Made by [`global_average`] alone: the image is of whole pixels, and the lanes of a vector divide the channels.
struct GlobalAverage<'a> {
    image: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for GlobalAverage<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.out.len();
        for channel in (0..channels).step_by(S::F32_LANES) {
            // SAFETY: the lanes of a vector divide the channels, of which each pixel and the output have all.
            unsafe {
                let mean = Pixels { image: self.image, channels, channel }.mean(simd);
                store::<S>(self.out.as_mut_ptr().add(channel), mean);
            }
        }
    }
}
