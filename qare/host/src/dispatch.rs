//! From code that is generic over `Backend` to code for host backends.

use burn::backend::Autodiff;
use burn::tensor::backend::Backend;

use crate::HostBackend;

/// An operation with an implementation for [`HostBackend`]s.
pub trait HostOperation {
    /// Its arguments.
    type Input<B: Backend>: 'static;

    /// Its result.
    type Output<B: Backend>: 'static;

    /// The operation on a backend without autodiff.
    fn plain<H: HostBackend>(input: Self::Input<H>) -> Self::Output<H>;

    /// The operation on a backend with autodiff.
    fn with_autodiff<H: HostBackend>(input: Self::Input<Autodiff<H>>) -> Self::Output<Autodiff<H>>;
}

/// Runs an operation if `B` is a [`HostBackend`] or `Autodiff` of one.
///
/// # Errors
///
/// Otherwise the input comes back: on another backend, on Flex or NdArray without the feature of that name or with other element
/// types, and on `Autodiff` with a checkpointing strategy of its own.
pub fn dispatch<O: HostOperation, B: Backend>(input: O::Input<B>) -> Result<O::Output<B>, O::Input<B>> {
    #[cfg(feature = "flex")]
    let input = match on::<O, B, burn_flex::Flex>(input) {
        Err(input) => input,
        done => return done,
    };
    #[cfg(feature = "ndarray")]
    let input = match on::<O, B, burn_ndarray::NdArray>(input) {
        Err(input) => input,
        done => return done,
    };
    Err(input)
}

/// Runs an operation if `B` is `H` or `Autodiff<H>`.
#[cfg(any(feature = "flex", feature = "ndarray"))]
fn on<O: HostOperation, B: Backend, H: HostBackend>(input: O::Input<B>) -> Result<O::Output<B>, O::Input<B>> {
    use std::any::TypeId;

    if TypeId::of::<B>() == TypeId::of::<H>() {
        Ok(same_type(O::plain::<H>(same_type(input))))
    } else if TypeId::of::<B>() == TypeId::of::<Autodiff<H>>() {
        Ok(same_type(O::with_autodiff::<H>(same_type(input))))
    } else {
        Err(input)
    }
}

/// A value of a type that the compiler does not know to be `U`.
///
/// # Panics
///
/// If it is not.
#[cfg(any(feature = "flex", feature = "ndarray"))]
fn same_type<T: 'static, U: 'static>(value: T) -> U {
    use std::any::Any;

    let mut value = Some(value);
    let value = (&mut value as &mut dyn Any).downcast_mut::<Option<U>>().and_then(Option::take);
    value.expect("both are the same type")
}
