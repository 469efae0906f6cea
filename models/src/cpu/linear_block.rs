//! A linear layer, batch normalisation and leaky ReLU as one operation of host backends, with autodiff.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Shape;
use burn::tensor::backend::Backend;
use qare_host::{FloatPrimitive, HostBackend, HostOperation, primitive, tensor};
use qare_kernels::{BatchNorm1d, Buffer, Linear, Normalization, Weights};

use super::held::Held;
use super::operation::unbiased;
use super::register;
use crate::running_statistics::RunningStatistics;
use crate::tensor_block::{LinearBlock, LinearOutput};

/// A [`LinearBlock`] on host backends, with the kernel for its layer.
pub(super) struct FusedLinearBlock;

impl HostOperation for FusedLinearBlock {
    type Input<B: Backend> = (Linear, LinearBlock<B>);
    type Output<B: Backend> = LinearOutput<B>;

    fn plain<H: HostBackend>(_: (Linear, LinearBlock<H>)) -> LinearOutput<H> {
        unreachable!("a linear block trains, so its backend has autodiff")
    }

    fn with_autodiff<H: HostBackend>((kernel, block): (Linear, LinearBlock<Autodiff<H>>)) -> LinearOutput<Autodiff<H>> {
        let parents = [
            primitive(block.input),
            primitive(block.weight),
            primitive(block.bias),
            primitive(block.gamma),
            primitive(block.beta),
        ];
        let nodes = parents.each_ref().map(|parent| parent.node.clone());
        let of_rows = parents[0].is_tracked();
        let [input, weight, bias, gamma, beta] = parents.map(|parent| parent.primitive);
        let (input, arguments) = (Held::<H>::new(input), [weight, bias, gamma, beta].map(H::values));
        let [weight, bias, gamma, beta] = arguments.each_ref().map(H::slice);
        let weights = kernel.weights(weight, of_rows);

        let maps = kernel.forward(input.slice(), &weights, bias);
        let norm = BatchNorm1d { slope: block.slope as f32 };
        let of_batch = norm.statistics(&maps, bias.len());
        let unbiased = unbiased(&of_batch.variance, of_batch.count);
        let moments = [of_batch.mean.clone(), unbiased].map(|of| tensor::<H, 1>(H::tensor(of, [bias.len()])));
        let running = RunningStatistics::from_inner(block.running.inner().after(moments));
        let normalization = Normalization::new(of_batch.mean, &of_batch.variance, block.epsilon, gamma, beta);
        let out: FloatPrimitive<H> = H::tensor(norm.forward(&maps, &normalization), [of_batch.count, bias.len()]);

        let rows = match BlockBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish(Arc::new(State { kernel, input, weights, maps, normalization, norm }), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        LinearOutput { rows: tensor(rows), running }
    }
}

#[derive(Debug)]
struct BlockBackward;

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
struct State<H: HostBackend> {
    kernel: Linear,
    /// `[N, F]`
    input: Held<H>,
    weights: Weights,
    /// The output of the linear layer, `[N, C]`.
    maps: Buffer,
    normalization: Normalization,
    norm: BatchNorm1d,
}

impl<H: HostBackend> Backward<H, 5> for BlockBackward {
    type State = Arc<State<H>>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = Held::<H>::new(grads.consume::<H>(&ops.node));
        let State { kernel, input, weights, maps, normalization, norm } = &*ops.state;
        let [rows, weight, bias, gamma, beta] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        let of_rows = norm.backward(maps, normalization, of_output.slice());
        let found = kernel.backward(input.slice(), weights, &of_rows.rows, rows.is_some());
        let outputs = normalization.channels();
        let inputs = found.weights.len() / outputs;
        let count = maps.len() / outputs;
        let all = [
            (rows, found.rows, Shape::from([count, inputs])),
            (weight, Some(found.weights), Shape::from([inputs, outputs])),
            (bias, Some(found.bias), Shape::from([outputs])),
            (gamma, Some(of_rows.gamma), Shape::from([outputs])),
            (beta, Some(of_rows.beta), Shape::from([outputs])),
        ];
        register::<H>(grads, all);
    }
}
