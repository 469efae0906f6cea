//! Convolution, batch normalisation, ReLU and pooling as one operation on host backends.
//!
//! Those backends compute each layer in passes of its own over memory, and convolutions far below the speed of the processor.
//! [`block`] is the one function that chooses: on `Flex` and `NdArray` in f32, plain or with autodiff, it calls the kernels of
//! `qare-kernels`; on any other backend or type it gives the arguments back, and the layers are called one by one.

mod held;
mod max_pool;
mod operation;
mod place_scores;

use burn::tensor::{DType, Tensor, backend::Backend};
use qare_host::dispatch;

use crate::block::{Block, BlockOutput};
use crate::discriminators::LocalScores;
use max_pool::MaxPooling;
use operation::FusedBlock;
use place_scores::ScoresOfPlaces;

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

/// 3×3 max pooling of maps `[N, H, W, C]` with stride 2 and padding 1, if the backend is a host backend and they are f32.
///
/// # Errors
///
/// Otherwise the maps come back.
pub(crate) fn max_pool<B: Backend>(maps: Tensor<B, 4>) -> Result<Tensor<B, 4>, Tensor<B, 4>> {
    match maps.dtype() {
        DType::F32 => dispatch::<MaxPooling, B>(maps),
        _ => Err(maps),
    }
}

/// Scores of the local discriminator, `[N, 1, H, W]`, if the backend is a host backend and all tensors are f32.
///
/// # Errors
///
/// Otherwise the arguments come back.
// They are a handful of handles, and not kept.
#[allow(clippy::result_large_err)]
pub(crate) fn local_scores<B: Backend>(scores: LocalScores<B>) -> Result<Tensor<B, 4>, LocalScores<B>> {
    let weights = scores.weights.iter().map(Tensor::dtype).chain(scores.biases.iter().map(Tensor::dtype));
    let mut dtypes = weights.chain([scores.maps.dtype(), scores.features.dtype()]);
    if dtypes.any(|dtype| dtype != DType::F32) {
        return Err(scores);
    }
    dispatch::<ScoresOfPlaces, B>(scores)
}
