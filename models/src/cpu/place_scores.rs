//! The local discriminator as an operation of host backends, plain and with autodiff.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::{Shape, Tensor};
use qare_host::{FloatPrimitive, HostBackend, HostOperation, primitive, tensor};
use qare_kernels::{PlaceScores, PlaceWeights};

use super::held::Held;
use super::register;
use crate::discriminators::LocalScores;

/// [`LocalScores`] on host backends: `[N, 1, H, W]`.
pub(super) struct ScoresOfPlaces;

/// Maps, features, and the weights in the order of [`PlaceWeights`].
const ARGUMENTS: usize = 8;

impl HostOperation for ScoresOfPlaces {
    type Input<B: Backend> = LocalScores<B>;
    type Output<B: Backend> = Tensor<B, 4>;

    fn plain<H: HostBackend>(scores: LocalScores<H>) -> Tensor<H, 4> {
        let (kernel, shape) = kernel(&scores);
        let values = arguments(scores).map(Held::<H>::new);
        tensor(forward(&kernel, &values, shape))
    }

    fn with_autodiff<H: HostBackend>(scores: LocalScores<Autodiff<H>>) -> Tensor<Autodiff<H>, 4> {
        let (kernel, shape) = kernel(&scores);
        let arguments = arguments(scores);
        let nodes = arguments.each_ref().map(|argument| argument.node.clone());
        let values = arguments.map(|argument| Held::<H>::new(argument.primitive));
        let out = forward(&kernel, &values, shape);
        tensor(match ScoresBackward.prepare::<NoCheckpointing>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(Arc::new(State { kernel, shape, values }), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        })
    }
}

#[derive(Debug)]
struct ScoresBackward;

/// What the forward pass leaves for the backward pass.
#[derive(Debug)]
struct State<H: HostBackend> {
    kernel: PlaceScores,
    /// Of the scores.
    shape: [usize; 4],
    values: [Held<H>; ARGUMENTS],
}

impl<H: HostBackend> Backward<H, ARGUMENTS> for ScoresBackward {
    type State = Arc<State<H>>;

    fn backward(self, ops: Ops<Self::State, ARGUMENTS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_scores = Held::<H>::new(grads.consume::<H>(&ops.node));
        let State { kernel, shape: [images, _, height, width], values } = &*ops.state;
        let [maps, features, ..] = values.each_ref().map(Held::slice);
        let found = kernel.backward(maps, features, &weights(values), of_scores.slice());
        let PlaceScores { channels, features, hidden, .. } = *kernel;
        let PlaceWeights { first, first_bias, second, second_bias, last, last_bias } = found.weights;
        let gradients = [
            (found.maps, Shape::from([*images, channels, *height, *width])),
            (found.features, Shape::from([*images, features])),
            (first, Shape::from([hidden, channels + features, 1, 1])),
            (first_bias, Shape::from([hidden])),
            (second, Shape::from([hidden, hidden, 1, 1])),
            (second_bias, Shape::from([hidden])),
            (last, Shape::from([1, hidden, 1, 1])),
            (last_bias, Shape::from([1])),
        ];
        let of_parents = ops.parents.into_iter().zip(gradients);
        register::<H>(
            grads,
            of_parents.map(|(node, (gradient, shape))| (node.map(|node| node.id), Some(gradient), shape)),
        );
    }
}

/// The kernel for the arguments, and the shape of the scores.
fn kernel<B: Backend>(scores: &LocalScores<B>) -> (PlaceScores, [usize; 4]) {
    let [images, channels, height, width] = scores.maps.dims();
    let [hidden, ..] = scores.weights[0].dims();
    let features = scores.features.dims()[1];
    (PlaceScores { places: height * width, channels, features, hidden }, [images, 1, height, width])
}

fn arguments<B: Backend>(scores: LocalScores<B>) -> [FloatPrimitive<B>; ARGUMENTS] {
    let [first, second, last] = scores.weights.map(primitive);
    let [first_bias, second_bias, last_bias] = scores.biases.map(primitive);
    [primitive(scores.maps), primitive(scores.features), first, first_bias, second, second_bias, last, last_bias]
}

fn weights<H: HostBackend>(values: &[Held<H>; ARGUMENTS]) -> PlaceWeights<&[f32]> {
    let [_, _, first, first_bias, second, second_bias, last, last_bias] = values.each_ref().map(Held::slice);
    PlaceWeights { first, first_bias, second, second_bias, last, last_bias }
}

fn forward<H: HostBackend>(
    kernel: &PlaceScores,
    values: &[Held<H>; ARGUMENTS],
    shape: [usize; 4],
) -> FloatPrimitive<H> {
    let [maps, features, ..] = values.each_ref().map(Held::slice);
    H::tensor(kernel.forward(maps, features, &weights(values)), shape)
}
