//! A convolution or linear layer with what follows it as one operation of autodiff, made of few tensor operations.
//!
//! Autodiff differentiates every layer on its own. A GPU then runs a kernel for each of many small operations, and copies maps
//! between the layouts `[N, C, H, W]` and `[N, H, W, C]`. Here the backward pass is written out, in the layout `[N, H, W, C]` that
//! convolutions have on GPUs.

mod convolution;
#[cfg(feature = "cubecl")]
mod cube_kernels;
mod input_gradient;
mod kernels;
mod linear;
mod tensor_kernels;
mod weight_gradient;

use std::any::Any;

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::strategy::{CheckpointStrategy, NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use qare_host::{ByBackend, primitive};

use crate::block::{Block, BlockOutput};
pub(crate) use linear::{LinearBlock, LinearOutput};

use kernels::BlockKernels;
use tensor_kernels::TensorKernels;

/// An operation on arguments of the backend that it is registered for.
type Operation = fn(Box<dyn Any>) -> Box<dyn Any>;

/// The operations of a backend `B`.
#[derive(Clone, Copy)]
struct Operations {
    /// From `Block<B>` to `BlockOutput<B>`.
    convolution: Operation,
    /// From `LinearBlock<B>` to `LinearOutput<B>`.
    linear: Operation,
}

/// The operations of all backends that have some.
static OPERATIONS: ByBackend<Operations> = ByBackend::new();

/// Makes networks on `Autodiff<B>` differentiate a convolution or linear layer, batch normalisation, ReLU and pooling as one
/// operation.
///
/// On a GPU this takes fewer kernels and less memory; values and gradients are the same up to rounding. Without this call the
/// layers are differentiated one by one. The CPU backends `Flex` and `NdArray` have an operation of their own, which needs no call.
///
/// Backends of CubeCL are faster with kernels of their own: see `use_kernels`, with the feature `cubecl`. Of the two, the last call
/// counts.
pub fn differentiate_blocks<B: Backend>() {
    register::<B, NoCheckpointing, TensorKernels>();
}

/// [`differentiate_blocks`] for another checkpointing strategy. Blocks keep what their backward pass needs, whatever the strategy.
#[doc(hidden)]
pub fn differentiate_blocks_with<B: Backend, C: CheckpointStrategy>() {
    register::<B, C, TensorKernels>();
}

/// [`differentiate_blocks`] with the kernels of the crate `qare-cube`, for backends of CubeCL (CUDA, Vulkan, Metal, WGPU).
///
/// The objectives of the crate `qare` then have kernels too, if its feature `cubecl` is on.
#[cfg(feature = "cubecl")]
pub fn use_kernels<B: qare_cube::KernelBackend>() {
    qare_cube::register::<B>();
    register::<B, NoCheckpointing, cube_kernels::CubeKernels>();
}

fn register<B: Backend, C: CheckpointStrategy, K: BlockKernels<B>>() {
    OPERATIONS.set::<Autodiff<B, C>>(Operations {
        convolution: |block| Box::new(convolution::block::<B, C, K>(*downcast(block))),
        linear: |block| Box::new(linear::block::<B, C, K>(*downcast(block))),
    });
}

fn downcast<T: 'static>(value: Box<dyn Any>) -> Box<T> {
    value.downcast().expect("operations are registered under the type of their backend")
}

/// Computes a block if there is an operation for the backend.
///
/// # Errors
///
/// Otherwise the arguments come back.
// Both are a handful of handles, and neither is kept.
#[allow(clippy::result_large_err)]
pub(crate) fn block<B: Backend>(block: Block<B>) -> Result<BlockOutput<B>, Block<B>> {
    match OPERATIONS.get::<B>() {
        None => Err(block),
        Some(of) => Ok(*downcast((of.convolution)(Box::new(block)))),
    }
}

/// Computes a linear block if there is an operation for the backend.
///
/// # Errors
///
/// Otherwise the arguments come back.
#[allow(clippy::result_large_err)]
pub(crate) fn linear_block<B: Backend>(block: LinearBlock<B>) -> Result<LinearOutput<B>, LinearBlock<B>> {
    match OPERATIONS.get::<B>() {
        None => Err(block),
        Some(of) => Ok(*downcast((of.linear)(Box::new(block)))),
    }
}

/// Registers the gradient of a parent that wants one.
fn set_gradient<B: Backend, const D: usize>(
    gradients: &mut Gradients,
    parent: Option<NodeId>,
    gradient: impl FnOnce() -> Tensor<B, D>,
) {
    if let Some(parent) = parent {
        gradients.register::<B>(parent, primitive(gradient()));
    }
}
