//! The block as an operation of a plain backend, and of one with autodiff.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Shape, Tensor, TensorPrimitive};

use super::backends::{HostBackend, Primitive};
use super::block::{Normalization, Plan, convolve, finish, infer};
use super::block_gradient::{Passed, gradients};
use super::buffers::Buffer;
use super::convolution::{Layout, Sizes, Weights};
use super::{Block, BlockOutput};

/// A backend that computes blocks here.
pub(super) trait CpuBackend: Backend {
    fn block(block: Block<Self>) -> BlockOutput<Self>;
}

impl<H: HostBackend> CpuBackend for H {
    fn block(block: Block<H>) -> BlockOutput<H> {
        let plan = plan(&block);
        let running = block.running.expect("without autodiff, running statistics are normalised with");
        let [mean, variance] = running.map(|tensor| values::<H, 1>(tensor));
        let [input, weight] = [block.input, block.weight].map(|tensor| values::<H, 4>(tensor));
        let [gamma, beta] = [block.gamma, block.beta].map(|tensor| values::<H, 1>(tensor));
        let residual = block.residual.map(|tensor| values::<H, 4>(tensor));
        let residual = residual.as_ref().map(H::slice);
        let weights = Weights::new(H::slice(&weight), plan.sizes, false);
        let [mean, variance, gamma, beta] = [&mean, &variance, &gamma, &beta].map(H::slice);
        let normalization = Normalization::new(mean.to_vec(), variance, block.epsilon, gamma, beta);
        let images = H::slice(&input);
        let out = infer(&plan, images, &weights, &normalization, residual);
        BlockOutput { maps: tensor(H::tensor(out, shape(&plan, images.len()))), statistics: None }
    }
}

impl<H: HostBackend> CpuBackend for Autodiff<H> {
    fn block(block: Block<Self>) -> BlockOutput<Self> {
        let plan = plan(&block);
        let none = || Self::from_inner(H::tensor(Vec::new(), [0]));
        let residual = block.residual.map(primitive);
        let with_residual = residual.is_some();
        let parents = [
            primitive(block.input),
            primitive(block.weight),
            primitive(block.gamma),
            primitive(block.beta),
            residual.unwrap_or_else(none),
        ];
        let nodes = parents.each_ref().map(|parent| parent.node.clone());
        let of_input = parents[0].is_tracked();
        let [input, weight, gamma, beta, residual] = parents.map(|parent| H::values(parent.primitive));
        let weights = Weights::new(H::slice(&weight), plan.sizes, of_input);
        let residual = with_residual.then(|| H::slice(&residual));

        let (maps, of_batch) = convolve(&plan, H::slice(&input), &weights);
        let unbiased = unbiased(&of_batch.variance, of_batch.count);
        let statistics =
            [of_batch.mean.clone(), unbiased].map(|of| tensor(Self::from_inner(H::tensor(of, [plan.sizes.c_out]))));
        let normalization =
            Normalization::new(of_batch.mean, &of_batch.variance, block.epsilon, H::slice(&gamma), H::slice(&beta));
        let (out, activated) = finish(&plan, &maps, &normalization, residual);
        let out: Primitive<H> = H::tensor(out, shape(&plan, H::slice(&input).len()));

        let maps = match BlockBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let activated = match activated {
                    Some(activated) => Activated::Pooled(activated),
                    None if with_residual => Activated::Output(H::values(out.clone())),
                    None => Activated::OfMaps,
                };
                let state = State { plan, input, weights, maps, normalization, activated };
                prepared.finish(Arc::new(state), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        BlockOutput { maps: tensor(maps), statistics: Some(statistics) }
    }
}

#[derive(Debug)]
struct BlockBackward;

/// What the forward pass leaves.
#[derive(Debug)]
struct State<H: HostBackend> {
    plan: Plan,
    input: H::Values,
    weights: Weights,
    maps: Buffer,
    normalization: Normalization,
    activated: Activated<H>,
}

/// What the ReLU put out.
#[derive(Debug)]
enum Activated<H: HostBackend> {
    /// It follows from the maps.
    OfMaps,
    /// It is the output.
    Output(H::Values),
    /// The output is means of it.
    Pooled(Buffer),
}

impl<H: HostBackend> Backward<H, 5> for BlockBackward {
    type State = Arc<State<H>>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = H::values(grads.consume::<H>(&ops.node));
        let state = &ops.state;
        let passed = Passed {
            images: H::slice(&state.input),
            weights: &state.weights,
            maps: &state.maps,
            normalization: &state.normalization,
            activated: match &state.activated {
                Activated::OfMaps => None,
                Activated::Output(output) => Some(H::slice(output)),
                Activated::Pooled(activated) => Some(activated),
            },
        };
        let [input, weight, gamma, beta, residual] = ops.parents;
        let found = gradients(&state.plan, &passed, H::slice(&of_output), input.is_some());

        let Sizes { height, width, c_in, c_out, kernel, .. } = state.plan.sizes;
        let images = passed.images.len() / state.plan.sizes.input();
        let of_input = match state.plan.layout {
            Layout::Planar => [images, c_in, height, width],
            Layout::Interleaved => [images, height, width, c_in],
        };
        let maps = [images, state.plan.sizes.out_height(), state.plan.sizes.out_width(), c_out];
        let all = [
            (input, found.images, Shape::from(of_input)),
            (weight, Some(found.weights), Shape::from([c_out, c_in, kernel, kernel])),
            (gamma, Some(found.gamma), Shape::from([c_out])),
            (beta, Some(found.beta), Shape::from([c_out])),
            (residual, found.residual, Shape::from(maps)),
        ];
        for (node, gradient, shape) in all {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                grads.register::<H>(node.id, H::tensor(gradient, shape));
            }
        }
    }
}

fn plan<B: Backend>(block: &Block<B>) -> Plan {
    let [_, a, b, c] = block.input.dims();
    let [c_out, c_in, kernel, _] = block.weight.dims();
    let (layout, height, width, channels) = match block.interleaved {
        true => (Layout::Interleaved, a, b, c),
        false => (Layout::Planar, b, c, a),
    };
    assert_eq!(channels, c_in, "channels of the maps (left) and of the convolution (right)");
    let sizes = Sizes { height, width, c_in, c_out, kernel, stride: block.stride, padding: block.padding };
    Plan { sizes, layout, relu: block.relu, pool: block.pool }
}

/// `[N, H', W', C_out]`, for this many values of images.
fn shape(plan: &Plan, values: usize) -> [usize; 4] {
    let [height, width, channels] = plan.out_dims();
    [values / plan.sizes.input(), height, width, channels]
}

fn unbiased(variance: &[f32], count: usize) -> Vec<f32> {
    let factor = count as f64 / (count - 1) as f64;
    variance.iter().map(|variance| (f64::from(*variance) * factor) as f32).collect()
}

fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Primitive<B> {
    tensor.into_primitive().tensor()
}

fn values<H: HostBackend, const D: usize>(tensor: Tensor<H, D>) -> H::Values {
    H::values(primitive(tensor))
}

fn tensor<B: Backend, const D: usize>(primitive: Primitive<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}
