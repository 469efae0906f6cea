//! Linear layers of rows, with their gradients, by the tiles of convolutions: a row is an image of one pixel.

use rayon::prelude::*;

use crate::block::{MAX_RUNS, batch_len, count};
use crate::block_gradient::summed;
use crate::buffer::Buffer;
use crate::image_tiles::{convolve_images, input_gradients};
use crate::image_weight_gradient::weight_gradient_row;
use crate::sizes::{ConvParams, ConvSizes};
use crate::weights::{Weights, panel_width, summed_panels};

/// Rows that go through the layer together: enough that the weights are read seldom, and few enough for several threads.
const GROUP: usize = 32;
/// Rows over which a gradient of weights is summed before it is added to others, at least.
const RUN: usize = 1024;

/// A linear layer, `[N, F]` → `[N, C]`: rows · weights + bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    sizes: ConvSizes,
}

/// The gradients with respect to the inputs of a [`Linear`] layer.
#[derive(Clone, Debug)]
pub struct LinearGradients {
    /// `[N, F]`, if it is wanted.
    pub rows: Option<Vec<f32>>,
    /// `[F, C]`
    pub weights: Vec<f32>,
    /// `[C]`
    pub bias: Vec<f32>,
}

impl Linear {
    /// A layer of F inputs and C outputs; none if one of them is zero or not a multiple of eight, or the weights do not fit into
    /// memory.
    pub fn new(inputs: usize, outputs: usize) -> Option<Self> {
        let params = ConvParams { height: 1, width: 1, c_in: inputs, c_out: outputs, kernel: 1, stride: 1, padding: 0 };
        let whole = inputs.is_multiple_of(8) && outputs.is_multiple_of(8);
        ConvSizes::new(params).ok().filter(|_| whole).map(|sizes| Self { sizes })
    }

    fn inputs(&self) -> usize {
        self.sizes.params().c_in
    }

    fn outputs(&self) -> usize {
        self.sizes.params().c_out
    }

    /// Arranges weights `[F, C]`; with `rows_gradient`, also for the gradient of the rows.
    ///
    /// # Panics
    ///
    /// If there are not F·C values.
    pub fn weights(&self, values: &[f32], rows_gradient: bool) -> Weights {
        Weights::of_linear(values, self.sizes, rows_gradient)
    }

    /// Returns the output for rows, `[N, C]`.
    ///
    /// # Panics
    ///
    /// If the rows are not whole, the weights are those of another layer, or there are not C values of the bias.
    pub fn forward(&self, rows: &[f32], weights: &Weights, bias: &[f32]) -> Buffer {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        assert_eq!(weights.sizes(), &self.sizes, "sizes of the weights (left) and of the layer (right)");
        assert_eq!(bias.len(), outputs, "values of the bias (left) and outputs (right)");
        let mut out = Buffer::new(batch_len(count(rows, inputs), outputs));
        let groups = rows.par_chunks(GROUP * inputs).zip(out.par_chunks_mut(GROUP * outputs));
        groups.for_each(|(rows, out)| {
            convolve_images(rows, weights, out);
            for row in out.chunks_exact_mut(outputs) {
                row.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        });
        out
    }

    /// The gradients of a loss, given its gradient with respect to the output.
    ///
    /// # Panics
    ///
    /// As [`forward`](Self::forward), if there is not a row of `of_output` for each row, and if the gradient of the rows is wanted
    /// but the weights are not arranged for it.
    pub fn backward(&self, rows: &[f32], weights: &Weights, of_output: &[f32], of_rows: bool) -> LinearGradients {
        let (inputs, outputs) = (self.inputs(), self.outputs());
        assert_eq!(weights.sizes(), &self.sizes, "sizes of the weights (left) and of the layer (right)");
        let rows_count = count(rows, inputs);
        assert_eq!(count(of_output, outputs), rows_count, "rows of the output's gradient (left) and rows (right)");

        let panel = panel_width(outputs);
        let run = RUN.max(rows_count.div_ceil(MAX_RUNS)).min(rows_count).max(1);
        let mut parts = Buffer::new(batch_len(rows_count.div_ceil(run), inputs * outputs));
        parts.par_chunks_mut(inputs * panel).enumerate().for_each(|(at, part)| {
            let panels = outputs / panel;
            let rows = &rows[at / panels * run * inputs..];
            let of_output = &of_output[at / panels * run * outputs..];
            let len = run.min(rows.len() / inputs);
            let (rows, of_output) = (&rows[..len * inputs], &of_output[..len * outputs]);
            weight_gradient_row(rows, of_output, &self.sizes, [at % panels * panel, 0], part);
        });

        LinearGradients {
            rows: of_rows.then(|| {
                let mut gradient = Buffer::new(rows.len());
                let groups = gradient.par_chunks_mut(GROUP * inputs).zip(of_output.par_chunks(GROUP * outputs));
                groups.for_each(|(gradient, of_output)| input_gradients(of_output, weights, gradient));
                gradient.into_vec()
            }),
            weights: summed_panels(&parts, inputs, outputs),
            bias: summed(of_output, outputs).into_iter().map(|sum| sum as f32).collect(),
        }
    }
}
