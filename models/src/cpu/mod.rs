//! Convolution, batch normalisation, ReLU and pooling as one operation on host backends.
//!
//! Those backends compute each layer in passes of its own over memory, and convolutions far below the speed of the processor.
//! [`block`] is the one function that chooses: on `Flex` and `NdArray` in f32, plain or with autodiff, it calls the kernels of
//! `qare-kernels`; on any other backend or type it gives the arguments back, and the layers are called one by one.

mod operation;

use burn::tensor::{DType, Tensor, backend::Backend};
use qare_host::dispatch;

use crate::pool::Pool;
use operation::FusedBlock;

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
    /// Running mean and variance, `[C_out]`, to normalise with in evaluation. In training, on autodiff backends, there are none:
    /// the block normalises with the statistics of the batch.
    pub running: Option<[Tensor<B, 1>; 2]>,
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
    /// In training, mean and unbiased variance of the batch, `[C_out]`.
    pub statistics: Option<[Tensor<B, 1>; 2]>,
}

/// Computes a block if the backend is a host backend and the tensors are f32.
///
/// # Errors
///
/// Otherwise the arguments come back.
///
/// # Panics
///
/// If the sizes cannot be computed: the kernel is larger than the padded image, or 2×2 pooling leaves nothing.
// Both are a handful of handles, and neither is kept.
#[allow(clippy::result_large_err)]
pub(crate) fn block<B: Backend>(block: Block<B>) -> Result<BlockOutput<B>, Block<B>> {
    let tensors = [block.input.dtype(), block.weight.dtype(), block.gamma.dtype(), block.beta.dtype()];
    if tensors.iter().any(|dtype| *dtype != DType::F32) {
        return Err(block);
    }
    dispatch::<FusedBlock, B>(block)
}
