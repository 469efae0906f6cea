//! Weights of a convolution in the arrangements that the kernels read and write.
//!
//! A tile of a convolution reads the weights of few output channels for all places of its window. In a panel they are neighbours:
//! weights `[k, k, C_in, C_out]` are arranged as `[C_out / w, k, k, C_in, w]`.

use std::sync::OnceLock;

use rayon::prelude::*;

use crate::buffer::Buffer;
use crate::pairs::{in_pairs, paired};
use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::LINE;
use crate::winograd::PointWeights;

/// Weights of a convolution, arranged for its kernels.
#[derive(Debug)]
pub struct Weights {
    sizes: ConvSizes,
    /// `[C_out / w, k, k, C_in, w]`
    forward: Buffer,
    /// Mirrored in both directions, `[C / w, k, k, C_out, w]` with C_in rounded up to C, and zeros in the added channels.
    mirrored: Option<Buffer>,
    /// The same weights for pairs of pixels, where a convolution and that of its gradient are in pairs.
    forward_pairs: Option<Vec<f32>>,
    mirrored_pairs: Option<Vec<f32>>,
    /// The weights for Winograd's algorithm, once an evaluation has asked for them.
    points: OnceLock<PointWeights>,
}

/// Width w of the panels of weights of so many output channels: the largest power of two up to 32 that divides them. The lanes of
/// the vectors that they are computed with divide it.
pub(crate) fn panel_width(channels: usize) -> usize {
    1 << channels.trailing_zeros().min(MOST_WIDTH.trailing_zeros())
}

/// Width of the widest panels.
const MOST_WIDTH: usize = 32;

/// Weights go from one arrangement to another a line of the cache at a time, through a block that stays in the first-level cache.
type Block = [[f32; MOST_WIDTH]; LINE];

impl Weights {
    /// Arranges weights `[C_out, C_in, k, k]`, the layout of PyTorch and Burn; with `input_gradient`, also for
    /// [`backward`](crate::ConvBlock::backward) to compute the gradient of the images.
    ///
    /// # Panics
    ///
    /// If there are not C_out·C_in·k·k values.
    pub fn new(values: &[f32], sizes: ConvSizes, input_gradient: bool) -> Self {
        assert_eq!(values.len(), sizes.weights_len(), "weights given (left) and of the convolution (right)");
        let mirrored = input_gradient.then(|| mirrored(values, &sizes));
        let forward = panels(values, &sizes);
        let forward_pairs = in_pairs(&sizes).then(|| paired(&forward, &sizes));
        let transposed = sizes.transposed();
        let mirrored_pairs =
            mirrored.as_ref().filter(|_| in_pairs(&transposed)).map(|mirrored| paired(mirrored, &transposed));
        Self { sizes, forward, mirrored, forward_pairs, mirrored_pairs, points: OnceLock::new() }
    }

    /// Arranges the weights `[F, C]` of a linear layer as those of a convolution of one pixel, of F to C channels, both whole
    /// vectors of eight.
    ///
    /// # Panics
    ///
    /// If there are not F·C values.
    pub(crate) fn of_linear(values: &[f32], sizes: ConvSizes, rows_gradient: bool) -> Self {
        assert_eq!(values.len(), sizes.weights_len(), "weights given (left) and of the layer (right)");
        // Read as `[C_out, C_in]`, the values are the weights of the way back, from C to F, for which the two arrangements change places.
        let back = sizes.transposed();
        let (forward, mirrored) = (mirrored(values, &back), rows_gradient.then(|| panels(values, &back)));
        Self { sizes, forward, mirrored, forward_pairs: None, mirrored_pairs: None, points: OnceLock::new() }
    }

    /// The sizes of their convolution.
    pub fn sizes(&self) -> &ConvSizes {
        &self.sizes
    }

    /// The weights for Winograd's algorithm, which are computed in the first call.
    pub(crate) fn points(&self) -> &PointWeights {
        if let Some(points) = self.points.get() {
            return points;
        }
        // Not in `get_or_init`: a thread of rayon's that waited in it could be the one that it waits for.
        let points = PointWeights::forward(self);
        self.points.get_or_init(|| points)
    }

    pub(crate) fn forward(&self) -> &[f32] {
        &self.forward
    }

    pub(crate) fn forward_pairs(&self) -> Option<&[f32]> {
        self.forward_pairs.as_deref()
    }

    pub(crate) fn mirrored_pairs(&self) -> Option<&[f32]> {
        self.mirrored_pairs.as_deref()
    }

    pub(crate) fn mirrored(&self) -> Option<&[f32]> {
        self.mirrored.as_deref()
    }
}

/// `[C_out, C_in, k, k]` → `[C_out / w, k, k, C_in, w]`.
fn panels(values: &[f32], sizes: &ConvSizes) -> Buffer {
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let places = kernel * kernel;
    let (width, len) = (panel_width(c_out), c_in * places);
    let mut panels = Buffer::new(values.len());
    panels.par_chunks_mut(width * len).zip(values.par_chunks(width * len)).for_each(|(panel, values)| {
        let mut block = Block::default();
        for first in (0..len).step_by(LINE) {
            let line = LINE.min(len - first);
            for (o, of_output) in values.chunks_exact(len).enumerate() {
                block.iter_mut().zip(&of_output[first..first + line]).for_each(|(row, weight)| row[o] = *weight);
            }
            for (at, row) in (first..first + line).zip(&block) {
                let (i, place) = (at / places, at % places);
                panel[(place * c_in + i) * width..][..width].copy_from_slice(&row[..width]);
            }
        }
    });
    panels
}

/// `[C_out, C_in, k, k]` → `[C / w, k, k, C_out, w]`, mirrored in both directions.
fn mirrored(values: &[f32], sizes: &ConvSizes) -> Buffer {
    let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
    let places = kernel * kernel;
    let rounded = sizes.transposed().params().c_out;
    let width = panel_width(rounded);
    let mut panels = Buffer::new(places * c_out * rounded);
    panels.par_chunks_mut(places * c_out * width).enumerate().for_each(|(at, panel)| {
        let channels = at * width..c_in.min((at + 1) * width);
        if channels.len() < width {
            panel.fill(0.0);
        }
        for (o, of_output) in values.chunks_exact(c_in * places).enumerate() {
            let of_inputs = &of_output[channels.start * places..channels.end * places];
            for place in 0..places {
                let row = &mut panel[((places - 1 - place) * c_out + o) * width..][..width];
                let weights = of_inputs.iter().skip(place).step_by(places);
                row.iter_mut().zip(weights).for_each(|(to, weight)| *to = *weight);
            }
        }
    });
    panels
}

/// Sums of parts `[C / w, F, w]` in their order, as `[F, C]`.
pub(crate) fn summed_panels(parts: &[f32], inputs: usize, outputs: usize) -> Vec<f32> {
    let width = panel_width(outputs);
    let mut sums = Buffer::new(inputs * outputs);
    sums.par_chunks_mut(outputs).enumerate().for_each(|(input, row)| {
        for (at, to) in row.chunks_exact_mut(width).enumerate() {
            to.fill(0.0);
            for part in parts.chunks_exact(inputs * outputs) {
                let part = &part[(at * inputs + input) * width..][..width];
                to.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
        }
    });
    sums.into_vec()
}

/// Sums of parts `[C_out / width, k, k, C_in, width]` in their order, as `[C_out, C_in, k, k]`.
pub(crate) fn pytorch_layout(parts: &[f32], sizes: &ConvSizes, width: usize) -> Vec<f32> {
    let ConvParams { c_in, kernel, .. } = sizes.params();
    let places = kernel * kernel;
    let len = c_in * places;
    let mut arranged = Buffer::new(sizes.weights_len());
    arranged.par_chunks_mut(width * len).enumerate().for_each(|(at, arranged)| {
        let mut sums = Buffer::new(width * len);
        for (turn, part) in parts.chunks_exact(sizes.weights_len()).enumerate() {
            let part = &part[at * width * len..][..width * len];
            match turn {
                0 => sums.copy_from_slice(part),
                _ => sums.iter_mut().zip(part).for_each(|(sum, value)| *sum += value),
            }
        }
        for lanes in (0..width).step_by(MOST_WIDTH) {
            let lanes = lanes..width.min(lanes + MOST_WIDTH);
            let mut block = Block::default();
            for first in (0..len).step_by(LINE) {
                let line = LINE.min(len - first);
                for (at, row) in (first..first + line).zip(&mut block) {
                    let (i, place) = (at / places, at % places);
                    row[..lanes.len()].copy_from_slice(&sums[(place * c_in + i) * width..][lanes.clone()]);
                }
                let of_outputs = arranged.chunks_exact_mut(len).skip(lanes.start);
                for (o, of_output) in of_outputs.take(lanes.len()).enumerate() {
                    let of_output = &mut of_output[first..first + line];
                    of_output.iter_mut().zip(&block).for_each(|(weight, row)| *weight = row[o]);
                }
            }
        }
    });
    arranged.into_vec()
}
