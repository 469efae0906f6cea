//! How the values of a CPU backend's tensors are read and made.

use std::fmt::Debug;

use burn::tensor::backend::{Backend, BackendTypes};
#[cfg(feature = "ndarray")]
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
    type Values = burn_ndarray::NdArrayTensor;

    fn values(tensor: burn_ndarray::NdArrayTensor) -> Self::Values {
        if row_by_row(&tensor).is_some() {
            return tensor;
        }
        let data = burn::tensor::try_read_sync(Self::float_into_data(tensor))
            .expect("this backend has nothing to wait for")
            .expect("values in memory can be read");
        Self::float_from_data(data, &Default::default())
    }

    fn slice(values: &Self::Values) -> &[f32] {
        row_by_row(values).expect("`values` has arranged them")
    }
}

/// The values of a tensor of f32, if they lie in memory as they are to be read.
#[cfg(feature = "ndarray")]
fn row_by_row(tensor: &burn_ndarray::NdArrayTensor) -> Option<&[f32]> {
    match tensor {
        burn_ndarray::NdArrayTensor::F32(storage) => storage.view().to_slice(),
        _ => None,
    }
}
