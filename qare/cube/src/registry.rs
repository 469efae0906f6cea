//! From code that is generic over `Backend` to backends with kernels.

use std::any::Any;

use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend};
use qare_host::{ByBackend, FloatPrimitive};

use crate::attachment::attach;
use crate::backends::KernelBackend;
use crate::call::Call;

/// What a backend `B` is registered with. The arguments come and go without their types.
#[derive(Clone, Copy)]
struct Functions {
    /// From the inputs of a call, `Vec<FloatPrimitive<B>>`, to its outputs.
    run: fn(Call, Box<dyn Any>) -> Box<dyn Any>,
    /// From a value, what it depends on, and a gradient, `[FloatPrimitive<B>; 3]`, to a `FloatPrimitive<B>`.
    attach: fn(Box<dyn Any>) -> Box<dyn Any>,
}

static FUNCTIONS: ByBackend<Functions> = ByBackend::new();

/// Lets [`run_if_registered`] and [`attach_if_registered`] find the kernels of `B`, for `B` and `Autodiff<B>`.
pub fn register<B: KernelBackend>() {
    FUNCTIONS.set::<B>(Functions {
        run: |call, inputs| Box::new(B::run(call, primitives(inputs))),
        attach: |inputs| {
            let [value, _, _]: [FloatPrimitive<B>; 3] = primitives(inputs);
            Box::new(value)
        },
    });
    FUNCTIONS.set::<Autodiff<B>>(Functions {
        run: |call, inputs| {
            let inputs: Vec<FloatPrimitive<Autodiff<B>>> = primitives(inputs);
            let inputs = inputs.into_iter().map(|input| input.primitive).collect();
            let outputs = B::run(call, inputs).into_iter().map(Autodiff::<B>::from_inner);
            Box::new(outputs.collect::<Vec<FloatPrimitive<Autodiff<B>>>>())
        },
        attach: |inputs| {
            let [value, at, gradient]: [FloatPrimitive<Autodiff<B>>; 3] = primitives(inputs);
            Box::new(attach::<B>(value, at, gradient))
        },
    });
}

/// Whether `B`, or the backend that it differentiates, is [registered](register).
pub fn is_registered<B: Backend>() -> bool {
    FUNCTIONS.get::<B>().is_some()
}

/// Runs a call if `B`, or the backend that it differentiates, is [registered](register). The outputs are off the graph.
pub fn run_if_registered<B: Backend>(call: Call, inputs: Vec<FloatPrimitive<B>>) -> Option<Vec<FloatPrimitive<B>>> {
    let functions = FUNCTIONS.get::<B>()?;
    Some(primitives((functions.run)(call, Box::new(inputs))))
}

/// A value `[1]` whose derivative with respect to `at` is `gradient`, as one operation of autodiff, if `B` is [registered](register).
/// `gradient` has the shape of `at`. There is no second derivative.
pub fn attach_if_registered<B: Backend>(
    value: FloatPrimitive<B>,
    at: FloatPrimitive<B>,
    gradient: FloatPrimitive<B>,
) -> Option<FloatPrimitive<B>> {
    let functions = FUNCTIONS.get::<B>()?;
    Some(primitives((functions.attach)(Box::new([value, at, gradient]))))
}

/// Primitives of a backend, which came without their type.
fn primitives<T: 'static>(tensors: Box<dyn Any>) -> T {
    *tensors.downcast().expect("functions are registered under the type of their backend")
}
