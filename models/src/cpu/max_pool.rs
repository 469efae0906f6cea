//! Max pooling as an operation of host backends, plain and with autodiff.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use qare_host::{HostBackend, HostOperation, primitive, tensor};
use qare_kernels::{MaxPlaces, MaxPool};

use super::held::Held;

/// 3×3 max pooling of maps `[N, H, W, C]`, stride 2 and padding 1.
pub(super) struct MaxPooling;

impl HostOperation for MaxPooling {
    type Input<B: Backend> = Tensor<B, 4>;
    type Output<B: Backend> = Tensor<B, 4>;

    fn plain<H: HostBackend>(maps: Tensor<H, 4>) -> Tensor<H, 4> {
        let (pool, count) = pool(&maps);
        let (out, _) = pool.forward(Held::<H>::new(primitive(maps)).slice());
        tensor(H::tensor(out, shape(&pool, count)))
    }

    fn with_autodiff<H: HostBackend>(maps: Tensor<Autodiff<H>, 4>) -> Tensor<Autodiff<H>, 4> {
        let (pool, count) = pool(&maps);
        let maps = primitive(maps);
        let node = maps.node.clone();
        let (out, places) = pool.forward(Held::<H>::new(maps.primitive).slice());
        let out = H::tensor(out, shape(&pool, count));
        tensor(match MaxPoolingBackward.prepare::<NoCheckpointing>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish(Arc::new((pool, places)), out),
            OpsKind::UnTracked(prepared) => prepared.finish(out),
        })
    }
}

#[derive(Debug)]
struct MaxPoolingBackward;

impl<H: HostBackend> Backward<H, 1> for MaxPoolingBackward {
    type State = Arc<(MaxPool, MaxPlaces)>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_output = Held::<H>::new(grads.consume::<H>(&ops.node));
        let (pool, places) = &*ops.state;
        let [maps] = ops.parents;
        if let Some(node) = maps {
            let gradient = pool.backward(of_output.slice(), places);
            let [height, width, channels] = pool.dims();
            let count = gradient.len() / (height * width * channels);
            grads.register::<H>(node.id, H::tensor(gradient, [count, height, width, channels]));
        }
    }
}

/// The kernel for maps, and how many there are.
fn pool<B: Backend>(maps: &Tensor<B, 4>) -> (MaxPool, usize) {
    let [count, height, width, channels] = maps.dims();
    (MaxPool::new([height, width, channels]), count)
}

fn shape(pool: &MaxPool, count: usize) -> [usize; 4] {
    let [height, width, channels] = pool.out_dims();
    [count, height, width, channels]
}
