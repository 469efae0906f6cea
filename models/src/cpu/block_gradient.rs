//! The gradients of a block, in two passes over the images of a batch: sums for each channel, then all that follows from them.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::block::{Normalization, Plan, SCRATCH, Scratch};
use super::buffers::{for_writing, parts, unwritten, written};
use super::convolution::{Layout, Sizes, Weights, pytorch_weights};
use super::normalization_gradient::{Behind, Gate, Through, gradient_of_z, gradient_sums};
use crate::pool::Pool;

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
    let runs = count.div_ceil(run);
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
    let of_runs = of_runs.zip(parts(kept.as_deref_mut(), run * output, runs));
    of_runs.enumerate().for_each(|(at, ((sums, products), kept))| first(at, sums, products, kept));
    // SAFETY: every run has written its part.
    let kept = kept.map(|kept| unsafe { written(kept) });
    let (sums, products) = (summed(&sums, c_out), summed(&products, c_out));
    let through = through(passed.normalization, &sums, &products, (count * output / c_out) as f64);

    // Second pass: the gradient of the maps, image by image, and what follows from it.
    let mut of_weights = vec![0.0; runs * plan.sizes.weights()];
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
    let of_runs = of_runs.zip(parts(images.as_deref_mut(), run * input, runs));
    of_runs.enumerate().for_each(|(at, (weights, images))| second(at, weights, images));
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
