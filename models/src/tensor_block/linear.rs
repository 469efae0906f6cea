//! A linear layer, batch normalisation and leaky ReLU as one operation of autodiff.

use std::marker::PhantomData;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use qare_host::{primitive, tensor};

use super::kernels::{BlockKernels, Normalization, Pass};
use super::set_gradient;
use crate::layers::for_sums;
use crate::running_statistics::RunningStatistics;

/// The arguments of a linear layer, its batch normalisation over rows, and leaky ReLU, in training.
pub(crate) struct LinearBlock<B: Backend> {
    /// Rows `[N, F]`.
    pub input: Tensor<B, 2>,
    /// `[F, C]`
    pub weight: Tensor<B, 2>,
    /// `[C]`
    pub bias: Tensor<B, 1>,
    /// `[C]`
    pub gamma: Tensor<B, 1>,
    /// `[C]`
    pub beta: Tensor<B, 1>,
    pub epsilon: f64,
    pub running: RunningStatistics<B>,
    /// Slope of the leaky ReLU below 0.
    pub slope: f64,
}

/// The results of a [`LinearBlock`].
pub(crate) struct LinearOutput<B: Backend> {
    /// `[N, C]`
    pub rows: Tensor<B, 2>,
    /// Those after the batch.
    pub running: RunningStatistics<B>,
}

/// Computes a block and puts it on the graph.
///
/// # Panics
///
/// If the batch has fewer than two rows.
pub(super) fn block<B: Backend, C: CheckpointStrategy, K: BlockKernels<B>>(
    block: LinearBlock<Autodiff<B, C>>,
) -> LinearOutput<Autodiff<B, C>> {
    let parents = [
        primitive(block.input),
        primitive(block.weight),
        primitive(block.bias),
        primitive(block.gamma),
        primitive(block.beta),
    ];
    let nodes = parents.each_ref().map(|parent| parent.node.clone());
    let [input, weight, bias, gamma, beta] = parents.map(|parent| parent.primitive);
    let (input, weight): (Tensor<B, 2>, Tensor<B, 2>) = (tensor(input), tensor(weight));
    let [count, _] = input.dims();
    assert!(count > 1, "BatchNorm: training needs more than one value per channel, the input has {count}");
    let dtype = input.dtype();
    let weight = weight.cast(dtype);
    let bias = tensor::<B, 1>(bias).cast(dtype);

    let maps = as_maps(K::product(input.clone(), weight.clone()) + bias.unsqueeze());
    let moments = K::moments(maps.clone(), block.running.inner());
    let normalization = Normalization {
        moments: moments.both,
        gamma: tensor(gamma),
        beta: tensor(beta),
        epsilon: block.epsilon,
        slope: block.slope,
        window: [1, 1],
    };
    let output = primitive(as_rows(K::normalize(maps.clone(), &normalization, None)));
    let running = RunningStatistics::from_inner(moments.running);
    let state = State { input, weight, maps, normalization };
    let backward = BlockBackward::<K>(PhantomData);
    let output = match backward.prepare::<C>(nodes).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(state, output),
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    };
    LinearOutput { rows: tensor(output), running }
}

#[derive(Debug)]
struct BlockBackward<K>(PhantomData<K>);

/// What the forward pass leaves for the backward pass.
#[derive(Clone, Debug)]
struct State<B: Backend> {
    input: Tensor<B, 2>,
    /// In the type of the input.
    weight: Tensor<B, 2>,
    /// The output of the linear layer, `[1, 1, N, C]`.
    maps: Tensor<B, 4>,
    normalization: Normalization<B>,
}

impl<B: Backend, K: BlockKernels<B>> Backward<B, 5> for BlockBackward<K> {
    type State = State<B>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = as_maps(tensor(grads.consume::<B>(&ops.node)));
        let State { input: rows, weight: weights, maps, normalization } = ops.state;
        let of_parameters = normalization.gamma.dtype();
        let channels = normalization.gamma.dims();
        let pass = Pass { maps, normalization, residual: None, of_output };
        let parameters = K::parameter_gradients(&pass);
        let (of_maps, _) = K::maps_gradient(&pass, &parameters);
        let of_rows = as_rows(of_maps); // [N, C]

        let [input, weight, bias, gamma, beta] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        let [of_beta, of_gamma] = parameters;
        set_gradient(grads, beta, || of_beta);
        set_gradient(grads, gamma, || of_gamma);
        set_gradient(grads, bias, || for_sums(of_rows.clone()).sum_dim(0).reshape(channels).cast(of_parameters));
        set_gradient(grads, weight, || K::product(rows.transpose(), of_rows.clone()).cast(of_parameters));
        set_gradient(grads, input, || K::product(of_rows.clone(), weights.transpose()));
    }
}

/// `[N, C]` → `[1, 1, N, C]`
fn as_maps<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 4> {
    let [count, channels] = rows.dims();
    rows.reshape([1, 1, count, channels])
}

/// `[1, 1, N, C]` → `[N, C]`
fn as_rows<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    let [_, _, count, channels] = maps.dims();
    maps.reshape([count, channels])
}
