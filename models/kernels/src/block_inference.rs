//! Blocks in evaluation: the statistics are given, so that an image is finished while its maps are in the cache.

use rayon::prelude::*;

use crate::Pool;
use crate::batch_statistics::Normalization;
use crate::block::{ConvBlock, SCRATCH, Scratch, batch_len, count};
use crate::buffer::Buffer;
use crate::convolution_tiles::multiply_pixels;
use crate::frames::Layout;
use crate::normalization::activate;
use crate::sizes::ConvParams;
use crate::weights::Weights;

/// Pixels that go through a pointwise block together.
const PIXELS: usize = 64;

impl ConvBlock {
    /// The output for images with given statistics, in one pass: evaluation.
    ///
    /// # Panics
    ///
    /// If `images` are no whole images, `weights` are those of another convolution, the residual is of another length than the
    /// maps, or the normalisation has other channels.
    pub fn infer(
        &self,
        images: &[f32],
        weights: &Weights,
        normalization: &Normalization,
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        self.check_weights(weights);
        self.check_channels(normalization);
        let (input, output, finished) = (self.sizes().input_len(), self.sizes().output_len(), self.out_len());
        let count = count(images, input);
        let maps_len = batch_len(count, output);
        assert!(residual.is_none_or(|residual| residual.len() == maps_len), "a residual of the maps' shape");
        if self.is_pointwise() {
            return self.infer_pixels(images, weights, normalization, residual, maps_len);
        }
        let (together, part) = self.part(count);
        let weights = (weights, self.by_winograd().then(|| weights.points()));
        let len = batch_len(count, finished);
        let mut out = Buffer::new(len);
        let parts = images.par_chunks(part * input).zip(out.par_chunks_mut(part * finished));
        parts.enumerate().for_each(|(at, (images, out))| {
            SCRATCH.with_borrow_mut(|Scratch { frames, blocks, maps, activated, .. }| {
                let step = if together { part } else { 1 };
                maps.resize(step * output, 0.0);
                activated.resize(output, 0.0);
                let steps = images.chunks(step * input).zip(out.chunks_mut(step * finished));
                for (i, (images, out)) in steps.enumerate() {
                    let maps = &mut maps[..images.len() / input * output];
                    self.convolve_part(frames, blocks, images, weights, together, maps);
                    for (j, (maps, out)) in maps.chunks_exact(output).zip(out.chunks_exact_mut(finished)).enumerate() {
                        let at = (at * part + i * step + j) * output;
                        let residual = residual.map(|residual| &residual[at..at + output]);
                        self.normalize_image(maps, normalization, residual, activated, out);
                    }
                }
            });
        });
        out.into_vec()
    }

    /// Whether each pixel of the output is a function of one pixel of the input.
    fn is_pointwise(&self) -> bool {
        let ConvParams { kernel, stride, padding, .. } = self.sizes().params();
        [kernel, stride, padding] == [1, 1, 0] && self.layout() == Layout::Interleaved && self.pool() == Pool::None
    }

    /// [`infer`](Self::infer) for pointwise blocks: few pixels at a time, whatever image they are of, so that their maps are still in
    /// the cache when they are normalised.
    fn infer_pixels(
        &self,
        images: &[f32],
        weights: &Weights,
        normalization: &Normalization,
        residual: Option<&[f32]>,
        maps_len: usize,
    ) -> Vec<f32> {
        let ConvParams { c_in, c_out, .. } = self.sizes().params();
        let mut out = Buffer::new(maps_len);
        let parts = images.par_chunks(PIXELS * c_in).zip(out.par_chunks_mut(PIXELS * c_out));
        parts.enumerate().for_each(|(at, (pixels, out))| {
            SCRATCH.with_borrow_mut(|Scratch { maps, .. }| {
                maps.resize(out.len(), 0.0);
                multiply_pixels(pixels, self.sizes(), weights.forward(), maps);
                let residual = residual.map(|residual| &residual[at * PIXELS * c_out..][..out.len()]);
                activate(maps, normalization.affine(), residual, self.relu().then_some(0.0), out);
            });
        });
        out.into_vec()
    }
}
