//! A linear layer as an operation of host backends, plain and with autodiff.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::{Shape, Tensor};
use qare_host::{FloatPrimitive, HostBackend, HostOperation, primitive, tensor};
use qare_kernels::{Linear, LinearGradients, Weights};

use super::held::Held;
use super::register;

/// The arguments of a linear layer that the kernels can compute.
pub(super) struct LinearRows<B: Backend> {
    pub kernel: Linear,
    /// Rows `[N, F]`.
    pub rows: Tensor<B, 2>,
    /// `[F, C]`
    pub weight: Tensor<B, 2>,
    /// `[C]`
    pub bias: Tensor<B, 1>,
}

/// `[N, F]` → `[N, C]`
pub(super) struct FusedLinear;

impl HostOperation for FusedLinear {
    type Input<B: Backend> = LinearRows<B>;
    type Output<B: Backend> = Tensor<B, 2>;

    fn plain<H: HostBackend>(layer: LinearRows<H>) -> Tensor<H, 2> {
        let LinearRows { kernel, rows, weight, bias } = layer;
        let shape = [rows.dims()[0], weight.dims()[1]];
        let [weight, bias] = [primitive(weight), primitive(bias)].map(H::values);
        let weights = kernel.weights(H::slice(&weight), false);
        let out = kernel.forward(Held::<H>::new(primitive(rows)).slice(), &weights, H::slice(&bias));
        tensor(H::tensor(out.into_vec(), shape))
    }

    fn with_autodiff<H: HostBackend>(layer: LinearRows<Autodiff<H>>) -> Tensor<Autodiff<H>, 2> {
        let LinearRows { kernel, rows, weight, bias } = layer;
        let [count, inputs] = rows.dims();
        let outputs = weight.dims()[1];
        let parents = [primitive(rows), primitive(weight), primitive(bias)];
        let nodes = parents.each_ref().map(|parent| parent.node.clone());
        let of_rows = parents[0].is_tracked();
        let [rows, weight, bias] = parents.map(|parent| parent.primitive);
        let (rows, [weight, bias]) = (Held::<H>::new(rows), [weight, bias].map(H::values));
        let weights = kernel.weights(H::slice(&weight), of_rows);
        let out = kernel.forward(rows.slice(), &weights, H::slice(&bias)).into_vec();
        let out: FloatPrimitive<H> = H::tensor(out, [count, outputs]);
        let state = || Arc::new(State { kernel, shape: [inputs, outputs], rows, weights });
        tensor(match LinearBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(state(), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        })
    }
}

#[derive(Debug)]
struct LinearBackward;

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
struct State<H: HostBackend> {
    kernel: Linear,
    /// Of the weights, `[F, C]`.
    shape: [usize; 2],
    rows: Held<H>,
    weights: Weights,
}

impl<H: HostBackend> Backward<H, 3> for LinearBackward {
    type State = Arc<State<H>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = Held::<H>::new(grads.consume::<H>(&ops.node));
        let State { kernel, shape: [inputs, outputs], rows, weights } = &*ops.state;
        let [of_rows, weight, bias] = ops.parents.map(|parent| parent.map(|parent| parent.id));
        let found = kernel.backward(rows.slice(), weights, of_output.slice(), of_rows.is_some());
        let LinearGradients { rows: gradient, weights: of_weights, bias: of_bias } = found;
        let count = rows.slice().len() / inputs;
        let all = [
            (of_rows, gradient, Shape::from([count, *inputs])),
            (weight, Some(of_weights), Shape::from([*inputs, *outputs])),
            (bias, Some(of_bias), Shape::from([*outputs])),
        ];
        register::<H>(grads, all);
    }
}
