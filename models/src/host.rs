//! Which backends compute in the memory of this process.

#[cfg(any(feature = "flex", feature = "ndarray"))]
use std::any::TypeId;

use burn::tensor::backend::Backend;

/// Whether the tensors of `B` are plain numbers in the memory of this process, and every operation is done when its call
/// returns: for Flex and NdArray where this crate is built with the feature of that name, plain or with autodiff.
pub fn computes_on_host<B: Backend>() -> bool {
    #[cfg(feature = "flex")]
    if is::<B, burn_flex::Flex>() {
        return true;
    }
    #[cfg(feature = "ndarray")]
    if is::<B, burn_ndarray::NdArray>() {
        return true;
    }
    false
}

#[cfg(any(feature = "flex", feature = "ndarray"))]
fn is<B: Backend, C: Backend>() -> bool {
    [TypeId::of::<C>(), TypeId::of::<burn::backend::Autodiff<C>>()].contains(&TypeId::of::<B>())
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    use burn::backend::Autodiff;
    use burn_flex::Flex;

    use super::computes_on_host;

    #[test]
    fn flex_is_the_host_with_autodiff_and_without() {
        assert!(computes_on_host::<Flex>() && computes_on_host::<Autodiff<Flex>>());
    }
}
