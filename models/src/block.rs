//! A convolution with what follows it, for backends that compute it as one operation.

use burn::tensor::{Tensor, backend::Backend};

use crate::pool::Pool;
use crate::running_statistics::RunningStatistics;

/// The arguments of a convolution, its batch normalisation, and what follows them.
pub(crate) struct Block<B: Backend> {
    /// Images or maps, `[N, C, H, W]`, or `[N, H, W, C]` if interleaved.
    pub input: Tensor<B, 4>,
    pub interleaved: bool,
    /// `[C_out, C_in, k, k]`
    pub weight: Tensor<B, 4>,
    pub stride: usize,
    pub padding: usize,
    /// `[C_out]`
    pub gamma: Tensor<B, 1>,
    /// `[C_out]`
    pub beta: Tensor<B, 1>,
    /// What the block normalises with in evaluation. In training, on autodiff backends, it normalises with the statistics of the batch.
    pub running: RunningStatistics<B>,
    pub epsilon: f64,
    /// Added before the ReLU, `[N, H', W', C_out]`.
    pub residual: Option<Tensor<B, 4>>,
    pub relu: bool,
    /// After the ReLU.
    pub pool: Pool,
}

/// The results of a [`Block`].
pub(crate) struct BlockOutput<B: Backend> {
    /// `[N, H', W', C_out]`, after pooling.
    pub maps: Tensor<B, 4>,
    /// In training, those after the batch.
    pub running: Option<RunningStatistics<B>>,
}
