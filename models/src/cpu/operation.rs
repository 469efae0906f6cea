//! The block as an operation of host backends, plain and with autodiff.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Shape, Tensor};
use qare_host::{FloatPrimitive, HostBackend, HostOperation, primitive, tensor};
use qare_kernels::{Buffer, ConvBlock, ConvParams, ConvSizes, Layout, Normalization, Saved, SizesError, Weights};

use super::held::Held;
use super::kept_weights::arranged;
use super::register;
use crate::block::{Block, BlockOutput};
use crate::pool::Pool;
use crate::running_statistics::RunningStatistics;

/// A [`Block`] on host backends.
pub(super) struct FusedBlock;

impl HostOperation for FusedBlock {
    type Input<B: Backend> = Block<B>;
    type Output<B: Backend> = BlockOutput<B>;

    fn plain<H: HostBackend>(block: Block<H>) -> BlockOutput<H> {
        let kernels = kernels(&block);
        let [mean, variance] = [block.running.mean, block.running.variance].map(|tensor| values::<H, 1>(tensor));
        let (input, weight) = (Held::<H>::new(primitive(block.input)), H::values(primitive(block.weight)));
        let [gamma, beta] = [block.gamma, block.beta].map(|tensor| values::<H, 1>(tensor));
        let residual = block.residual.map(|tensor| Held::<H>::new(primitive(tensor)));
        let residual = residual.as_ref().map(Held::slice);
        let weights = arranged::<H>(weight, *kernels.sizes());
        let [mean, variance, gamma, beta] = [&mean, &variance, &gamma, &beta].map(H::slice);
        let normalization = Normalization::new(mean.to_vec(), variance, block.epsilon, gamma, beta);
        let images = input.slice();
        let out = kernels.infer(images, &weights, &normalization, residual);
        BlockOutput { maps: tensor(H::tensor(out, shape(&kernels, images.len()))), running: None }
    }

    fn with_autodiff<H: HostBackend>(block: Block<Autodiff<H>>) -> BlockOutput<Autodiff<H>> {
        let kernels = kernels(&block);
        let none = || Autodiff::<H>::from_inner(H::tensor(Vec::new(), [0]));
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
        let [input, weight, gamma, beta, residual] = parents.map(|parent| parent.primitive);
        let (input, residual) = (Held::<H>::new(input), Held::<H>::new(residual));
        let [weight, gamma, beta] = [weight, gamma, beta].map(H::values);
        let weights = Weights::new(H::slice(&weight), *kernels.sizes(), of_input);
        let residual = with_residual.then(|| residual.slice());

        let (maps, of_batch) = kernels.convolve(input.slice(), &weights);
        let unbiased = unbiased(&of_batch.variance, of_batch.count);
        let statistics = [of_batch.mean.clone(), unbiased].map(|of| {
            let channels = of.len();
            tensor::<H, 1>(H::tensor(of, [channels]))
        });
        let running = RunningStatistics::from_inner(block.running.inner().after(statistics));
        let normalization =
            Normalization::new(of_batch.mean, &of_batch.variance, block.epsilon, H::slice(&gamma), H::slice(&beta));
        let (out, activated) = kernels.normalize(&maps, &normalization, residual);
        let out: FloatPrimitive<H> = H::tensor(out, shape(&kernels, input.slice().len()));

        let maps = match BlockBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                let activated = match activated {
                    Some(activated) => Activated::BeforePooling(activated),
                    None if with_residual => Activated::Output(Held::new(out.clone())),
                    None => Activated::FromMaps,
                };
                let state = State { kernels, input, weights, maps, normalization, activated };
                prepared.finish(Arc::new(state), out)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        };
        BlockOutput { maps: tensor(maps), running: Some(running) }
    }
}

#[derive(Debug)]
struct BlockBackward;

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
struct State<H: HostBackend> {
    kernels: ConvBlock,
    input: Held<H>,
    weights: Weights,
    maps: Buffer,
    normalization: Normalization,
    activated: Activated<H>,
}

/// Where the backward pass finds the output of the ReLU.
#[derive(Debug)]
enum Activated<H: HostBackend> {
    /// It computes it again from the maps: there is no residual.
    FromMaps,
    /// It is the output of the block.
    Output(Held<H>),
    /// It was kept before it was pooled.
    BeforePooling(Buffer),
}

impl<H: HostBackend> Backward<H, 5> for BlockBackward {
    type State = Arc<State<H>>;

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = Held::<H>::new(grads.consume::<H>(&ops.node));
        let State { kernels, input: images, weights, maps, normalization, activated } = &*ops.state;
        let saved = Saved {
            images: images.slice(),
            weights,
            maps,
            normalization,
            activated: match activated {
                Activated::FromMaps => None,
                Activated::Output(output) => Some(output.slice()),
                Activated::BeforePooling(activated) => Some(activated),
            },
        };
        let [input, weight, gamma, beta, residual] = ops.parents;
        // What other operations have given the input so far: the gradient of the residual, if this is the first convolution of a residual block.
        // Adding to it takes no pass of its own over the batch, as adding to this one would.
        let earlier = input.as_ref().and_then(|node| {
            let mut of_node = Autodiff::<H>::from_inner(H::tensor(Vec::new(), [0]));
            of_node.node = node.clone();
            grads.remove::<H>(&of_node)
        });
        let found = match earlier {
            Some(earlier) => kernels.backward_onto(&saved, of_output.slice(), H::owned(H::values(earlier))),
            None => kernels.backward(&saved, of_output.slice(), input.is_some()),
        };

        let sizes = kernels.sizes();
        let ConvParams { height, width, c_in, c_out, kernel, .. } = sizes.params();
        let images = saved.images.len() / sizes.input_len();
        let of_input = match kernels.layout() {
            Layout::Planar => [images, c_in, height, width],
            Layout::Interleaved => [images, height, width, c_in],
        };
        let maps = [images, sizes.out_height(), sizes.out_width(), c_out];
        let all = [
            (input, found.images, Shape::from(of_input)),
            (weight, Some(found.weights), Shape::from([c_out, c_in, kernel, kernel])),
            (gamma, Some(found.gamma), Shape::from([c_out])),
            (beta, Some(found.beta), Shape::from([c_out])),
            (residual, found.residual, Shape::from(maps)),
        ];
        register::<H>(grads, all.map(|(node, gradient, shape)| (node.map(|node| node.id), gradient, shape)));
    }
}

/// The kernels for a block.
///
/// # Panics
///
/// If the sizes cannot be computed.
fn kernels<B: Backend>(block: &Block<B>) -> ConvBlock {
    let [_, a, b, c] = block.input.dims();
    let [c_out, c_in, kernel, _] = block.weight.dims();
    let (layout, height, width, channels) =
        if block.interleaved { (Layout::Interleaved, a, b, c) } else { (Layout::Planar, b, c, a) };
    assert_eq!(channels, c_in, "channels of the maps (left) and of the convolution (right)");
    let pool = match block.pool {
        Pool::None => qare_kernels::Pool::None,
        Pool::Halve => qare_kernels::Pool::Halve,
        Pool::Average => qare_kernels::Pool::Average,
    };
    let params = ConvParams { height, width, c_in, c_out, kernel, stride: block.stride, padding: block.padding };
    let kernels = ConvSizes::new(params).and_then(|sizes| ConvBlock::new(sizes, layout, block.relu, pool));
    kernels.unwrap_or_else(|error: SizesError| panic!("{error}"))
}

/// `[N, H', W', C_out]` after pooling, of as many images as have so many `values`.
fn shape(kernels: &ConvBlock, values: usize) -> [usize; 4] {
    let [height, width, channels] = kernels.out_dims();
    [values / kernels.sizes().input_len(), height, width, channels]
}

/// The unbiased variances, of biased ones over `count` values.
pub(super) fn unbiased(variance: &[f32], count: usize) -> Vec<f32> {
    let factor = count as f64 / (count - 1) as f64;
    variance.iter().map(|variance| (f64::from(*variance) * factor) as f32).collect()
}

fn values<H: HostBackend, const D: usize>(tensor: Tensor<H, D>) -> H::Values {
    H::values(primitive(tensor))
}
