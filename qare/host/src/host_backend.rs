//! Backends in host memory: by name, and by type.

use std::fmt::Debug;

use burn::tensor::backend::{Backend, BackendTypes};
use burn::tensor::{Shape, Tensor, TensorData, TensorPrimitive};

/// The float tensor that a backend computes with.
pub type FloatPrimitive<B> = <B as BackendTypes>::FloatTensorPrimitive;

/// What a float tensor holds.
pub fn primitive<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> FloatPrimitive<B> {
    tensor.into_primitive().tensor()
}

/// The float tensor that holds a primitive of rank `D`.
pub fn tensor<B: Backend, const D: usize>(primitive: FloatPrimitive<B>) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// Whether tensors of `B` are in the memory of this process, and every operation is done when its call returns. Their values can
/// then be read for the price of a copy.
///
/// So it is for Flex and NdArray, plain or with autodiff, whatever features this crate is built with.
pub fn computes_on_host<B: Backend>(device: &B::Device) -> bool {
    let name = B::name(device);
    let plain = name.trim_start_matches("autodiff<").trim_end_matches('>');
    matches!(plain, "flex" | "ndarray")
}

/// A backend whose tensors of f32 can be read and made without copies. [`dispatch`](crate::dispatch) finds out whether a
/// backend is one.
pub trait HostBackend: Backend {
    /// A tensor of f32 whose values are contiguous.
    type Values: Clone + Send + Sync + Debug + 'static;

    /// A tensor with contiguous values, copied if they are not.
    ///
    /// # Panics
    ///
    /// If the tensor is not of f32; or [`slice`](Self::slice) panics then.
    fn values(tensor: FloatPrimitive<Self>) -> Self::Values;

    /// All values, in row-major order.
    fn slice(values: &Self::Values) -> &[f32];

    /// All values, in row-major order, as the vector that holds them: where it can be had without a copy, and nothing else holds
    /// them.
    fn into_vec(_values: Self::Values) -> Option<Vec<f32>> {
        None
    }

    /// All values, in row-major order, as the vector that holds them where that can be had, or copied.
    fn owned(values: Self::Values) -> Vec<f32> {
        Self::slice(&values).to_vec()
    }

    /// A tensor of values in row-major order.
    ///
    /// # Panics
    ///
    /// If the shape is of another number of values.
    fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FloatPrimitive<Self> {
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

    fn into_vec(values: burn_flex::FlexTensor) -> Option<Vec<f32>> {
        is_whole_and_unique(&values).then(|| values.into_data().bytes.try_into_vec().ok())?
    }

    fn owned(values: burn_flex::FlexTensor) -> Vec<f32> {
        if !is_whole_and_unique(&values) {
            return values.storage().to_vec();
        }
        values.into_data().into_vec().expect("a tensor of f32")
    }
}

/// Whether the memory of a tensor holds its values and nothing else, and nothing else holds it.
#[cfg(feature = "flex")]
fn is_whole_and_unique(tensor: &burn_flex::FlexTensor) -> bool {
    tensor.layout().num_elements() * size_of::<f32>() == tensor.bytes().len() && tensor.is_unique()
}

#[cfg(feature = "ndarray")]
impl HostBackend for burn_ndarray::NdArray {
    type Values = burn_ndarray::NdArrayTensor;

    fn values(tensor: burn_ndarray::NdArrayTensor) -> Self::Values {
        use burn::tensor::ops::FloatTensorOps;

        if contiguous(&tensor).is_some() {
            return tensor;
        }
        let data = burn::tensor::try_read_sync(Self::float_into_data(tensor))
            .expect("this backend has nothing to wait for")
            .expect("values in memory can be read");
        Self::float_from_data(data, &Default::default())
    }

    fn slice(values: &Self::Values) -> &[f32] {
        contiguous(values).expect("a tensor of f32 that `values` has made contiguous")
    }
}

/// The values of a tensor of f32 that is contiguous.
#[cfg(feature = "ndarray")]
fn contiguous(tensor: &burn_ndarray::NdArrayTensor) -> Option<&[f32]> {
    match tensor {
        burn_ndarray::NdArrayTensor::F32(storage) => storage.view().to_slice(),
        _ => None,
    }
}
