//! Convolution → batch normalisation (→ + residual) (→ ReLU) (→ 2×2 average pooling) of a batch of images.
//!
//! A batch is worked on in runs of images, image by image, so that what one step of the block writes is still in the processor's
//! cache when the next one reads it. Only the statistics of the batch stand between two passes over all images: two passes forward,
//! two backward. Sums over a batch are made run by run, and the runs depend on the number of images alone, so that results are the
//! same with any number of threads.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffers::{Buffer, for_writing, parts, unwritten, written};
use super::convolution::{Frames, Layout, Sizes, Weights};
use super::normalization::{Affine, activate, average_pool, global_average, statistics};
use crate::pool::Pool;

/// What a block does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub sizes: Sizes,
    /// Of the input; the output is interleaved.
    pub layout: Layout,
    pub relu: bool,
    pub pool: Pool,
}

impl Plan {
    /// Height, width and channels of an output image.
    pub fn out_dims(&self) -> [usize; 3] {
        let (height, width) = (self.sizes.out_height(), self.sizes.out_width());
        match self.pool {
            Pool::None => [height, width, self.sizes.c_out],
            Pool::Halve => [height / 2, width / 2, self.sizes.c_out],
            Pool::Average => [1, 1, self.sizes.c_out],
        }
    }

    pub fn out_len(&self) -> usize {
        self.out_dims().iter().product()
    }

    /// Images in a run.
    pub fn run(&self, images: usize) -> usize {
        images.div_ceil(RUNS)
    }
}

/// Runs that a batch is parted into, if it has so many images.
const RUNS: usize = 32;

/// Scale γ and shift β, and the mean and 1/√(variance + ε) that they are applied after.
#[derive(Clone, Debug)]
pub(super) struct Normalization {
    pub mean: Vec<f32>,
    pub inverse_deviation: Vec<f32>,
    pub scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Normalization {
    pub fn new(mean: Vec<f32>, variance: &[f32], epsilon: f64, gamma: &[f32], beta: &[f32]) -> Self {
        let inverse_deviation: Vec<f32> =
            variance.iter().map(|variance| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32).collect();
        let scale = gamma.iter().zip(&inverse_deviation).map(|(gamma, inverse)| gamma * inverse).collect();
        Self { mean, inverse_deviation, scale, shift: beta.to_vec() }
    }

    pub fn affine(&self) -> Affine<'_> {
        Affine { mean: &self.mean, scale: &self.scale, shift: &self.shift }
    }
}

/// Mean and biased variance of each channel over a batch.
pub(super) struct BatchStatistics {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
    /// Values of a channel.
    pub count: usize,
}

/// Buffers of a thread.
#[derive(Default)]
pub(super) struct Scratch {
    pub frames: Frames,
    pub maps: Vec<f32>,
    activated: Vec<f32>,
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The convolutions of all images, `[N, H', W', C]`, and their statistics.
pub(super) fn convolve(plan: &Plan, images: &[f32], weights: &Weights) -> (Buffer, BatchStatistics) {
    let Sizes { c_out, .. } = plan.sizes;
    let (input, output) = (plan.sizes.input(), plan.sizes.output());
    let count = images.len() / input;
    let run = plan.run(count);
    let mut maps = Buffer::new(count * output);
    let mut means = vec![0.0; count * c_out];
    let mut squares = vec![0.0; count * c_out];
    images
        .par_chunks(run * input)
        .zip(maps.par_chunks_mut(run * output))
        .zip(means.par_chunks_mut(run * c_out))
        .zip(squares.par_chunks_mut(run * c_out))
        .for_each(|(((images, maps), means), squares)| {
            SCRATCH.with_borrow_mut(|scratch| {
                let of_image = means.chunks_exact_mut(c_out).zip(squares.chunks_exact_mut(c_out));
                let images = images.chunks_exact(input).zip(maps.chunks_exact_mut(output));
                for ((image, maps), (mean, squares)) in images.zip(of_image) {
                    scratch.frames.convolve(image, plan.layout, weights, maps);
                    statistics(maps, mean, squares);
                }
            });
        });
    (maps, combined(&means, &squares, c_out, output / c_out))
}

/// Statistics over all images from those of each (Chan, Golub & LeVeque 1979, for parts of one size).
fn combined(means: &[f32], squares: &[f32], channels: usize, pixels: usize) -> BatchStatistics {
    let images = means.len() / channels;
    let count = images * pixels;
    assert!(count > 1, "BatchNorm: training needs more than one value per channel, the input has {count}");
    let channel =
        |of: &[f32], c: usize| -> Vec<f64> { of.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect() };
    let (mean, variance) = (0..channels)
        .map(|c| {
            let of_images = channel(means, c);
            let mean = of_images.iter().sum::<f64>() / images as f64;
            let between: f64 = of_images.iter().map(|of_image| (of_image - mean).powi(2)).sum();
            let within: f64 = channel(squares, c).iter().sum();
            (mean as f32, ((within + between * pixels as f64) / count as f64) as f32)
        })
        .unzip();
    BatchStatistics { mean, variance, count }
}

/// What follows the convolution; and, where a residual has gone into the output before it was pooled, what it was then.
pub(super) fn finish(
    plan: &Plan,
    maps: &[f32],
    normalization: &Normalization,
    residual: Option<&[f32]>,
) -> (Vec<f32>, Option<Buffer>) {
    let (output, finished) = (plan.sizes.output(), plan.out_len());
    let count = maps.len() / output;
    let run = plan.run(count);
    let mut out = unwritten(count * finished);
    let mut activated = (residual.is_some() && plan.pool != Pool::None).then(|| Buffer::new(maps.len()));
    let kept = parts(activated.as_deref_mut(), run * output, count.div_ceil(run));
    let of_run = |at: usize, out: &mut [MaybeUninit<f32>], mut activated: Option<&mut [f32]>| {
        // SAFETY: every image's part is written, and not read.
        let out = unsafe { for_writing(out) };
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.activated.resize(output, 0.0);
            for (i, out) in out.chunks_exact_mut(finished).enumerate() {
                let part = (at * run + i) * output..(at * run + i + 1) * output;
                let residual = residual.map(|residual| &residual[part.clone()]);
                let activated = match &mut activated {
                    Some(activated) => &mut activated[i * output..][..output],
                    None => &mut scratch.activated,
                };
                finish_image(plan, &maps[part], normalization, residual, activated, out);
            }
        });
    };
    let runs = out.par_chunks_mut(run * finished).zip(kept);
    runs.enumerate().for_each(|(at, (out, activated))| of_run(at, out, activated));
    // SAFETY: every run has written its part.
    (unsafe { written(out) }, activated)
}

fn finish_image(
    plan: &Plan,
    maps: &[f32],
    normalization: &Normalization,
    residual: Option<&[f32]>,
    activated: &mut [f32],
    out: &mut [f32],
) {
    let affine = normalization.affine();
    match plan.pool {
        Pool::None => activate(maps, affine, residual, plan.relu, out),
        Pool::Halve => {
            activate(maps, affine, residual, plan.relu, activated);
            average_pool(activated, plan.sizes.out_width(), plan.sizes.c_out, out);
        }
        Pool::Average => {
            activate(maps, affine, residual, plan.relu, activated);
            global_average(activated, out);
        }
    }
}

/// The whole block with given statistics: one pass.
pub(super) fn infer(
    plan: &Plan,
    images: &[f32],
    weights: &Weights,
    normalization: &Normalization,
    residual: Option<&[f32]>,
) -> Vec<f32> {
    let (input, output, finished) = (plan.sizes.input(), plan.sizes.output(), plan.out_len());
    let count = images.len() / input;
    let run = plan.run(count);
    let mut out = unwritten(count * finished);
    images.par_chunks(run * input).zip(out.par_chunks_mut(run * finished)).enumerate().for_each(
        |(at, (images, out))| {
            SCRATCH.with_borrow_mut(|scratch| {
                let Scratch { frames, maps, activated } = scratch;
                maps.resize(output, 0.0);
                activated.resize(output, 0.0);
                // SAFETY: every image's part is written, and not read.
                let out = unsafe { for_writing(out) };
                for (i, (image, out)) in images.chunks_exact(input).zip(out.chunks_exact_mut(finished)).enumerate() {
                    frames.convolve(image, plan.layout, weights, maps);
                    let residual = residual.map(|residual| &residual[(at * run + i) * output..][..output]);
                    finish_image(plan, maps, normalization, residual, activated, out);
                }
            });
        },
    );
    // SAFETY: every run has written its part.
    unsafe { written(out) }
}
