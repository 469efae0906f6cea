//! Convolution, batch normalisation, ReLU and pooling as one operation on the CPU backends.
//!
//! Those backends compute each of them in passes of its own over memory, and convolutions, forward or backward, far below what
//! the processor can do. [`block`] is the one function that chooses: on `Flex` and `NdArray` in f32, plain or with autodiff, it
//! computes here; for any other backend or number it gives the call back, and the layers are called one by one.

mod backends;
mod block;
mod block_gradient;
mod buffers;
mod convolution;
mod normalization;
mod normalization_gradient;
mod operation;
mod tiles;
mod vectors;

use std::any::{Any, TypeId};

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::pool::Pool;
use operation::CpuBackend;

/// A convolution, its batch normalisation, and what follows them.
pub(crate) struct Block<B: Backend> {
    /// Images or maps, `[N, C, H, W]`; `[N, H, W, C]` if interleaved, as the output is.
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
    /// Mean and variance to normalise with, `[C_out]`; none for those of the batch, which is what autodiff is for.
    pub running: Option<[Tensor<B, 1>; 2]>,
    pub epsilon: f64,
    /// Added before the ReLU: interleaved, of the output's shape.
    pub residual: Option<Tensor<B, 4>>,
    pub relu: bool,
    /// After the ReLU.
    pub pool: Pool,
}

/// What a [`Block`] comes to.
pub(crate) struct BlockOutput<B: Backend> {
    /// `[N, H', W', C_out]`, of which nothing but C_out is left by [`Pool::Average`]: `[N, 1, 1, C_out]`.
    pub maps: Tensor<B, 4>,
    /// Mean and unbiased variance of the batch, if that was normalised with.
    pub statistics: Option<[Tensor<B, 1>; 2]>,
}

/// Computes a block, if this is done here for the backend; else gives it back.
// Both are a handful of handles, and neither is kept.
#[allow(clippy::result_large_err)]
pub(crate) fn block<B: Backend>(block: Block<B>) -> Result<BlockOutput<B>, Block<B>> {
    let tensors = [block.input.dtype(), block.weight.dtype(), block.gamma.dtype(), block.beta.dtype()];
    if tensors.iter().any(|dtype| *dtype != DType::F32) {
        return Err(block);
    }
    #[cfg(feature = "flex")]
    let block = on::<B, burn_flex::Flex>(block).or_else(on::<B, burn::backend::Autodiff<burn_flex::Flex>>);
    #[cfg(feature = "flex")]
    let Err(block) = block else { return block };
    #[cfg(feature = "ndarray")]
    let block = on::<B, burn_ndarray::NdArray>(block).or_else(on::<B, burn::backend::Autodiff<burn_ndarray::NdArray>>);
    #[cfg(feature = "ndarray")]
    let Err(block) = block else { return block };
    Err(block)
}

/// Computes a block if `B` is the backend `C`.
#[allow(clippy::result_large_err)]
fn on<B: Backend, C: CpuBackend>(block: Block<B>) -> Result<BlockOutput<B>, Block<B>> {
    if TypeId::of::<B>() != TypeId::of::<C>() {
        return Err(block);
    }
    let output = C::block(same::<Block<B>, Block<C>>(block));
    Ok(same::<BlockOutput<C>, BlockOutput<B>>(output))
}

/// A value as the type that it is.
fn same<T: 'static, U: 'static>(value: T) -> U {
    let mut value = Some(value);
    let value = (&mut value as &mut dyn Any).downcast_mut::<Option<U>>().and_then(Option::take);
    value.expect("both are the same type")
}
