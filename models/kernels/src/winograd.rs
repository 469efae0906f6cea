//! Convolutions of 3×3 weights and stride 1 by Winograd's algorithm F(4×4, 3×3): 36 products a tile of 4×4 outputs in place of 144.
//!
//! Blocks of tiles go through it: what they see is transformed to 36 points, each of which is a matrix product with the weights, and
//! the products are transformed to the outputs. Points and products of a block stay in the processor's cache. The gradient of the input
//! is the convolution of the gradient of the output with the mirrored weights. For the gradient of the weights, what a tile sees and
//! the gradient of its outputs meet at the points, and the sums over all tiles are transformed.
//!
//! A tile is computed in the same order in whatever block it is, so that results depend on neither threads nor groups of images.

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::sizes::{ConvParams, ConvSizes};
use crate::weights::{Weights, panel_width};
use crate::winograd_points::{POINTS, Points, Tiling};
use crate::winograd_products::{add_products, multiply};
use crate::winograd_tiles::{transform_gradients, transform_images, transform_products};
use crate::winograd_weights::{transform_sums, transform_weights};

/// Memory of a thread.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    points: Points,
    products: Points,
    /// Sums of the gradient of weights at the points.
    sums: Vec<f32>,
}

/// Whether Winograd's algorithm is faster, by the multiplications of both and measured costs of the transforms. The number of images has no
/// say, so that the output of an image does not depend on the others of its batch.
pub(crate) fn is_faster(sizes: &ConvSizes) -> bool {
    /// Transforming a value of a tile takes as long as so many multiplications, in vectors as wide.
    const OF_A_VALUE: usize = 11;
    /// Transforming the weights takes as long as the products of 40 tiles, of which each of 32 images has a share.
    const OF_THE_WEIGHTS: f64 = 40.0 / 32.0;

    let ConvParams { height, width, c_in, c_out, kernel, stride, padding } = sizes.params();
    if (kernel, stride) != (3, 1) {
        return false;
    }
    // Products of pixels and weights, without those of the padding.
    let along = |side: usize, out: usize| -> usize {
        (0..kernel).map(|at| (side + padding).saturating_sub(at).min(out) - padding.saturating_sub(at).min(out)).sum()
    };
    let direct = along(height, sizes.out_height()) as f64 * along(width, sizes.out_width()) as f64;
    let tiles = Tiling::new(sizes).tiles() as f64;
    let of_values = |channels: usize| {
        let narrow = if channels.is_multiple_of(16) { 1 } else { 2 };
        (narrow * OF_A_VALUE) as f64 / channels as f64
    };
    POINTS as f64 * (tiles * (1.0 + of_values(c_in) + of_values(c_out)) + OF_THE_WEIGHTS) < 0.9 * direct
}

/// Images whose gradients of weights are one sum at the points, where groups of images go through a convolution together: enough tiles
/// that reading and transforming the sums takes little.
pub(crate) fn images_of_a_sum(sizes: &ConvSizes) -> usize {
    64_usize.div_ceil(Tiling::new(sizes).tiles())
}

/// Whether the sums of all weights at the points stay in the second-level cache of most processors, 256 KiB.
pub(crate) fn sums_fit(sizes: &ConvSizes) -> bool {
    let ConvParams { c_in, c_out, .. } = sizes.params();
    POINTS * c_in * c_out * size_of::<f32>() <= 256 << 10
}

/// Whole images whose tiles are at most a block, or one image.
pub(crate) fn images_of_a_block(sizes: &ConvSizes) -> usize {
    let ConvParams { c_in, c_out, .. } = sizes.params();
    (block(c_in, c_out) / Tiling::new(sizes).tiles()).max(1)
}

/// Output channels of such a sum. What the tiles see is transformed for each sum.
pub(crate) fn width_of_a_sum(c_out: usize) -> usize {
    if c_out >= 256 && c_out.is_multiple_of(64) { 64 } else { panel_width(c_out) }
}

/// Tiles of a block: enough that reading the weights takes little, and few enough that their points stay in the cache.
fn block(c_in: usize, c_out: usize) -> usize {
    (2048 / c_in.max(c_out)).clamp(32, 64)
}

/// The tiles from `first` on that are a block.
fn blocks(tiles: usize, block: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..tiles).step_by(block).map(move |first| (first, block.min(tiles - first)))
}

/// A convolution with its weights at the points.
#[derive(Debug)]
pub(crate) struct PointWeights {
    tiling: Tiling,
    c_in: usize,
    c_out: usize,
    /// `[C_out / w, 36, C_in, w]`
    values: Buffer,
}

impl PointWeights {
    /// Of the convolution itself.
    pub fn forward(weights: &Weights) -> Self {
        Self::new(weights.sizes(), weights.forward())
    }

    /// Of the convolution that computes the gradient of the images.
    ///
    /// # Panics
    ///
    /// If the weights have not been arranged for it, or the input channels are not a multiple of eight.
    pub fn mirrored(weights: &Weights) -> Self {
        let mirrored = weights.mirrored().expect("weights arranged for the gradient of the images");
        let sizes = weights.sizes().transposed();
        assert_eq!(weights.sizes().params().c_in, sizes.params().c_out);
        Self::new(&sizes, mirrored)
    }

    fn new(sizes: &ConvSizes, panels: &[f32]) -> Self {
        let ConvParams { c_in, c_out, .. } = sizes.params();
        let width = panel_width(c_out);
        let mut values = Buffer::new(POINTS * c_in * c_out);
        let of_panels = values.par_chunks_mut(POINTS * c_in * width).zip(panels.par_chunks(9 * c_in * width));
        of_panels.for_each(|(points, panel)| transform_weights(width, panel, points));
        Self { tiling: Tiling::new(sizes), c_in, c_out, values }
    }

    /// Writes the convolutions of images `[N, H, W, C_in]`, `[N, H', W', C_out]`.
    ///
    /// # Panics
    ///
    /// If the lengths are not those of N images.
    pub fn convolve(&self, images: &[f32], blocks: &mut Blocks, out: &mut [f32]) {
        self.write_or_add(images, blocks, out, false);
    }

    /// The same, or with `add` adds the convolutions to what is there.
    pub fn write_or_add(
        &self,
        images: &[f32],
        Blocks { points, products, .. }: &mut Blocks,
        out: &mut [f32],
        add: bool,
    ) {
        let Self { tiling, c_in, c_out, .. } = *self;
        let count = images.len() / (tiling.pixels() * c_in);
        assert_eq!(out.len(), count * tiling.out_pixels() * c_out);
        for (first, tiles) in blocks(count * tiling.tiles(), block(c_in, c_out)) {
            points.resize(tiles, c_in);
            products.resize(tiles, c_out);
            transform_images(&tiling, images, first, points);
            multiply(points, &self.values, products);
            transform_products(&tiling, products, first, out, add);
        }
    }
}

/// A sum of gradients of the weights over images: of `channels[1]` output channels from `channels[0]` on.
pub(crate) struct WeightSums<'a> {
    sizes: &'a ConvSizes,
    channels: [usize; 2],
    started: bool,
}

impl<'a> WeightSums<'a> {
    pub fn new(sizes: &'a ConvSizes, channels: [usize; 2]) -> Self {
        Self { sizes, channels, started: false }
    }

    /// Adds the gradients for images `[N, H, W, C_in]`, given those of their outputs `[N, H', W', C_out]`.
    pub fn add(&mut self, images: &[f32], gradients: &[f32], Blocks { points, products, sums }: &mut Blocks) {
        let ConvParams { c_in, c_out, .. } = self.sizes.params();
        let [channel, width] = self.channels;
        let tiling = Tiling::new(self.sizes);
        let count = images.len() / self.sizes.input_len();
        assert_eq!((images.len(), gradients.len()), (count * self.sizes.input_len(), count * self.sizes.output_len()));
        sums.resize(sums.len().max(POINTS * c_in * width), 0.0);
        for (first, tiles) in blocks(count * tiling.tiles(), block(c_in, width)) {
            points.resize(tiles, c_in);
            products.resize(tiles, width);
            transform_images(&tiling, images, first, points);
            transform_gradients(&tiling, gradients, [channel, c_out], first, products);
            add_products(points, products, !self.started, &mut sums[..POINTS * c_in * width]);
            self.started = true;
        }
    }

    /// Writes the gradient, `[3, 3, C_in, w]`.
    ///
    /// # Panics
    ///
    /// If nothing was added, or the length is another.
    pub fn write(self, Blocks { sums, .. }: &Blocks, gradient: &mut [f32]) {
        let [_, width] = self.channels;
        assert!(self.started);
        transform_sums(width, &sums[..POINTS * self.sizes.params().c_in * width], gradient);
    }
}
