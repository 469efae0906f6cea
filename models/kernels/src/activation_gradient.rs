//! Gradients of pooling, ReLU and batch normalisation of one image `[H, W, C]`.

use pulp::{Simd, WithSimd};

use crate::Pool;
use crate::normalization::Affine;
use crate::vectors::{load, store, vectorize};

/// Where a ReLU lets the gradient through.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReluMask<'a> {
    /// Everywhere: there is no ReLU.
    All,
    /// Where y = (z − mean)·scale + shift is positive; elsewhere it is multiplied by this slope.
    Normalized(Affine<'a>, f32),
    /// Where this output of the ReLU is positive.
    Output(&'a [f32]),
}

/// The gradient g of y, the normalised maps: the gradient of the block's output, taken back through pooling and ReLU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivationGradient<'a> {
    of_output: &'a [f32],
    pool: Pool,
    mask: ReluMask<'a>,
    z: &'a [f32],
    width: usize,
    mean: &'a [f32],
}

impl<'a> ActivationGradient<'a> {
    /// Of the maps `z` `[H, W, C]`, which were normalised with the channels' `mean`, given the gradient of the pooled output.
    ///
    /// # Panics
    ///
    /// If `z` has no whole rows of `width` pixels, or a length does not fit it.
    pub fn new(
        of_output: &'a [f32],
        pool: Pool,
        mask: ReluMask<'a>,
        z: &'a [f32],
        width: usize,
        mean: &'a [f32],
    ) -> Self {
        let channels = mean.len();
        let row = width * channels;
        assert!(z.len().is_multiple_of(row));
        let expected = match pool {
            Pool::None => z.len(),
            Pool::Halve => z.len() / row / 2 * (width / 2) * channels,
            Pool::Average => channels,
        };
        assert_eq!(of_output.len(), expected);
        match mask {
            ReluMask::All => {}
            ReluMask::Normalized(affine, _) => assert_eq!(affine.channels(), channels),
            ReluMask::Output(output) => assert_eq!(output.len(), z.len()),
        }
        Self { of_output, pool, mask, z, width, mean }
    }

    fn channels(&self) -> usize {
        self.mean.len()
    }

    /// Calls `each` for every pixel with the place of its vector in `z`, one of four numbers in turn, z − mean and g. The place
    /// plus the lanes of a vector is at most `z.len()`.
    ///
    /// # Safety
    ///
    /// `channel + S::F32_LANES` is at most the number of channels.
    #[inline(always)]
    unsafe fn for_each<S: Simd>(&self, simd: S, channel: usize, mut each: impl FnMut(usize, usize, S::f32s, S::f32s)) {
        let channels = self.channels();
        let zero = simd.splat_f32s(0.0);
        // SAFETY: `at` is always the place of the vector from `channel` on in a pixel of z. The output of the ReLU is as long as
        // z, and the gradient of the output has a pixel for each pooled one, as `new` checks.
        unsafe {
            let mean = load::<S>(self.mean.as_ptr().add(channel));
            let (affine, slope) = match self.mask {
                ReluMask::Normalized(affine, slope) => (Some(affine.vectors(simd, channel)), slope),
                _ => (None, 0.0),
            };
            let mut pixel = |at: usize, turn: usize, gradient: S::f32s| {
                let z = load::<S>(self.z.as_ptr().add(at));
                let y = match self.mask {
                    ReluMask::Output(output) => Some(load::<S>(output.as_ptr().add(at))),
                    _ => affine.as_ref().map(|affine| affine(z)),
                };
                let below = if slope == 0.0 { zero } else { simd.mul_f32s(gradient, simd.splat_f32s(slope)) };
                let gradient = match y {
                    Some(y) => simd.select_f32s(simd.greater_than_f32s(y, zero), gradient, below),
                    None => gradient,
                };
                each(at, turn, simd.sub_f32s(z, mean), gradient);
            };
            let of_output = |at: usize| load::<S>(self.of_output.as_ptr().add(at));
            let len = self.z.len();
            match self.pool {
                Pool::None => {
                    for (turn, at) in (channel..len).step_by(channels).enumerate() {
                        pixel(at, turn % 4, of_output(at));
                    }
                }
                Pool::Average => {
                    let share = simd.splat_f32s(channels as f32 / len as f32);
                    let gradient = simd.mul_f32s(of_output(channel), share);
                    for (turn, at) in (channel..len).step_by(channels).enumerate() {
                        pixel(at, turn % 4, gradient);
                    }
                }
                Pool::Halve => {
                    let quarter = simd.splat_f32s(0.25);
                    let row = self.width * channels;
                    let (height, half) = (len / row, self.width / 2);
                    // Row after row, since processors fetch what comes next in memory ahead of its use.
                    for y in 0..height / 2 * 2 {
                        for x in 0..half {
                            let gradient = of_output((y / 2 * half + x) * channels + channel);
                            let gradient = simd.mul_f32s(gradient, quarter);
                            let (at, turn) = (y * row + 2 * x * channels + channel, y % 2 * 2);
                            pixel(at, turn, gradient);
                            pixel(at + channels, turn + 1, gradient);
                        }
                        // A pixel that pooling has dropped.
                        if self.width % 2 == 1 {
                            pixel((y + 1) * row - channels + channel, y % 2, zero);
                        }
                    }
                    if height % 2 == 1 {
                        for at in (len - row + channel..len).step_by(channels) {
                            pixel(at, 0, zero);
                        }
                    }
                }
            }
        }
    }
}

/// Writes Σ g and Σ g·(z − mean) for each channel, and g itself into `kept`.
///
/// # Panics
///
/// If a length does not fit the maps.
pub(crate) fn channel_sums(
    gradient: ActivationGradient<'_>,
    kept: Option<&mut [f32]>,
    sums: &mut [f32],
    products: &mut [f32],
) {
    let channels = gradient.channels();
    assert!(sums.len() == channels && products.len() == channels);
    assert!(kept.as_ref().is_none_or(|kept| kept.len() == gradient.z.len()));
    vectorize(channels, ChannelSums { gradient, kept, sums, products });
}

/// Made by [`channel_sums`] alone: the lengths fit, and the lanes of a vector divide the channels.
struct ChannelSums<'a> {
    gradient: ActivationGradient<'a>,
    kept: Option<&'a mut [f32]>,
    sums: &'a mut [f32],
    products: &'a mut [f32],
}

impl WithSimd for ChannelSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let total = |of: [S::f32s; 4]| simd.add_f32s(simd.add_f32s(of[0], of[1]), simd.add_f32s(of[2], of[3]));
        for channel in (0..self.sums.len()).step_by(S::F32_LANES) {
            let mut sums = [simd.splat_f32s(0.0); 4];
            let mut products = sums;
            // SAFETY: the vector ends within the channels, of which `sums` and `products` have all; `kept` is as long as z.
            unsafe {
                self.gradient.for_each(simd, channel, |at, turn, distance, gradient| {
                    if let Some(kept) = &mut self.kept {
                        store::<S>(kept.as_mut_ptr().add(at), gradient);
                    }
                    sums[turn] = simd.add_f32s(sums[turn], gradient);
                    products[turn] = simd.mul_add_f32s(gradient, distance, products[turn]);
                });
                store::<S>(self.sums.as_mut_ptr().add(channel), total(sums));
                store::<S>(self.products.as_mut_ptr().add(channel), total(products));
            }
        }
    }
}

/// The coefficients of [`maps_gradient`], for each channel.
#[derive(Clone, Debug)]
pub(crate) struct NormGradient {
    pub scale: Vec<f32>,
    pub slope: Vec<f32>,
    pub offset: Vec<f32>,
}

/// Writes the gradient of z, scale·g + slope·(z − mean) + offset. Slope and offset are the gradient through the statistics of the
/// batch.
///
/// # Panics
///
/// If a length does not fit the maps.
pub(crate) fn maps_gradient(gradient: ActivationGradient<'_>, coefficients: &NormGradient, out: &mut [f32]) {
    let channels = gradient.channels();
    let NormGradient { scale, slope, offset } = coefficients;
    assert!([scale, slope, offset].iter().all(|of| of.len() == channels) && out.len() == gradient.z.len());
    vectorize(channels, MapsGradient { gradient, coefficients, out });
}

/// Made by [`maps_gradient`] alone: the lengths fit, and the lanes of a vector divide the channels.
struct MapsGradient<'a> {
    gradient: ActivationGradient<'a>,
    coefficients: &'a NormGradient,
    out: &'a mut [f32],
}

impl WithSimd for MapsGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for channel in (0..self.gradient.channels()).step_by(S::F32_LANES) {
            // SAFETY: the vector ends within the channels, of which the coefficients have all; the output is as long as z.
            unsafe {
                let of = |values: &[f32]| load::<S>(values.as_ptr().add(channel));
                let NormGradient { scale, slope, offset } = self.coefficients;
                let (scale, slope, offset) = (of(scale), of(slope), of(offset));
                self.gradient.for_each(simd, channel, |at, _, distance, gradient| {
                    let constant = simd.mul_add_f32s(distance, slope, offset);
                    store::<S>(self.out.as_mut_ptr().add(at), simd.mul_add_f32s(gradient, scale, constant));
                });
            }
        }
    }
}
