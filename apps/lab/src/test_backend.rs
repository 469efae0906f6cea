//! The backend of the unit tests.

use burn::backend::Autodiff;

#[cfg(feature = "flex")]
pub type Plain = burn_flex::Flex;
#[cfg(not(feature = "flex"))]
pub type Plain = burn_ndarray::NdArray;

/// The autodiff backend.
pub type Training = Autodiff<Plain>;

pub fn any_device() -> burn::tensor::Device<Training> {
    Default::default()
}
