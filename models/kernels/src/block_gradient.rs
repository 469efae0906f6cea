//! The gradients of a block, in two passes over the images of a batch: sums for each channel, then everything that needs them.

use rayon::prelude::*;

use crate::Pool;
use crate::activation_gradient::{ActivationGradient, NormGradient, ReluMask, channel_sums, maps_gradient};
use crate::batch_statistics::Normalization;
use crate::block::{ConvBlock, MAX_RUNS, SCRATCH, Scratch, batch_len, count, optional_chunks};
use crate::buffer::Buffer;
use crate::frames::Layout;
use crate::image_tiles::input_gradients;
use crate::image_weight_gradient::weight_gradient_row;
use crate::sizes::{ConvParams, ConvSizes};
use crate::weights::{Weights, panel_width, pytorch_layout};
use crate::winograd::{PointWeights, WeightSums, images_of_a_block, images_of_a_sum, sums_fit, width_of_a_sum};

/// Output pixels over which a gradient of weights is summed before it is added to others: enough that adding takes little.
const PIXELS_OF_A_RUN: usize = 512;

/// What the forward pass of training leaves for [`ConvBlock::backward`].
#[derive(Clone, Copy, Debug)]
pub struct Saved<'a> {
    /// The input, in the layout of the block.
    pub images: &'a [f32],
    /// The weights, arranged for the gradient of the images if that is wanted.
    pub weights: &'a Weights,
    /// What [`ConvBlock::convolve`] has returned, `[N, H', W', C_out]`.
    pub maps: &'a [f32],
    /// The normalisation with the statistics of the batch.
    pub normalization: &'a Normalization,
    /// If a residual was added: the output of the ReLU, `[N, H', W', C_out]`. That is the output without pooling, and the second
    /// value of [`ConvBlock::normalize`] with it.
    pub activated: Option<&'a [f32]>,
}

/// The gradients with respect to the inputs of a block.
#[derive(Clone, Debug)]
pub struct BlockGradients {
    /// Of the images, in the layout of the block.
    pub images: Option<Vec<f32>>,
    /// Of the weights, `[C_out, C_in, k, k]`.
    pub weights: Vec<f32>,
    /// Of γ, `[C_out]`.
    pub gamma: Vec<f32>,
    /// Of β, `[C_out]`.
    pub beta: Vec<f32>,
    /// Of the residual, `[N, H', W', C_out]`, if there was one.
    pub residual: Option<Vec<f32>>,
}

/// What becomes of the gradient of the images.
enum OfImages {
    Unwanted,
    Alone,
    /// It is added to another one, in whose memory it is returned.
    AddedTo(Vec<f32>),
}

impl OfImages {
    fn are_wanted(&self) -> bool {
        !matches!(self, Self::Unwanted)
    }

    fn are_added(&self) -> bool {
        matches!(self, Self::AddedTo(_))
    }

    /// Where `len` values of it are written or added, if it is wanted.
    fn buffer(self, len: usize) -> Option<Buffer> {
        match self {
            Self::Unwanted => None,
            Self::Alone => Some(Buffer::new(len)),
            Self::AddedTo(earlier) => Some(Buffer::from(earlier)),
        }
    }
}

/// Images of a turn of the second pass, and of a run of turns, which has one sum of gradients of the weights.
#[derive(Clone, Copy)]
struct Turns {
    images: usize,
    run: usize,
}

/// Lets `write` write to `out`, or if there is a vector to write to before, adds what it writes.
fn write_or_add(out: &mut [f32], part: Option<&mut Vec<f32>>, write: impl FnOnce(&mut [f32])) {
    let Some(part) = part else { return write(out) };
    part.resize(out.len(), 0.0);
    write(part);
    out.iter_mut().zip(part).for_each(|(sum, x)| *sum += *x);
}

impl ConvBlock {
    /// The gradients of a loss through a forward pass in training, statistics included, given its gradient with respect to the
    /// output.
    ///
    /// With g the gradient of y = γ(z − mean)/σ + β, back through pooling and ReLU, and n values z a channel:
    ///
    /// - of the residual: g
    /// - of β: Σ g, and of γ: Σ g·(z − mean)/σ
    /// - of the maps z: γ/σ · (g − Σ g/n − (z − mean)·Σ g(z − mean)/(n σ²))
    ///
    /// and from the last, those of the weights and of the images by the transposed convolution.
    ///
    /// # Panics
    ///
    /// If a slice is not of the length that the block and the number of images ask for, `weights` are those of another
    /// convolution or not arranged for the gradient of the images although that is wanted, or the normalisation has other channels.
    pub fn backward(&self, saved: &Saved<'_>, of_output: &[f32], of_images: bool) -> BlockGradients {
        self.gradients(saved, of_output, if of_images { OfImages::Alone } else { OfImages::Unwanted })
    }

    /// The same, with the gradient of the images added to an `earlier` one, such as that of a residual which skips the block.
    ///
    /// # Panics
    ///
    /// As [`backward`](Self::backward), and if `earlier` is not of the images' shape.
    pub fn backward_onto(&self, saved: &Saved<'_>, of_output: &[f32], earlier: Vec<f32>) -> BlockGradients {
        assert_eq!(
            earlier.len(),
            saved.images.len(),
            "values of the earlier gradient (left) and of the images (right)"
        );
        if self.layout() == Layout::Interleaved {
            return self.gradients(saved, of_output, OfImages::AddedTo(earlier));
        }
        let mut found = self.backward(saved, of_output, true);
        if let Some(image) = &mut found.images {
            image.iter_mut().zip(&earlier).for_each(|(sum, x)| *sum += x);
        }
        found
    }

    fn gradients(&self, saved: &Saved<'_>, of_output: &[f32], of_images: OfImages) -> BlockGradients {
        let ConvParams { c_out, .. } = self.sizes().params();
        let (output, finished) = (self.sizes().output_len(), self.out_len());
        let count = self.check(saved, of_output, of_images.are_wanted());
        let run = self.run(count);
        let runs = count.div_ceil(run);
        let of_image =
            |image: usize| self.activation_gradient(saved, image, &of_output[image * finished..][..finished]);

        // First pass: sums for each channel. The gradient of a residual is g, which is kept.
        let len = count * output;
        let mut kept = saved.activated.map(|_| Buffer::new(len));
        let mut sums = vec![0.0; count * c_out];
        let mut products = vec![0.0; count * c_out];
        let first = |at: usize, sums: &mut [f32], products: &mut [f32], mut kept: Option<&mut [f32]>| {
            for (i, (sums, products)) in sums.chunks_exact_mut(c_out).zip(products.chunks_exact_mut(c_out)).enumerate()
            {
                let kept = kept.as_mut().map(|kept| &mut kept[i * output..][..output]);
                channel_sums(of_image(at * run + i), kept, sums, products);
            }
        };
        let of_runs = sums.par_chunks_mut(run * c_out).zip(products.par_chunks_mut(run * c_out));
        let of_runs = of_runs.zip(optional_chunks(kept.as_deref_mut(), run * output, runs));
        of_runs.enumerate().for_each(|(at, ((sums, products), kept))| first(at, sums, products, kept));
        let (sums, products) = (summed(&sums, c_out), summed(&products, c_out));
        let coefficients = norm_gradient(saved.normalization, &sums, &products, (count * output / c_out) as f64);

        // Second pass: the gradient of the maps, and those of weights and images.
        let g = |image: usize| match &kept {
            Some(kept) => self.kept_gradient(saved, image, &kept[image * output..][..output]),
            None => of_image(image),
        };
        let maps_gradient = |image: usize, out: &mut [f32]| maps_gradient(g(image), &coefficients, out);
        let (weights, images) = match self.turns(count) {
            Some(turns) => self.gradients_in_turn(saved, count, turns, maps_gradient, of_images),
            None => self.gradients_together(saved, count, maps_gradient, of_images),
        };
        let images = images.map(|images| match self.layout() {
            Layout::Planar => planar(&images, self.sizes()),
            Layout::Interleaved => images.into_vec(),
        });
        BlockGradients {
            images,
            weights,
            gamma: saved.normalization.gamma_gradient(&products),
            beta: sums.iter().map(|sum| *sum as f32).collect(),
            residual: kept.map(Buffer::into_vec),
        }
    }

    /// How the second pass goes through so many images in turn: `None` if it goes through all of them together.
    fn turns(&self, count: usize) -> Option<Turns> {
        if !self.together(count) {
            return Some(Turns { images: 1, run: self.run(count) });
        }
        if !self.by_winograd() || !sums_fit(self.sizes()) {
            return None;
        }
        let images = images_of_a_block(self.sizes());
        let run = self.run(count).max(images_of_a_sum(self.sizes())).next_multiple_of(images);
        // Fewer runs would leave processors of many cores without work.
        (count.div_ceil(run) >= MAX_RUNS / 2).then_some(Turns { images, run })
    }

    /// The gradients of weights and images, given a function that writes the gradient of the maps of an image: some images at a time, whose
    /// gradient of the maps stays in the cache.
    fn gradients_in_turn(
        &self,
        saved: &Saved<'_>,
        count: usize,
        Turns { images: step, run }: Turns,
        maps_gradient: impl Fn(usize, &mut [f32]) + Sync,
        of_images: OfImages,
    ) -> (Vec<f32>, Option<Buffer>) {
        let (input, output, weights) =
            (self.sizes().input_len(), self.sizes().output_len(), self.sizes().weights_len());
        let winograd = self.by_winograd();
        let runs = count.div_ceil(run);
        let mirrored = (winograd && of_images.are_wanted()).then(|| PointWeights::mirrored(saved.weights));
        let mut of_weights = Buffer::new(batch_len(runs, weights));
        let added = of_images.are_added();
        let mut images = of_images.buffer(count * input);
        let of_run = |at: usize, of_weights: &mut [f32], mut images: Option<&mut [f32]>| {
            SCRATCH.with_borrow_mut(|Scratch { frames, blocks, maps: gradient, images: part, .. }| {
                of_weights.fill(0.0);
                let mut sums = winograd.then(|| WeightSums::new(self.sizes(), [0, self.sizes().params().c_out]));
                let end = ((at + 1) * run).min(count);
                for image in (at * run..end).step_by(step).rev() {
                    let part_len = step.min(end - image);
                    gradient.resize(part_len * output, 0.0);
                    for (i, gradient) in gradient.chunks_exact_mut(output).enumerate() {
                        maps_gradient(image + i, gradient);
                    }
                    let pixels = &saved.images[image * input..][..part_len * input];
                    match &mut sums {
                        Some(sums) => sums.add(pixels, gradient, blocks),
                        None => {
                            frames.add_weight_gradient(pixels, self.layout(), gradient, self.sizes(), of_weights);
                        }
                    }
                    if let Some(images) = &mut images {
                        let out = &mut images[(image - at * run) * input..][..part_len * input];
                        match &mirrored {
                            Some(weights) => weights.write_or_add(gradient, blocks, out, added),
                            None => write_or_add(out, added.then_some(&mut *part), |out| {
                                frames.input_gradient(gradient, saved.weights, out);
                            }),
                        }
                    }
                }
                if let Some(sums) = sums {
                    sums.write(blocks, of_weights);
                }
            });
        };
        let of_runs = of_weights.par_chunks_mut(weights);
        let of_runs = of_runs.zip(optional_chunks(images.as_deref_mut(), run * input, runs));
        of_runs.enumerate().rev().for_each(|(at, (weights, images))| of_run(at, weights, images));
        (pytorch_layout(&of_weights, self.sizes(), self.sizes().params().c_out), images)
    }

    /// The same for many images at a time: first the gradient of all maps, then those of weights and images.
    fn gradients_together(
        &self,
        saved: &Saved<'_>,
        count: usize,
        maps_gradient: impl Fn(usize, &mut [f32]) + Sync,
        of_images: OfImages,
    ) -> (Vec<f32>, Option<Buffer>) {
        let ConvParams { c_in, c_out, kernel, .. } = self.sizes().params();
        let (input, output) = (self.sizes().input_len(), self.sizes().output_len());
        let mut gradient = Buffer::new(count * output);
        gradient.par_chunks_mut(output).enumerate().rev().for_each(|(image, out)| maps_gradient(image, out));

        let winograd = self.by_winograd();
        let least = if winograd { images_of_a_sum(self.sizes()) } else { PIXELS_OF_A_RUN * c_out / output };
        let run = least.clamp(count.div_ceil(MAX_RUNS), count);
        let mut of_weights = Buffer::new(batch_len(count.div_ceil(run), self.sizes().weights_len()));
        let of_run = |at: usize| {
            let images = at * run..((at + 1) * run).min(count);
            let gradient = &gradient[images.start * output..images.end * output];
            (&saved.images[images.start * input..images.end * input], gradient)
        };
        let width = if winograd { width_of_a_sum(c_out) } else { panel_width(c_out) };
        let panels = c_out / width;
        if winograd {
            of_weights.par_chunks_mut(kernel * kernel * c_in * width).enumerate().for_each(|(at, of_weights)| {
                let (images, gradient) = of_run(at / panels);
                SCRATCH.with_borrow_mut(|Scratch { blocks, .. }| {
                    let mut sums = WeightSums::new(self.sizes(), [at % panels * width, width]);
                    sums.add(images, gradient, blocks);
                    sums.write(blocks, of_weights);
                });
            });
        } else {
            of_weights.par_chunks_mut(kernel * c_in * width).enumerate().for_each(|(at, of_weights)| {
                let (images, gradient) = of_run(at / kernel / panels);
                let row = [at / kernel % panels * width, at % kernel];
                weight_gradient_row(images, gradient, self.sizes(), row, of_weights);
            });
        }

        let added = of_images.are_added();
        let images = of_images.buffer(count * input).map(|mut images| {
            let group = self.group(count);
            let groups = images.par_chunks_mut(group * input).zip(gradient.par_chunks(group * output));
            let mirrored = winograd.then(|| PointWeights::mirrored(saved.weights));
            groups.rev().for_each(|(images, gradient)| {
                SCRATCH.with_borrow_mut(|Scratch { blocks, images: part, .. }| match &mirrored {
                    Some(weights) => weights.write_or_add(gradient, blocks, images, added),
                    None => write_or_add(images, added.then_some(part), |out| {
                        input_gradients(gradient, saved.weights, out);
                    }),
                });
            });
            images
        });
        (pytorch_layout(&of_weights, self.sizes(), width), images)
    }

    /// The number of images.
    fn check(&self, saved: &Saved<'_>, of_output: &[f32], of_images: bool) -> usize {
        self.check_weights(saved.weights);
        self.check_channels(saved.normalization);
        assert!(!of_images || saved.weights.mirrored().is_some(), "weights arranged for the gradient of the images");
        let count = count(saved.images, self.sizes().input_len());
        let maps = batch_len(count, self.sizes().output_len());
        assert_eq!(saved.maps.len(), maps, "values of the maps given (left) and of so many images (right)");
        assert!(
            saved.activated.is_none_or(|activated| activated.len() == maps),
            "an output of the ReLU of the maps' shape"
        );
        let output = batch_len(count, self.out_len());
        assert_eq!(
            of_output.len(),
            output,
            "values of the output's gradient given (left) and of so many images (right)"
        );
        count
    }

    /// The gradient g of an image.
    fn activation_gradient<'a>(&self, saved: &Saved<'a>, image: usize, of_output: &'a [f32]) -> ActivationGradient<'a> {
        let len = self.sizes().output_len();
        let part = image * len..(image + 1) * len;
        let mask = match (self.relu(), saved.activated) {
            (false, _) => ReluMask::All,
            (true, Some(activated)) => ReluMask::Output(&activated[part.clone()]),
            (true, None) => ReluMask::Normalized(saved.normalization.affine(), 0.0),
        };
        let width = self.sizes().out_width();
        ActivationGradient::new(of_output, self.pool(), mask, &saved.maps[part], width, saved.normalization.mean())
    }

    /// The same, of the g that the first pass has kept.
    fn kept_gradient<'a>(&self, saved: &Saved<'a>, image: usize, kept: &'a [f32]) -> ActivationGradient<'a> {
        let len = self.sizes().output_len();
        let z = &saved.maps[image * len..][..len];
        let width = self.sizes().out_width();
        ActivationGradient::new(kept, Pool::None, ReluMask::All, z, width, saved.normalization.mean())
    }
}

/// The coefficients of the gradient of the maps (see [`ConvBlock::backward`]), given Σ g and Σ g·(z − mean) over `count` values.
pub(crate) fn norm_gradient(normalization: &Normalization, sums: &[f64], products: &[f64], count: f64) -> NormGradient {
    let of_channels = normalization.scale().iter().zip(normalization.inverse_deviation());
    let slope = of_channels.zip(products).map(|((scale, inverse), product)| {
        (-f64::from(*scale) * f64::from(*inverse) * f64::from(*inverse) * product / count) as f32
    });
    let offset = normalization.scale().iter().zip(sums).map(|(scale, sum)| (-f64::from(*scale) * sum / count) as f32);
    NormGradient { slope: slope.collect(), offset: offset.collect(), scale: normalization.scale().to_vec() }
}

/// Sums over parts of `len` values, in their order.
pub(crate) fn summed(parts: &[f32], len: usize) -> Vec<f64> {
    let mut sums = vec![0.0; len];
    for part in parts.chunks_exact(len) {
        sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums
}

/// `[N, H, W, C]` → `[N, C, H, W]`.
fn planar(images: &[f32], sizes: &ConvSizes) -> Vec<f32> {
    let ConvParams { height, width, c_in, .. } = sizes.params();
    let places = height * width;
    let mut out = Buffer::new(images.len()).into_vec();
    for (image, out) in images.chunks_exact(sizes.input_len()).zip(out.chunks_exact_mut(sizes.input_len())) {
        for (place, pixel) in image.chunks_exact(c_in).enumerate() {
            for (channel, value) in pixel.iter().enumerate() {
                out[channel * places + place] = *value;
            }
        }
    }
    out
}
