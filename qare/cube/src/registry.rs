//! From code that is generic over `Backend` to backends with kernels.

use std::any::Any;

use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend};
use qare_host::{ByBackend, FloatPrimitive};

use crate::backends::KernelBackend;
use crate::call::Call;

/// Runs a call on inputs `Vec<FloatPrimitive<B>>` of the backend `B` that it is registered for, and returns such outputs.
type Run = fn(Call, Box<dyn Any>) -> Box<dyn Any>;

static RUNS: ByBackend<Run> = ByBackend::new();

/// Lets [`run_if_registered`] find the kernels of `B`, for `B` and `Autodiff<B>`.
pub fn register<B: KernelBackend>() {
    let plain: Run = |call, inputs| Box::new(B::run(call, primitives::<B>(inputs)));
    let with_autodiff: Run = |call, inputs| {
        let inputs = primitives::<Autodiff<B>>(inputs).into_iter().map(|input| input.primitive).collect();
        let outputs = B::run(call, inputs).into_iter().map(Autodiff::<B>::from_inner);
        Box::new(outputs.collect::<Vec<FloatPrimitive<Autodiff<B>>>>())
    };
    RUNS.set::<B>(plain);
    RUNS.set::<Autodiff<B>>(with_autodiff);
}

/// Whether `B`, or the backend that it differentiates, is [registered](register).
pub fn is_registered<B: Backend>() -> bool {
    RUNS.get::<B>().is_some()
}

/// Runs a call if `B`, or the backend that it differentiates, is [registered](register). The outputs are off the graph.
pub fn run_if_registered<B: Backend>(call: Call, inputs: Vec<FloatPrimitive<B>>) -> Option<Vec<FloatPrimitive<B>>> {
    let run = RUNS.get::<B>()?;
    Some(primitives::<B>(run(call, Box::new(inputs))))
}

fn primitives<B: Backend>(tensors: Box<dyn Any>) -> Vec<FloatPrimitive<B>> {
    *tensors.downcast().expect("calls are registered under the type of their backend")
}
