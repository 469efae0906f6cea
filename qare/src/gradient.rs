use burn::tensor::{Tensor, backend::Backend};
#[cfg(feature = "cubecl")]
use qare_host::{primitive, tensor};

/// `value` `[1]`, with `gradient` as its derivative with respect to `at`.
///
/// Σ (at ∘ gradient) with the gradient held constant has that derivative, and its own value is taken off again. The
/// objectives here all know their gradients in closed form: computing those beats recording the loss operation by
/// operation, in passes over the similarity matrix and in digits (Burn's ndarray backend, for one, differentiates a
/// division through an approximate reciprocal). There is no second derivative. On GPU backends with kernels it is one operation
/// instead of that sum.
pub(crate) fn with_gradient<B: Backend, const D: usize>(
    value: Tensor<B, 1>,
    at: Tensor<B, D>,
    gradient: Tensor<B, D>,
) -> Tensor<B, 1> {
    #[cfg(feature = "cubecl")]
    if qare_cube::is_registered::<B>() {
        let attached = qare_cube::attach_if_registered::<B>(primitive(value), primitive(at), primitive(gradient));
        return tensor(attached.expect("the backend is registered"));
    }
    let surrogate = (at * gradient.detach()).sum();
    surrogate.clone() - surrogate.detach() + value.detach()
}

/// The same where `at ∘ gradient` may leave the range of the numbers, at the price of another pass.
pub(crate) fn with_large_gradient<B: Backend, const D: usize>(
    value: Tensor<B, 1>,
    at: Tensor<B, D>,
    gradient: Tensor<B, D>,
) -> Tensor<B, 1> {
    let origin = at.clone().detach();
    ((at - origin) * gradient.detach()).sum() + value.detach()
}
