//! Batch normalisation, ReLU and pooling of one image `[H, W, C]`: a pass over the image each, while it is in the processor's cache.

use pulp::{Simd, WithSimd};

use super::vectors::{load, store, vectorize};

/// y = (z − mean)·scale + shift, each for each channel. The mean is taken off first: where it is large, little of y would be left
/// of scale·z + (shift − scale·mean).
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine<'a> {
    pub mean: &'a [f32],
    pub scale: &'a [f32],
    pub shift: &'a [f32],
}

impl Affine<'_> {
    pub fn channels(&self) -> usize {
        assert!([self.scale, self.shift].iter().all(|of| of.len() == self.mean.len()));
        self.mean.len()
    }

    /// For the vector of channels from `channel` on.
    ///
    /// # Safety
    /// There is such a vector.
    #[inline(always)]
    pub unsafe fn vectors<S: Simd>(&self, simd: S, channel: usize) -> impl Fn(S::f32s) -> S::f32s + use<S> {
        // SAFETY: as the caller promises.
        let [mean, scale, shift] =
            [self.mean, self.scale, self.shift].map(|of| unsafe { load::<S>(of.as_ptr().add(channel)) });
        move |z| simd.mul_add_f32s(simd.sub_f32s(z, mean), scale, shift)
    }
}

/// Mean of each channel, and the sum of its squared distances from that.
pub(super) fn statistics(image: &[f32], mean: &mut [f32], squares: &mut [f32]) {
    let channels = mean.len();
    assert!(image.len().is_multiple_of(channels) && squares.len() == channels);
    vectorize(channels, Statistics { image, mean, squares });
}

struct Statistics<'a> {
    image: &'a [f32],
    mean: &'a mut [f32],
    squares: &'a mut [f32],
}

impl WithSimd for Statistics<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.mean.len();
        for channel in (0..channels).step_by(S::F32_LANES) {
            // SAFETY: whole pixels are there, and whole vectors of channels.
            unsafe {
                let pixels = Pixels { image: self.image, channels, channel };
                let mean = pixels.mean(simd);
                let squares = sum_over::<S>(simd, pixels.count(), |pixel| {
                    let distance = simd.sub_f32s(pixels.at::<S>(pixel), mean);
                    simd.mul_f32s(distance, distance)
                });
                store::<S>(self.mean.as_mut_ptr().add(channel), mean);
                store::<S>(self.squares.as_mut_ptr().add(channel), squares);
            }
        }
    }
}

/// The vector of channels from `channel` on, in all pixels of an image.
#[derive(Clone, Copy)]
struct Pixels<'a> {
    image: &'a [f32],
    channels: usize,
    channel: usize,
}

impl Pixels<'_> {
    #[inline(always)]
    fn count(self) -> usize {
        self.image.len() / self.channels
    }

    /// # Safety
    /// There is such a vector in each pixel, and such a pixel.
    #[inline(always)]
    unsafe fn at<S: Simd>(self, pixel: usize) -> S::f32s {
        // SAFETY: as the caller promises.
        unsafe { load::<S>(self.image.as_ptr().add(pixel * self.channels + self.channel)) }
    }

    /// The mean over all pixels.
    ///
    /// # Safety
    /// There is such a vector in each pixel.
    #[inline(always)]
    unsafe fn mean<S: Simd>(self, simd: S) -> S::f32s {
        // SAFETY: as the caller promises, of pixels that there are.
        let sum = sum_over::<S>(simd, self.count(), |pixel| unsafe { self.at::<S>(pixel) });
        simd.mul_f32s(sum, simd.splat_f32s(1.0 / self.count() as f32))
    }
}

/// Σ of `term` over all pixels, in four sums that do not wait for each other.
#[inline(always)]
fn sum_over<S: Simd>(simd: S, pixels: usize, term: impl Fn(usize) -> S::f32s) -> S::f32s {
    let mut sums = [simd.splat_f32s(0.0); 4];
    let whole = pixels / 4 * 4;
    for pixel in (0..whole).step_by(4) {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = simd.add_f32s(*sum, term(pixel + i));
        }
    }
    for pixel in whole..pixels {
        sums[0] = simd.add_f32s(sums[0], term(pixel));
    }
    simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]))
}

/// relu(y + residual), both where they are wanted.
pub(super) fn activate(z: &[f32], affine: Affine<'_>, residual: Option<&[f32]>, relu: bool, out: &mut [f32]) {
    let channels = affine.channels();
    assert!(z.len().is_multiple_of(channels) && out.len() == z.len());
    assert!(residual.is_none_or(|residual| residual.len() == z.len()));
    vectorize(channels, Activate { z, affine, residual, relu, out });
}

struct Activate<'a> {
    z: &'a [f32],
    affine: Affine<'a>,
    residual: Option<&'a [f32]>,
    relu: bool,
    out: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.affine.mean.len();
        let zero = simd.splat_f32s(0.0);
        for channel in (0..channels).step_by(S::F32_LANES) {
            // SAFETY: all slices have whole pixels of `channels` values, which are whole vectors.
            unsafe {
                let affine = self.affine.vectors(simd, channel);
                for at in (channel..self.z.len()).step_by(channels) {
                    let mut y = affine(load::<S>(self.z.as_ptr().add(at)));
                    if let Some(residual) = self.residual {
                        y = simd.add_f32s(y, load::<S>(residual.as_ptr().add(at)));
                    }
                    if self.relu {
                        // NaN is kept: a network that has diverged has to show it.
                        y = simd.select_f32s(simd.less_than_f32s(y, zero), zero, y);
                    }
                    store::<S>(self.out.as_mut_ptr().add(at), y);
                }
            }
        }
    }
}

/// Means of 2×2 pixels, `[H, W, C]` → `[H/2, W/2, C]`; an odd last row or column is dropped.
pub(super) fn average_pool(image: &[f32], width: usize, channels: usize, out: &mut [f32]) {
    assert!(image.len().is_multiple_of(width * channels));
    let half = width / 2 * channels;
    assert_eq!(out.len(), image.len() / (width * channels) / 2 * half);
    vectorize(channels, AveragePool { image, row: width * channels, channels, out });
}

struct AveragePool<'a> {
    image: &'a [f32],
    row: usize,
    channels: usize,
    out: &'a mut [f32],
}

impl WithSimd for AveragePool<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let quarter = simd.splat_f32s(0.25);
        let half = self.row / self.channels / 2 * self.channels;
        for (rows, out) in self.image.chunks_exact(2 * self.row).zip(self.out.chunks_exact_mut(half)) {
            for (pixel, out) in out.chunks_exact_mut(self.channels).enumerate() {
                for channel in (0..self.channels).step_by(S::F32_LANES) {
                    // SAFETY: two rows of whole pixels, of which these are four.
                    unsafe {
                        let at = rows.as_ptr().add(2 * pixel * self.channels + channel);
                        let of_row = |at: *const f32| simd.add_f32s(load::<S>(at), load::<S>(at.add(self.channels)));
                        let sum = simd.add_f32s(of_row(at), of_row(at.add(self.row)));
                        store::<S>(out.as_mut_ptr().add(channel), simd.mul_f32s(sum, quarter));
                    }
                }
            }
        }
    }
}

/// Means over all pixels, `[H, W, C]` → `[C]`.
pub(super) fn global_average(image: &[f32], out: &mut [f32]) {
    assert!(image.len().is_multiple_of(out.len()));
    vectorize(out.len(), GlobalAverage { image, out });
}

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
            // SAFETY: whole pixels are there, and whole vectors of channels.
            unsafe {
                let mean = Pixels { image: self.image, channels, channel }.mean(simd);
                store::<S>(self.out.as_mut_ptr().add(channel), mean);
            }
        }
    }
}
