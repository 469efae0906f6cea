//! What is wrong with a batch, read back from the device: for nothing where tensors are in the host's memory, and elsewhere
//! only where an error is certain or was asked for.

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::{ObjectiveError, SIMILARITY_FLOOR, Views};

/// Row `row` of the embeddings in words.
pub(crate) fn row_label(row: usize, views: Views) -> String {
    let (image, view) = (row / views.count(), row % views.count());
    format!("row {row} of the embeddings (counted from 0: image {image}; view set {} of {})", view + 1, views.count())
}

/// # Errors
/// When a row of the embeddings `[K·B, D]` holds NaN or infinity.
pub(crate) fn all_finite<B: Backend>(embeddings: &Tensor<B, 2>, views: Views) -> Result<(), ObjectiveError> {
    finite_rows(embeddings, |row| row_label(row, views))
}

/// # Errors
/// When a row `[N, D]` holds NaN or infinity; `label` says which.
pub(crate) fn finite_rows<B: Backend>(
    embeddings: &Tensor<B, 2>,
    label: impl Fn(usize) -> String,
) -> Result<(), ObjectiveError> {
    let [rows, dim] = embeddings.dims();
    if dim == 0 {
        return Ok(());
    }
    let numbers = numbers(embeddings.clone());
    match (0..rows).find(|row| !numbers[row * dim..][..dim].iter().all(|x| x.is_finite())) {
        Some(row) => Err(ObjectiveError::NonFinite { quantity: label(row) }),
        None => Ok(()),
    }
}

/// # Errors
/// When a row is so short beside the longest that the gradient of their similarity is more than an f32 can be. (That of
/// [`Similarity::FlooredCosine`](crate::Similarity::FlooredCosine) is at most one over its floor under lengths.)
pub(crate) fn gradients_in_range<B: Backend>(
    embeddings: &Tensor<B, 2>,
    label: impl Fn(usize) -> String,
) -> Result<(), ObjectiveError> {
    let [_, dim] = embeddings.dims();
    if embeddings.dtype() != DType::F32 || !B::ad_enabled(&embeddings.device()) || dim == 0 {
        return Ok(());
    }
    let lengths: Vec<f64> = numbers(embeddings.clone())
        .chunks_exact(dim)
        .map(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt())
        .collect();
    // ∂s_ij/∂z_i is one over the length of z_i, or z_j over the floor under products of lengths.
    let longest = lengths.iter().copied().fold(0.0, f64::max) / SIMILARITY_FLOOR;
    match lengths.iter().position(|length| longest.min(1.0 / length) > 0.01 * f64::from(f32::MAX)) {
        Some(row) => {
            let quantity = format!("the gradient of {}, of length {:e},", label(row), lengths[row]);
            Err(overflow(quantity, DType::F32))
        }
        None => Ok(()),
    }
}

/// # Errors
/// When the `result` of finite embeddings, called `quantity` in the message, is not a finite number.
pub(crate) fn in_range<B: Backend>(result: &Tensor<B, 1>, quantity: &str) -> Result<(), ObjectiveError> {
    match numbers(result.clone()).iter().all(|x| x.is_finite()) {
        true => Ok(()),
        false => Err(overflow(quantity, result.dtype())),
    }
}

/// A number of `quantity` is too large for `dtype`.
pub(crate) fn overflow(quantity: impl Into<String>, dtype: DType) -> ObjectiveError {
    let dtype = if dtype == DType::F64 { "f64" } else { "f32" };
    ObjectiveError::Overflow { quantity: quantity.into(), dtype }
}

/// A tensor's numbers.
pub(crate) fn numbers<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f64> {
    tensor.detach().into_data().convert::<f64>().into_vec().expect("the data has just been converted")
}
