//! How the values of a CPU backend's tensors are read and made.

use std::fmt::Debug;

use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{Shape, TensorData};

/// The tensor that a backend computes with.
pub(super) type Primitive<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// A backend whose tensors are in the program's memory.
pub(super) trait HostBackend: Backend {
    /// Values in f32, row by row.
    type Values: Clone + Send + Sync + Debug + 'static;

    /// The values of a tensor of f32.
    fn values(tensor: Primitive<Self>) -> Self::Values;

    /// All of them.
    fn slice(values: &Self::Values) -> &[f32];

    /// A tensor of these values.
    fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Primitive<Self> {
        Self::float_from_data(TensorData::new(values, shape), &Self::Device::default())
    }
}

#[cfg(feature = "flex")]
impl HostBackend for burn_flex::Flex {
    type Values = burn_flex::FlexTensor;

    fn values(tensor: burn_flex::FlexTensor) -> burn_flex::FlexTensor {
        tensor.to_contiguous()
    }

    fn slice(values: &burn_flex::FlexTensor) -> &[f32] {
        values.storage()
    }
}

#[cfg(feature = "ndarray")]
impl HostBackend for burn_ndarray::NdArray {
    type Values = std::sync::Arc<TensorData>;

    fn values(tensor: burn_ndarray::NdArrayTensor) -> Self::Values {
        burn::tensor::try_read_sync(Self::float_into_data(tensor))
            .expect("this backend has nothing to wait for")
            .expect("values in memory can be read")
            .into()
    }

    fn slice(values: &Self::Values) -> &[f32] {
        values.as_slice().expect("only tensors of f32 come here")
    }
}
