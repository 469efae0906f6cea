//! Gradients of batch normalisation, ReLU and pooling of one image `[H, W, C]`.

use pulp::{Simd, WithSimd};

use super::normalization::Affine;
use super::vectors::{load, store, vectorize};
use crate::pool::Pool;

/// What decides where a ReLU lets gradients through.
#[derive(Clone, Copy, Debug)]
pub(super) enum Gate<'a> {
    /// Everywhere.
    Open,
    /// Where y = (z − mean)·scale + shift is positive.
    Normalized(Affine<'a>),
    /// Where this output is positive.
    Output(&'a [f32]),
}

/// What the gradient behind pooling and ReLU follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind<'a> {
    /// Gradient of the output.
    pub of_output: &'a [f32],
    pub pool: Pool,
    pub gate: Gate<'a>,
    /// What was normalised.
    pub z: &'a [f32],
    pub width: usize,
    /// Of each channel.
    pub mean: &'a [f32],
}

impl Behind<'_> {
    fn check(&self) -> usize {
        let channels = self.mean.len();
        let row = self.width * channels;
        assert!(self.z.len().is_multiple_of(row));
        let expected = match self.pool {
            Pool::None => self.z.len(),
            Pool::Halve => self.z.len() / row / 2 * (self.width / 2) * channels,
            Pool::Average => channels,
        };
        assert_eq!(self.of_output.len(), expected);
        match self.gate {
            Gate::Open => {}
            Gate::Normalized(affine) => assert_eq!(affine.channels(), channels),
            Gate::Output(output) => assert_eq!(output.len(), self.z.len()),
        }
        channels
    }

    /// Tells `each` of every pixel its place, one of four numbers in turn, z − mean and the gradient behind the ReLU.
    ///
    /// # Safety
    /// `check` has been passed, and `channel` begins a whole vector of channels.
    #[inline(always)]
    unsafe fn for_each<S: Simd>(&self, simd: S, channel: usize, mut each: impl FnMut(usize, usize, S::f32s, S::f32s)) {
        let channels = self.mean.len();
        let zero = simd.splat_f32s(0.0);
        // SAFETY: places lie in z, as long as the gate's output, and those of its pooled pixels in the output's gradient.
        unsafe {
            let mean = load::<S>(self.mean.as_ptr().add(channel));
            let affine = match self.gate {
                Gate::Normalized(affine) => Some(affine.vectors(simd, channel)),
                _ => None,
            };
            let mut pixel = |at: usize, turn: usize, gradient: S::f32s| {
                let z = load::<S>(self.z.as_ptr().add(at));
                let open = match self.gate {
                    Gate::Output(output) => Some(load::<S>(output.as_ptr().add(at))),
                    _ => affine.as_ref().map(|affine| affine(z)),
                };
                let gradient = match open {
                    Some(y) => simd.select_f32s(simd.greater_than_f32s(y, zero), gradient, zero),
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
                    for y in 0..height / 2 {
                        for x in 0..half {
                            let gradient = of_output((y * half + x) * channels + channel);
                            let gradient = simd.mul_f32s(gradient, quarter);
                            let at = 2 * y * row + 2 * x * channels + channel;
                            for (turn, at) in [at, at + channels, at + row, at + row + channels].into_iter().enumerate()
                            {
                                pixel(at, turn, gradient);
                            }
                        }
                        if self.width % 2 == 1 {
                            let at = (2 * y + 1) * row - channels + channel;
                            pixel(at, 0, zero);
                            pixel(at + row, 1, zero);
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

/// Σ of the gradient behind the ReLU, and of that × (z − mean), for each channel; the gradient itself goes into `kept`.
pub(super) fn gradient_sums(behind: Behind<'_>, kept: Option<&mut [f32]>, sums: &mut [f32], products: &mut [f32]) {
    let channels = behind.check();
    assert!(sums.len() == channels && products.len() == channels);
    assert!(kept.as_ref().is_none_or(|kept| kept.len() == behind.z.len()));
    vectorize(channels, GradientSums { behind, kept, sums, products });
}

struct GradientSums<'a> {
    behind: Behind<'a>,
    kept: Option<&'a mut [f32]>,
    sums: &'a mut [f32],
    products: &'a mut [f32],
}

impl WithSimd for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let total = |of: [S::f32s; 4]| simd.add_f32s(simd.add_f32s(of[0], of[1]), simd.add_f32s(of[2], of[3]));
        for channel in (0..self.sums.len()).step_by(S::F32_LANES) {
            let mut sums = [simd.splat_f32s(0.0); 4];
            let mut products = sums;
            // SAFETY: `gradient_sums` has checked the lengths, of `kept` too.
            unsafe {
                self.behind.for_each(simd, channel, |at, turn, distance, gradient| {
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

/// Coefficients of [`gradient_of_z`], for each channel.
#[derive(Clone, Debug)]
pub(super) struct Through {
    pub scale: Vec<f32>,
    pub slope: Vec<f32>,
    pub offset: Vec<f32>,
}

/// The gradient of z, `scale·g + slope·(z − mean) + offset` with g that behind the ReLU: slope and offset carry what z does through
/// the statistics of the batch.
pub(super) fn gradient_of_z(behind: Behind<'_>, through: &Through, out: &mut [f32]) {
    let channels = behind.check();
    let Through { scale, slope, offset } = through;
    assert!([scale, slope, offset].iter().all(|of| of.len() == channels) && out.len() == behind.z.len());
    vectorize(channels, GradientOfZ { behind, through, out });
}

struct GradientOfZ<'a> {
    behind: Behind<'a>,
    through: &'a Through,
    out: &'a mut [f32],
}

impl WithSimd for GradientOfZ<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for channel in (0..self.behind.mean.len()).step_by(S::F32_LANES) {
            // SAFETY: `gradient_of_z` has checked the lengths.
            unsafe {
                let of = |values: &[f32]| load::<S>(values.as_ptr().add(channel));
                let Through { scale, slope, offset } = self.through;
                let (scale, slope, offset) = (of(scale), of(slope), of(offset));
                self.behind.for_each(simd, channel, |at, _, distance, gradient| {
                    let constant = simd.mul_add_f32s(distance, slope, offset);
                    store::<S>(self.out.as_mut_ptr().add(at), simd.mul_add_f32s(gradient, scale, constant));
                });
            }
        }
    }
}
