//! A convolution, batch normalisation, residual, ReLU and pooling as one operation of autodiff.

use std::marker::PhantomData;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::conv2d;
use qare_host::{primitive, tensor};

use super::input_gradient::input_gradient;
use super::kernels::{BlockKernels, Normalization, Pass};
use super::set_gradient;
use super::weight_gradient::{Sizes, planar, weight_gradient};
use crate::block::{Block, BlockOutput};
use crate::pool::Pool;
use crate::running_statistics::RunningStatistics;

/// Computes a block and puts it on the graph.
///
/// # Panics
///
/// If a channel has fewer than two values in the batch.
pub(super) fn block<B: Backend, C: CheckpointStrategy, K: BlockKernels<B>>(
    block: Block<Autodiff<B, C>>,
) -> BlockOutput<Autodiff<B, C>> {
    let dtype = block.input.dtype();
    let input = if block.interleaved { block.input } else { block.input.permute([0, 2, 3, 1]) };
    // An operation has a fixed number of parents.
    let no_residual = || Tensor::<Autodiff<B, C>, 1>::from_inner(block.gamma.clone().inner());
    let with_residual = block.residual.is_some();
    let parents = [
        primitive(input),
        primitive(block.weight),
        primitive(block.gamma.clone()),
        primitive(block.beta),
        block.residual.map_or_else(|| primitive(no_residual()), primitive),
    ];
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let [input, weight, gamma, beta, residual] = parents.map(|parent| parent.primitive);
    let (input, weight): (Tensor<B, 4>, Tensor<B, 4>) = (tensor(input), tensor(weight));
    let residual = with_residual.then(|| tensor(residual));

    let [images, height, width, _] = input.dims();
    let [_, _, kernel, _] = weight.dims();
    let sizes = Sizes { height, width, kernel, stride: block.stride, padding: block.padding };
    let count = images * sizes.places();
    assert!(count > 1, "BatchNorm: training needs more than one value per channel, the input has {count}");
    let weight = weight.cast(dtype);
    let maps = convolve::<B, K>(input.clone(), weight.clone(), sizes);
    let moments = K::moments(maps.clone(), block.running.inner());
    let normalization = Normalization {
        moments: moments.both,
        gamma: tensor(gamma),
        beta: tensor(beta),
        epsilon: block.epsilon,
        slope: if block.relu { 0.0 } else { 1.0 },
        window: match block.pool {
            Pool::None => [1, 1],
            Pool::Halve => [2, 2],
            Pool::Average => [sizes.out_height(), sizes.out_width()],
        },
    };
    let output = primitive(K::normalize(maps.clone(), &normalization, residual.clone()));
    let running = RunningStatistics::from_inner(moments.running);
    let state = State { input, weight, maps, normalization, residual, sizes };
    let backward = BlockBackward::<K>(PhantomData);
    let output = match backward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    BlockOutput { maps: tensor(output), running: Some(running) }
}

/// The convolution of maps `[N, H, W, C_in]` and weights `[C_out, C_in, k, k]`, `[N, H', W', C_out]`.
fn convolve<B: Backend, K: BlockKernels<B>>(maps: Tensor<B, 4>, weight: Tensor<B, 4>, sizes: Sizes) -> Tensor<B, 4> {
    let [c_out, c_in, ..] = weight.dims();
    if sizes.kernel > 1 || !K::needs_product(c_in) {
        return conv2d(planar(maps), weight, None, sizes.options()).permute([0, 2, 3, 1]);
    }
    // Burn makes a product of it.
    let [images, ..] = maps.dims();
    let maps = match (sizes.stride, sizes.padding) {
        (1, 0) => maps.reshape([images, sizes.places(), c_in]),
        _ => K::patches(maps, sizes),
    };
    let rows = maps.reshape([images * sizes.places(), c_in]);
    let product = K::product(rows, weight.reshape([c_out, c_in]).transpose());
    product.reshape([images, sizes.out_height(), sizes.out_width(), c_out])
}

#[derive(Debug)]
struct BlockBackward<K>(PhantomData<K>);

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug)]
struct State<B: Backend> {
    /// `[N, H, W, C_in]`
    input: Tensor<B, 4>,
    /// In the type of the input.
    weight: Tensor<B, 4>,
    /// The output of the convolution, `[N, H', W', C_out]`.
    maps: Tensor<B, 4>,
    normalization: Normalization<B>,
    residual: Option<Tensor<B, 4>>,
    sizes: Sizes,
}

impl<B: Backend, K: BlockKernels<B>> Backward<B, 5> for BlockBackward<K> {
    type State = State<B>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = tensor(grads.consume::<B>(&ops.node));
        let State { input: images, weight: weights, maps, normalization, residual, sizes } = ops.state;
        let of_parameters = normalization.gamma.dtype();
        let pass = Pass { maps, normalization, residual, of_output };
        let parameters = K::parameter_gradients(&pass);
        let (of_maps, of_residual) = K::maps_gradient(&pass, &parameters);
        drop(pass);

        let [input, weight, gamma, beta, residual] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        let [of_beta, of_gamma] = parameters;
        set_gradient(grads, beta, || of_beta);
        set_gradient(grads, gamma, || of_gamma);
        if let Some(of_residual) = of_residual {
            set_gradient(grads, residual, || of_residual);
        }
        set_gradient(grads, weight, || {
            weight_gradient::<B, K>(images.clone(), weights.clone(), of_maps.clone(), sizes).cast(of_parameters)
        });
        set_gradient(grads, input, || input_gradient::<B, K>(images, weights.clone(), of_maps, sizes));
    }
}
