//! Statistics, normalisation and ReLU of one image `[H, W, C]`: one pass each over the image, while it is in the processor's
//! cache.

use pulp::{Simd, WithSimd};

use crate::vectors::{load, store, vectorize};

/// y = (z − mean)·scale + shift for each channel.
///
/// The mean is subtracted first: with a large mean, scale·z + (shift − scale·mean) would lose the digits of y.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine<'a> {
    mean: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
}

impl<'a> Affine<'a> {
    /// # Panics
    ///
    /// If there are no channels, or not one value of each for a channel.
    pub fn new(mean: &'a [f32], scale: &'a [f32], shift: &'a [f32]) -> Self {
        assert!(!mean.is_empty() && scale.len() == mean.len() && shift.len() == mean.len());
        Self { mean, scale, shift }
    }

    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The function for the vector of channels from `channel` on.
    ///
    /// # Safety
    ///
    /// `channel + S::F32_LANES` is at most the number of channels.
    #[inline(always)]
    pub unsafe fn vectors<S: Simd>(&self, simd: S, channel: usize) -> impl Fn(S::f32s) -> S::f32s + use<S> {
        // SAFETY: all three have a value for each channel, as `new` checks.
        let [mean, scale, shift] =
            [self.mean, self.scale, self.shift].map(|of| unsafe { load::<S>(of.as_ptr().add(channel)) });
        move |z| simd.mul_add_f32s(simd.sub_f32s(z, mean), scale, shift)
    }
}

/// Writes the mean of each channel, and the sum of squared distances from it.
///
/// # Panics
///
/// If the image has no whole pixels of `mean.len()` channels, or `squares` is of another length than `mean`.
pub(crate) fn statistics(image: &[f32], mean: &mut [f32], squares: &mut [f32]) {
    let channels = mean.len();
    assert!(image.len().is_multiple_of(channels) && squares.len() == channels);
    vectorize(channels, Statistics { image, mean, squares });
}

/// Made by [`statistics`] alone: the image is of whole pixels, and the lanes of a vector divide the channels.
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
            // SAFETY: the lanes of a vector divide the channels, of which each pixel, `mean` and `squares` have all.
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
pub(crate) struct Pixels<'a> {
    pub image: &'a [f32],
    pub channels: usize,
    pub channel: usize,
}

impl Pixels<'_> {
    #[inline(always)]
    pub fn count(self) -> usize {
        self.image.len() / self.channels
    }

    /// # Safety
    ///
    /// `channel + S::F32_LANES` is at most the number of channels, and `pixel` less than [`count`](Self::count).
    #[inline(always)]
    unsafe fn at<S: Simd>(self, pixel: usize) -> S::f32s {
        // SAFETY: the last value is that of a channel of this pixel, which is in the image.
        unsafe { load::<S>(self.image.as_ptr().add(pixel * self.channels + self.channel)) }
    }

    /// The mean over all pixels.
    ///
    /// # Safety
    ///
    /// `channel + S::F32_LANES` is at most the number of channels.
    #[inline(always)]
    pub unsafe fn mean<S: Simd>(self, simd: S) -> S::f32s {
        // SAFETY: as the caller promises; `sum_over` asks for pixels less than the count.
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

/// Writes relu(y + residual), y being normalised z; the residual is optional, and so is the leaky ReLU of this slope below 0.
///
/// # Panics
///
/// If z has no whole pixels of the channels of `affine`, or residual and output are of another length.
pub(crate) fn activate(z: &[f32], affine: Affine<'_>, residual: Option<&[f32]>, relu: Option<f32>, out: &mut [f32]) {
    let channels = affine.channels();
    assert!(z.len().is_multiple_of(channels) && out.len() == z.len());
    assert!(residual.is_none_or(|residual| residual.len() == z.len()));
    vectorize(channels, Activate { z, affine, residual, relu, out });
}

/// Made by [`activate`] alone: the slices have whole pixels and one length, and the lanes of a vector divide the channels.
struct Activate<'a> {
    z: &'a [f32],
    affine: Affine<'a>,
    residual: Option<&'a [f32]>,
    relu: Option<f32>,
    out: &'a mut [f32],
}

impl WithSimd for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let channels = self.affine.channels();
        let zero = simd.splat_f32s(0.0);
        for channel in (0..channels).step_by(S::F32_LANES) {
            // SAFETY: the lanes of a vector divide the channels, and `at` is where such a vector begins in a pixel: all slices
            // have the same number of whole pixels.
            unsafe {
                let affine = self.affine.vectors(simd, channel);
                for at in (channel..self.z.len()).step_by(channels) {
                    let mut y = affine(load::<S>(self.z.as_ptr().add(at)));
                    if let Some(residual) = self.residual {
                        y = simd.add_f32s(y, load::<S>(residual.as_ptr().add(at)));
                    }
                    if let Some(slope) = self.relu {
                        let below = if slope == 0.0 { zero } else { simd.mul_f32s(y, simd.splat_f32s(slope)) };
                        // This keeps NaN: a network that has diverged has to show it.
                        y = simd.select_f32s(simd.less_than_f32s(y, zero), below, y);
                    }
                    store::<S>(self.out.as_mut_ptr().add(at), y);
                }
            }
        }
    }
}
