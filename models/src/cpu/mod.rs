//! Convolution, batch normalisation, ReLU and pooling as one operation on host backends.
//!
//! Those backends compute each layer in passes of its own over memory, and convolutions far below the speed of the processor.
//! The functions here choose: on `Flex` and `NdArray` in f32, plain or with autodiff, they call the kernels of `qare-kernels`; on any
//! other backend or type they give the arguments back, and the layers are called one by one. So for [`linear`] layers and those with
//! batch normalisation, [`max_pool`]ing and [`local_scores`].

mod held;
mod kept_weights;
mod linear;
mod linear_block;
mod max_pool;
mod operation;
mod place_scores;

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::{DType, Shape, Tensor, backend::Backend};
use qare_host::{HostBackend, dispatch};

use crate::block::{Block, BlockOutput};
use crate::discriminators::LocalScores;
use crate::layers::LinearLayer;
use crate::tensor_block::{LinearBlock, LinearOutput};
pub use kept_weights::{KeptWeights, keep_weights};
use linear::{FusedLinear, LinearRows};
use linear_block::FusedLinearBlock;
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

/// Fewer rows take less time without arranged weights.
const FEWEST_ROWS: usize = 16;

/// The kernel for rows `[N, F]` and weights `[F, C]`, if there is one.
fn linear_kernel<B: Backend>(rows: &Tensor<B, 2>, weight: &Tensor<B, 2>) -> Option<qare_kernels::Linear> {
    let ([count, inputs], [of_weight, outputs]) = (rows.dims(), weight.dims());
    (count >= FEWEST_ROWS && inputs == of_weight).then(|| qare_kernels::Linear::new(inputs, outputs))?
}

/// A linear layer with a bias, if the backend is a host backend, the tensors are f32, and the kernels are faster.
///
/// # Errors
///
/// Otherwise the arguments come back.
pub(crate) fn linear<B: Backend>(layer: LinearLayer<B>) -> Result<Tensor<B, 2>, LinearLayer<B>> {
    let LinearLayer { rows, weight, bias: Some(bias) } = layer else { return Err(layer) };
    let single = [rows.dtype(), weight.dtype(), bias.dtype()].iter().all(|dtype| *dtype == DType::F32);
    let Some(kernel) = linear_kernel(&rows, &weight).filter(|_| single) else {
        return Err(LinearLayer { rows, weight, bias: Some(bias) });
    };
    let found = dispatch::<FusedLinear, B>(LinearRows { kernel, rows, weight, bias });
    found.map_err(|LinearRows { rows, weight, bias, .. }| LinearLayer { rows, weight, bias: Some(bias) })
}

/// A linear layer, batch normalisation and leaky ReLU, if the backend is a host backend, the tensors are f32, and the kernels are
/// faster.
///
/// # Errors
///
/// Otherwise the arguments come back.
#[allow(clippy::result_large_err)]
pub(crate) fn linear_block<B: Backend>(block: LinearBlock<B>) -> Result<LinearOutput<B>, LinearBlock<B>> {
    let single = [&block.bias, &block.gamma, &block.beta].iter().all(|tensor| tensor.dtype() == DType::F32)
        && [&block.input, &block.weight].iter().all(|tensor| tensor.dtype() == DType::F32);
    let kernel = linear_kernel(&block.input, &block.weight).filter(|_| single);
    let Some(kernel) = kernel else { return Err(block) };
    dispatch::<FusedLinearBlock, B>((kernel, block)).map_err(|(_, block)| block)
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

/// Registers the gradients of parents that want one.
fn register<H: HostBackend>(
    grads: &mut Gradients,
    of_parents: impl IntoIterator<Item = (Option<NodeId>, Option<Vec<f32>>, Shape)>,
) {
    for (parent, gradient, shape) in of_parents {
        if let (Some(parent), Some(gradient)) = (parent, gradient) {
            grads.register::<H>(parent, H::tensor(gradient, shape));
        }
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::backend::Autodiff;
    use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
    use burn_flex::Flex;

    use super::*;

    fn has_kernel<B: Backend>(count: usize, inputs: usize, outputs: usize) -> bool {
        let device = Default::default();
        let rows = Tensor::<B, 2>::zeros([count, inputs], &device);
        let weight = Tensor::zeros([inputs, outputs], &device);
        let bias = Some(Tensor::zeros([outputs], &device));
        linear(LinearLayer { rows, weight, bias }).is_ok()
    }

    #[test]
    fn linear_layers_of_whole_vectors_and_enough_rows_have_a_kernel() {
        assert!(has_kernel::<Flex>(FEWEST_ROWS, 8, 24) && has_kernel::<Autodiff<Flex>>(300, 512, 64));
        assert!(!has_kernel::<Flex>(FEWEST_ROWS - 1, 8, 24));
        assert!(!has_kernel::<Flex>(300, 20, 64) && !has_kernel::<Flex>(300, 64, 10));
        assert!(!has_kernel::<Autodiff<Flex, BalancedCheckpointing>>(300, 64, 64));
    }
}
