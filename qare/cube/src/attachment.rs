//! A value with a gradient that is known already.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::backend::Backend;
use burn::tensor::{Shape, TensorMetadata};
use qare_host::FloatPrimitive;

/// `value` `[1]`, whose derivative with respect to `at` is `gradient`, as one operation of autodiff.
pub(crate) fn attach<B: Backend>(
    value: FloatPrimitive<Autodiff<B>>,
    at: FloatPrimitive<Autodiff<B>>,
    gradient: FloatPrimitive<Autodiff<B>>,
) -> FloatPrimitive<Autodiff<B>> {
    let (value, gradient) = (value.primitive, gradient.primitive);
    match Attached.prepare::<NoCheckpointing>([at.node]).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => prepared.finish(gradient, value),
        OpsKind::UnTracked(prepared) => prepared.finish(value),
    }
}

#[derive(Debug)]
struct Attached;

impl<B: Backend> Backward<B, 1> for Attached {
    type State = FloatPrimitive<B>;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let of_value = gradients.consume::<B>(&ops.node);
        if let [Some(parent)] = ops.parents {
            let gradient = ops.state;
            let single = Shape::from(vec![1; gradient.shape().num_dims()]);
            gradients.register::<B>(parent.id, B::float_mul(gradient, B::float_reshape(of_value, single)));
        }
    }
}
