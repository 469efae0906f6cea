//! Convolution → batch normalisation (→ + residual) (→ ReLU) (→ average pooling) of a batch of images, forward.
//!
//! A batch is split into runs of images. Each run goes through the block image by image, so that what one step writes is still in
//! the processor's cache when the next step reads it. Where maps are small or weights many, groups of images take the place of
//! images: see `image_tiles`. Where it takes less, the convolution is Winograd's: see `winograd`. Only the statistics of the batch need
//! a second pass over all images. It goes from the last image to the first, as every second pass here and of the gradients does, and so
//! begins with what is still in the cache. Sums over a batch are added up run by run, and the runs depend on the number of images alone:
//! results do not depend on the number of threads.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::Pool;
use crate::batch_statistics::{BatchStatistics, Normalization};
use crate::buffer::Buffer;
use crate::frames::{Frames, Layout};
use crate::image_tiles::{can_compute, convolve_images};
use crate::normalization::{activate, statistics};
use crate::pooling::{average_pool, global_average};
use crate::sizes::{ConvParams, ConvSizes, SizesError};
use crate::weights::Weights;
use crate::winograd::{Blocks, PointWeights, is_faster};

/// Convolution → batch normalisation (→ + residual) (→ ReLU) (→ pooling) of batches of images.
///
/// Maps and output are interleaved, `[N, H', W', C_out]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvBlock {
    sizes: ConvSizes,
    layout: Layout,
    relu: bool,
    pool: Pool,
    /// Height and width of the output.
    out: [usize; 2],
}

/// With more weights than a first-level cache holds a few times, 36,864, all images wait for weights.
const MOST_WEIGHTS_OF_ONE_IMAGE: usize = 64 * 64 * 9;

/// Most runs that a batch is split into.
pub(crate) const MAX_RUNS: usize = 32;

impl ConvBlock {
    /// A block for images in `layout`.
    ///
    /// # Errors
    ///
    /// If 2×2 pooling would leave nothing of the maps.
    pub fn new(sizes: ConvSizes, layout: Layout, relu: bool, pool: Pool) -> Result<Self, SizesError> {
        Ok(Self { sizes, layout, relu, pool, out: sizes.pooled(pool)? })
    }

    /// The sizes of its convolution.
    pub fn sizes(&self) -> &ConvSizes {
        &self.sizes
    }

    /// The layout of its input.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn relu(&self) -> bool {
        self.relu
    }

    pub(crate) fn pool(&self) -> Pool {
        self.pool
    }

    /// Height, width and channels of an output image.
    pub fn out_dims(&self) -> [usize; 3] {
        let [height, width] = self.out;
        [height, width, self.sizes.params().c_out]
    }

    /// Number of values of an output image.
    pub fn out_len(&self) -> usize {
        self.out_dims().iter().product()
    }

    /// Number of images in a run of a batch.
    pub(crate) fn run(&self, images: usize) -> usize {
        images.div_ceil(MAX_RUNS).max(1)
    }

    /// Whether groups of so many images go through the convolution together.
    pub(crate) fn together(&self, images: usize) -> bool {
        let ConvParams { c_in, c_out, stride, .. } = self.sizes.params();
        // What is left out of the borders makes up for pixels that are apart, if tiles have two vectors.
        let wide_tiles = c_in.is_multiple_of(32) && c_out.is_multiple_of(32);
        let narrow = self.sizes.out_width() <= if wide_tiles { 16 } else { 8 };
        let many_weights = self.sizes.weights_len() > MOST_WEIGHTS_OF_ONE_IMAGE;
        let suitable = self.layout == Layout::Interleaved && can_compute(&self.sizes);
        images >= 8 && suitable && (narrow || many_weights || stride > 1)
    }

    /// Number of images in such a group: whole tiles, enough pixels to read the weights for, and a share for several threads.
    pub(crate) fn group(&self, images: usize) -> usize {
        let pixels = self.sizes.output_len() / self.sizes.params().c_out;
        match self.by_winograd() {
            true => (32 * 16 / pixels).max(8).min(images.div_ceil(4)).next_multiple_of(4),
            false => (32 / pixels).max(8).min(images.div_ceil(8)).next_multiple_of(4),
        }
    }

    /// Whether the convolution and its gradients are computed by Winograd's algorithm F(4×4, 3×3), by what that is
    /// expected to take. Rounding errors are then two to four times those of sums of products.
    pub fn by_winograd(&self) -> bool {
        self.layout == Layout::Interleaved && can_compute(&self.sizes) && is_faster(&self.sizes)
    }

    /// The weights for Winograd's algorithm, if that computes the convolution.
    fn point_weights(&self, weights: &Weights) -> Option<PointWeights> {
        self.by_winograd().then(|| PointWeights::forward(weights))
    }

    /// Whether images go through the convolution together, and how many are a part of the batch then or else.
    pub(crate) fn part(&self, images: usize) -> (bool, usize) {
        match self.together(images) {
            true => (true, self.group(images)),
            false => (false, self.run(images)),
        }
    }

    /// Writes the maps of a group of images, or of one.
    pub(crate) fn convolve_part(
        &self,
        frames: &mut Frames,
        blocks: &mut Blocks,
        images: &[f32],
        weights: (&Weights, Option<&PointWeights>),
        together: bool,
        maps: &mut [f32],
    ) {
        match weights {
            (_, Some(weights)) => weights.convolve(images, blocks, maps),
            (weights, None) if together => convolve_images(images, weights, maps),
            (weights, None) => frames.convolve(images, self.layout, weights, maps),
        }
    }

    /// The convolutions of all images, `[N, H', W', C_out]`, and their statistics: the first pass of training.
    ///
    /// # Panics
    ///
    /// If `images` are no whole images, `weights` are those of another convolution, or a channel has fewer than two values, which
    /// have no variance.
    pub fn convolve(&self, images: &[f32], weights: &Weights) -> (Buffer, BatchStatistics) {
        self.check_weights(weights);
        let ConvParams { c_out, .. } = self.sizes.params();
        let (input, output) = (self.sizes.input_len(), self.sizes.output_len());
        let count = count(images, input);
        let (together, part) = self.part(count);
        let point_weights = self.point_weights(weights);
        let weights = (weights, point_weights.as_ref());
        let mut maps = Buffer::new(batch_len(count, output));
        let mut means = vec![0.0; count * c_out];
        let mut squares = vec![0.0; count * c_out];
        images
            .par_chunks(part * input)
            .zip(maps.par_chunks_mut(part * output))
            .zip(means.par_chunks_mut(part * c_out))
            .zip(squares.par_chunks_mut(part * c_out))
            .for_each(|(((images, maps), means), squares)| {
                SCRATCH.with_borrow_mut(|Scratch { frames, blocks, .. }| {
                    let step = if together { part } else { 1 };
                    let images = images.chunks(step * input).zip(maps.chunks_mut(step * output));
                    let of_images = means.chunks_mut(step * c_out).zip(squares.chunks_mut(step * c_out));
                    for ((images, maps), (means, squares)) in images.zip(of_images) {
                        self.convolve_part(frames, blocks, images, weights, together, maps);
                        let of_image = means.chunks_exact_mut(c_out).zip(squares.chunks_exact_mut(c_out));
                        for (maps, (mean, squares)) in maps.chunks_exact(output).zip(of_image) {
                            statistics(maps, mean, squares);
                        }
                    }
                });
            });
        (maps, BatchStatistics::of_images(&means, &squares, c_out, output / c_out))
    }

    /// The output for maps that [`convolve`](Self::convolve) has made, `[N, H', W', C_out]` pooled: the second pass of training.
    ///
    /// Where a residual `[N, H', W', C_out]` is added before pooling, also the output of the ReLU, which
    /// [`backward`](Self::backward) needs.
    ///
    /// # Panics
    ///
    /// If `maps` are no whole images, the residual is of another length, or the normalisation has other channels.
    pub fn normalize(
        &self,
        maps: &[f32],
        normalization: &Normalization,
        residual: Option<&[f32]>,
    ) -> (Vec<f32>, Option<Buffer>) {
        let (output, finished) = (self.sizes.output_len(), self.out_len());
        let count = count(maps, output);
        self.check_channels(normalization);
        assert!(residual.is_none_or(|residual| residual.len() == maps.len()), "a residual of the maps' shape");
        let run = self.run(count);
        let len = batch_len(count, finished);
        let mut out = Buffer::new(len);
        let mut activated = (residual.is_some() && self.pool != Pool::None).then(|| Buffer::new(maps.len()));
        let kept = optional_chunks(activated.as_deref_mut(), run * output, count.div_ceil(run));
        let of_run = |at: usize, out: &mut [f32], mut activated: Option<&mut [f32]>| {
            SCRATCH.with_borrow_mut(|scratch| {
                scratch.activated.resize(output, 0.0);
                for (i, out) in out.chunks_exact_mut(finished).enumerate().rev() {
                    let part = (at * run + i) * output..(at * run + i + 1) * output;
                    let residual = residual.map(|residual| &residual[part.clone()]);
                    let activated = match &mut activated {
                        Some(activated) => &mut activated[i * output..][..output],
                        None => &mut scratch.activated,
                    };
                    self.normalize_image(&maps[part], normalization, residual, activated, out);
                }
            });
        };
        let runs = out.par_chunks_mut(run * finished).zip(kept);
        runs.enumerate().rev().for_each(|(at, (out, activated))| of_run(at, out, activated));
        (out.into_vec(), activated)
    }

    /// Writes the whole output of an image; `activated` is memory for the output of the ReLU before pooling.
    pub(crate) fn normalize_image(
        &self,
        maps: &[f32],
        normalization: &Normalization,
        residual: Option<&[f32]>,
        activated: &mut [f32],
        out: &mut [f32],
    ) {
        let affine = normalization.affine();
        let relu = self.relu.then_some(0.0);
        match self.pool {
            Pool::None => activate(maps, affine, residual, relu, out),
            Pool::Halve => {
                activate(maps, affine, residual, relu, activated);
                average_pool(activated, self.sizes.out_width(), self.sizes.params().c_out, out);
            }
            Pool::Average => {
                activate(maps, affine, residual, relu, activated);
                global_average(activated, out);
            }
        }
    }

    pub(crate) fn check_weights(&self, weights: &Weights) {
        assert_eq!(weights.sizes(), &self.sizes, "sizes of the weights (left) and of the block (right)");
    }

    pub(crate) fn check_channels(&self, normalization: &Normalization) {
        let channels = self.sizes.params().c_out;
        assert_eq!(normalization.channels(), channels, "channels of the normalisation (left) and of the block (right)");
    }
}

/// Number of images of `len` values.
///
/// # Panics
///
/// If they are not whole.
pub(crate) fn count(images: &[f32], len: usize) -> usize {
    assert!(images.len().is_multiple_of(len), "{} values are no whole images of {len}", images.len());
    images.len() / len
}

/// Number of values of `count` images of `len` values.
///
/// # Panics
///
/// If it overflows.
pub(crate) fn batch_len(count: usize, len: usize) -> usize {
    count.checked_mul(len).expect("a batch that memory can hold")
}

/// Chunks of `len` values each, or `count` times `None` where there are no values.
pub(crate) fn optional_chunks(values: Option<&mut [f32]>, len: usize, count: usize) -> Vec<Option<&mut [f32]>> {
    match values {
        Some(values) => values.chunks_mut(len).map(Some).collect(),
        None => std::iter::repeat_with(|| None).take(count).collect(),
    }
}

/// Memory of a thread.
#[derive(Default)]
pub(crate) struct Scratch {
    pub frames: Frames,
    pub blocks: Blocks,
    /// Maps of some images, or their gradients.
    pub maps: Vec<f32>,
    /// The output of the ReLU before pooling.
    pub activated: Vec<f32>,
    /// The gradient of images, before it is added to another one.
    pub images: Vec<f32>,
}

thread_local! {
    pub(crate) static SCRATCH: RefCell<Scratch> = RefCell::default();
}
