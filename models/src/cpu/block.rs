//! Convolution → batch normalisation (→ + residual) (→ ReLU) (→ 2×2 average pooling) of a batch of images, and its gradients.
//!
//! A batch is worked on in runs of images, image by image, so that what one step of the block writes is still in the processor's
//! cache when the next one reads it. Only the statistics of the batch stand between two passes over all images: two passes forward,
//! two backward. Sums over a batch are made run by run, and the runs depend on the number of images alone, so that results are the
//! same with any number of threads.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::buffers::{Buffer, for_writing, unwritten, written};
use super::convolution::{Frames, Layout, Sizes, Weights, pytorch_weights};
use super::normalization::{Affine, activate, average_pool, global_average, statistics};
use super::normalization_gradient::{Behind, Gate, Through, gradient_of_z, gradient_sums};
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

    fn out_len(&self) -> usize {
        self.out_dims().iter().product()
    }

    /// Images in a run.
    fn run(&self, images: usize) -> usize {
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
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Normalization {
    pub fn new(mean: Vec<f32>, variance: &[f32], epsilon: f64, gamma: &[f32], beta: &[f32]) -> Self {
        let inverse_deviation: Vec<f32> =
            variance.iter().map(|variance| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32).collect();
        let scale = gamma.iter().zip(&inverse_deviation).map(|(gamma, inverse)| gamma * inverse).collect();
        Self { mean, inverse_deviation, scale, shift: beta.to_vec() }
    }

    fn affine(&self) -> Affine<'_> {
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
struct Scratch {
    frames: Frames,
    maps: Vec<f32>,
    activated: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
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
    let runs = out.par_chunks_mut(run * finished);
    match &mut activated {
        Some(activated) => runs
            .zip(activated.par_chunks_mut(run * output))
            .enumerate()
            .for_each(|(at, (out, activated))| of_run(at, out, Some(activated))),
        None => runs.enumerate().for_each(|(at, out)| of_run(at, out, None)),
    }
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

/// What a forward pass leaves for the gradients.
pub(super) struct Passed<'a> {
    pub images: &'a [f32],
    pub weights: &'a Weights,
    pub maps: &'a [f32],
    pub normalization: &'a Normalization,
    /// What the ReLU put out, where a residual has been added to what the maps alone tell.
    pub activated: Option<&'a [f32]>,
}

/// Gradients of what goes into a block.
pub(super) struct Gradients {
    /// Of the images, `[N, H, W, C]`.
    pub images: Option<Vec<f32>>,
    /// Of the weights, `[C_out, C_in, k, k]`.
    pub weights: Vec<f32>,
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
    /// Of the residual, which is that of the output but for the ReLU.
    pub residual: Option<Vec<f32>>,
}

/// Gradients, given that of the output.
pub(super) fn gradients(plan: &Plan, passed: &Passed<'_>, of_output: &[f32], of_images: bool) -> Gradients {
    let Sizes { c_out, .. } = plan.sizes;
    let (input, output, finished) = (plan.sizes.input(), plan.sizes.output(), plan.out_len());
    let count = passed.maps.len() / output;
    let run = plan.run(count);
    let behind = |image: usize| passed.behind(plan, image, &of_output[image * finished..][..finished]);

    // First pass: sums for each channel. Where there is a residual, the gradient behind the ReLU is kept: it is the residual's.
    let mut kept = passed.activated.map(|_| unwritten(count * output));
    let mut sums = vec![0.0; count * c_out];
    let mut products = vec![0.0; count * c_out];
    let first = |at: usize, sums: &mut [f32], products: &mut [f32], kept: Option<&mut [MaybeUninit<f32>]>| {
        // SAFETY: every image's part is written, and not read.
        let mut kept = kept.map(|kept| unsafe { for_writing(kept) });
        for (i, (sums, products)) in sums.chunks_exact_mut(c_out).zip(products.chunks_exact_mut(c_out)).enumerate() {
            let kept = kept.as_mut().map(|kept| &mut kept[i * output..][..output]);
            gradient_sums(behind(at * run + i), kept, sums, products);
        }
    };
    let of_runs = sums.par_chunks_mut(run * c_out).zip(products.par_chunks_mut(run * c_out));
    match &mut kept {
        Some(kept) => of_runs
            .zip(kept.par_chunks_mut(run * output))
            .enumerate()
            .for_each(|(at, ((sums, products), kept))| first(at, sums, products, Some(kept))),
        None => of_runs.enumerate().for_each(|(at, (sums, products))| first(at, sums, products, None)),
    }
    // SAFETY: every run has written its part.
    let kept = kept.map(|kept| unsafe { written(kept) });
    let (sums, products) = (summed(&sums, c_out), summed(&products, c_out));
    let through = through(passed.normalization, &sums, &products, (count * output / c_out) as f64);

    // Second pass: the gradient of the maps, image by image, and what follows from it.
    let mut of_weights = vec![0.0; count.div_ceil(run) * plan.sizes.weights()];
    let mut images = of_images.then(|| unwritten(count * input));
    let second = |at: usize, of_weights: &mut [f32], images: Option<&mut [MaybeUninit<f32>]>| {
        // SAFETY: every image's part is written, and not read.
        let mut images = images.map(|images| unsafe { for_writing(images) });
        SCRATCH.with_borrow_mut(|Scratch { frames, maps: gradient, .. }| {
            gradient.resize(output, 0.0);
            for image in at * run..((at + 1) * run).min(count) {
                let behind = match &kept {
                    Some(kept) => {
                        let of_output = &kept[image * output..][..output];
                        Behind { of_output, pool: Pool::None, gate: Gate::Open, ..behind(image) }
                    }
                    None => behind(image),
                };
                gradient_of_z(behind, &through, gradient);
                frames.take(&passed.images[image * input..][..input], plan.layout, &plan.sizes);
                frames.add_weight_gradient(gradient, &plan.sizes, of_weights);
                if let Some(images) = &mut images {
                    frames.input_gradient(gradient, passed.weights, &mut images[(image - at * run) * input..][..input]);
                }
            }
        });
    };
    let of_runs = of_weights.par_chunks_mut(plan.sizes.weights());
    match &mut images {
        Some(images) => of_runs
            .zip(images.par_chunks_mut(run * input))
            .enumerate()
            .for_each(|(at, (weights, images))| second(at, weights, Some(images))),
        None => of_runs.enumerate().for_each(|(at, weights)| second(at, weights, None)),
    }
    // SAFETY: every run has written its part.
    let mut images = images.map(|images| unsafe { written(images) });
    if plan.layout == Layout::Planar {
        images = images.map(|images| planar(&images, &plan.sizes));
    }
    let deviations = products.iter().zip(&passed.normalization.inverse_deviation);
    Gradients {
        images,
        weights: pytorch_weights(&added(&of_weights, plan.sizes.weights()), &plan.sizes),
        gamma: deviations.map(|(product, inverse)| (product * f64::from(*inverse)) as f32).collect(),
        beta: sums.iter().map(|sum| *sum as f32).collect(),
        residual: kept,
    }
}

impl Passed<'_> {
    fn behind<'a>(&'a self, plan: &Plan, image: usize, of_output: &'a [f32]) -> Behind<'a> {
        let len = plan.sizes.output();
        let part = image * len..(image + 1) * len;
        Behind {
            of_output,
            pool: plan.pool,
            gate: match (plan.relu, self.activated) {
                (false, _) => Gate::Open,
                (true, Some(activated)) => Gate::Output(&activated[part.clone()]),
                (true, None) => Gate::Normalized(self.normalization.affine()),
            },
            z: &self.maps[part],
            width: plan.sizes.out_width(),
            mean: &self.normalization.mean,
        }
    }
}

/// With y = γ(z − mean)/σ + β, n values a channel and g the gradient of y, that of z is
/// γ/σ · (g − Σg/n − (z − mean) · Σ(g(z − mean))/(n σ²)).
fn through(normalization: &Normalization, sums: &[f64], products: &[f64], count: f64) -> Through {
    let of_channels = normalization.scale.iter().zip(&normalization.inverse_deviation);
    let slope = of_channels.zip(products).map(|((scale, inverse), product)| {
        (-f64::from(*scale) * f64::from(*inverse) * f64::from(*inverse) * product / count) as f32
    });
    let offset = normalization.scale.iter().zip(sums).map(|(scale, sum)| (-f64::from(*scale) * sum / count) as f32);
    Through { slope: slope.collect(), offset: offset.collect(), scale: normalization.scale.clone() }
}

/// Sums over parts of `len` values, in their order.
fn summed(parts: &[f32], len: usize) -> Vec<f64> {
    let mut sums = vec![0.0; len];
    for part in parts.chunks_exact(len) {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums
}

/// The same in single precision, for few parts of many values.
fn added(parts: &[f32], len: usize) -> Vec<f32> {
    let mut sums = vec![0.0; len];
    for part in parts.chunks_exact(len) {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sums
}

/// `[N, H, W, C]` → `[N, C, H, W]`.
fn planar(images: &[f32], sizes: &Sizes) -> Vec<f32> {
    let places = sizes.height * sizes.width;
    let mut out = vec![0.0; images.len()];
    for (image, out) in images.chunks_exact(sizes.input()).zip(out.chunks_exact_mut(sizes.input())) {
        for (place, pixel) in image.chunks_exact(sizes.c_in).enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                out[channel * places + place] = *value;
            }
        }
    }
    out
}
