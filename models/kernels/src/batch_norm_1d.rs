//! Batch normalisation and leaky ReLU of rows `[N, C]`, with their gradients: a part of the rows is an image of as many pixels.

use rayon::prelude::*;

use crate::Pool;
use crate::activation_gradient::{ActivationGradient, ReluMask, channel_sums, maps_gradient};
use crate::batch_statistics::{BatchStatistics, Normalization};
use crate::block::count;
use crate::block_gradient::{norm_gradient, summed};
use crate::buffer::Buffer;
use crate::normalization::{activate, statistics};

/// Rows of a part.
const PART: usize = 64;

/// Batch normalisation of the channels of rows `[N, C]` with the statistics of the batch, then leaky ReLU. Where y is 0, the gradient
/// of the leaky ReLU is its slope, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm1d {
    /// Slope of the leaky ReLU below 0.
    pub slope: f32,
}

/// The gradients with respect to the inputs of a [`BatchNorm1d`].
#[derive(Debug)]
pub struct BatchNorm1dGradients {
    /// `[N, C]`
    pub rows: Buffer,
    /// Of γ, `[C]`.
    pub gamma: Vec<f32>,
    /// Of β, `[C]`.
    pub beta: Vec<f32>,
}

impl BatchNorm1d {
    /// Mean and variance of each channel.
    ///
    /// # Panics
    ///
    /// If there are no channels, the rows are not whole, or there are fewer than two.
    pub fn statistics(self, rows: &[f32], channels: usize) -> BatchStatistics {
        let parts = count(rows, channels).div_ceil(PART);
        let mut means = vec![0.0; parts * channels];
        let mut squares = vec![0.0; parts * channels];
        let of_parts = means.par_chunks_mut(channels).zip(squares.par_chunks_mut(channels));
        rows.par_chunks(PART * channels)
            .zip(of_parts)
            .for_each(|(rows, (mean, squares))| statistics(rows, mean, squares));
        BatchStatistics::of_parts(&means, &squares, channels, [count(rows, channels), PART])
    }

    /// The output for rows, `[N, C]`.
    ///
    /// # Panics
    ///
    /// If the rows are no whole rows of the channels of the normalisation.
    pub fn forward(self, rows: &[f32], normalization: &Normalization) -> Vec<f32> {
        let part = PART * normalization.channels();
        let mut out = Buffer::new(rows.len());
        let parts = rows.par_chunks(part).zip(out.par_chunks_mut(part));
        parts.for_each(|(rows, out)| activate(rows, normalization.affine(), None, Some(self.slope), out));
        out.into_vec()
    }

    /// The gradients of a loss through leaky ReLU, normalisation and statistics of these rows, given its gradient with respect to
    /// the output. See [`ConvBlock::backward`](crate::ConvBlock::backward) for the formulas.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward), and if there are not as many values of `of_output`.
    pub fn backward(self, rows: &[f32], normalization: &Normalization, of_output: &[f32]) -> BatchNorm1dGradients {
        let channels = normalization.channels();
        let of_channel = count(rows, channels);
        assert_eq!(of_output.len(), rows.len(), "values of the output's gradient (left) and of the rows (right)");
        let part = PART * channels;
        let mask = ReluMask::Normalized(normalization.affine(), self.slope);
        let gradient =
            |rows, of_output| ActivationGradient::new(of_output, Pool::None, mask, rows, 1, normalization.mean());

        let mut sums = vec![0.0; of_channel.div_ceil(PART) * channels];
        let mut products = sums.clone();
        let of_parts = sums.par_chunks_mut(channels).zip(products.par_chunks_mut(channels));
        rows.par_chunks(part).zip(of_output.par_chunks(part)).zip(of_parts).for_each(
            |((rows, of_output), (sums, products))| {
                channel_sums(gradient(rows, of_output), None, sums, products);
            },
        );
        let (sums, products) = (summed(&sums, channels), summed(&products, channels));
        let coefficients = norm_gradient(normalization, &sums, &products, of_channel as f64);

        let mut of_rows = Buffer::new(rows.len());
        let parts = rows.par_chunks(part).zip(of_output.par_chunks(part)).zip(of_rows.par_chunks_mut(part));
        parts.for_each(|((rows, of_output), out)| maps_gradient(gradient(rows, of_output), &coefficients, out));
        let beta = sums.iter().map(|sum| *sum as f32).collect();
        BatchNorm1dGradients { rows: of_rows, gamma: normalization.gamma_gradient(&products), beta }
    }
}
