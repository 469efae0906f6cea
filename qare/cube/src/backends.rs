//! Backends that run the kernels: CubeCL's, and Burn's fusion of one.

use std::marker::PhantomData;

use burn::tensor::backend::Backend;
use burn_cubecl::{BoolElement, CubeBackend, CubeRuntime, FloatElement, IntElement};
use burn_fusion::stream::{Operation, OperationStreams};
use burn_fusion::{Fusion, FusionBackend, FusionRuntime};
use burn_ir::{CustomOpIr, HandleContainer, OperationIr, TensorIr};
use qare_host::FloatPrimitive;

use crate::call::Call;
use crate::launch;

/// A backend that runs a [`Call`].
pub trait KernelBackend: Backend {
    /// Runs a call on its inputs and returns its outputs.
    ///
    /// # Panics
    ///
    /// If the inputs are not those of the call.
    fn run(call: Call, inputs: Vec<FloatPrimitive<Self>>) -> Vec<FloatPrimitive<Self>>;
}

impl<R, F, I, BT> KernelBackend for CubeBackend<R, F, I, BT>
where
    R: CubeRuntime,
    F: FloatElement,
    I: IntElement,
    BT: BoolElement,
{
    fn run(call: Call, inputs: Vec<FloatPrimitive<Self>>) -> Vec<FloatPrimitive<Self>> {
        launch::run(call, inputs)
    }
}

impl<B: FusionBackend + KernelBackend> KernelBackend for Fusion<B> {
    fn run(call: Call, inputs: Vec<FloatPrimitive<Self>>) -> Vec<FloatPrimitive<Self>> {
        let client = inputs[0].client.clone();
        let streams = OperationStreams::with_inputs(inputs.iter());
        let shapes: Vec<_> = inputs.iter().map(|input| &input.shape).collect();
        let outputs = call.outputs(&shapes, inputs[0].dtype).into_iter();
        let outputs: Vec<_> =
            outputs.map(|(shape, dtype)| TensorIr::uninit(client.create_empty_handle(), shape, dtype)).collect();
        let inputs: Vec<_> = inputs.into_iter().map(|tensor| tensor.into_ir()).collect();
        let ir = CustomOpIr::new(call.name(), &inputs, &outputs);
        client.register(streams, OperationIr::Custom(ir.clone()), CallOperation::<B> { call, ir, backend: PhantomData })
    }
}

/// A call in the stream of operations.
#[derive(Debug)]
struct CallOperation<B> {
    call: Call,
    ir: CustomOpIr,
    backend: PhantomData<fn() -> B>,
}

impl<B: FusionBackend + KernelBackend> Operation<B::FusionRuntime> for CallOperation<B> {
    fn execute(&self, handles: &mut HandleContainer<<B::FusionRuntime as FusionRuntime>::FusionHandle>) {
        let inputs = self.ir.inputs.iter().map(|input| handles.get_float_tensor::<B>(input)).collect();
        for (ir, output) in self.ir.outputs.iter().zip(B::run(self.call, inputs)) {
            handles.register_float_tensor::<B>(&ir.id, output);
        }
    }
}
