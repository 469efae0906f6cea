//! SparseCLR of labelled batches that may have no positive.

use burn::tensor::{Int, Tensor, backend::Backend};

use super::pairs::{Guard, guarded, mean_or_zero};
use crate::contrast::{Contrast, RowLosses};
use crate::inspection::overflow;
use crate::labelled::check_references;
use crate::{ObjectiveError, SparseClr};

/// The loss `[1]`, as [`SparseClr::forward_labels`] has it; 0 where no row has a positive.
///
/// # Errors
/// As [`SparseClr::forward_labels`], save for that.
pub(super) fn labelled<B: Backend>(
    loss: &SparseClr,
    embeddings: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let (embeddings, guard) = guarded(embeddings, &labels, "embeddings")?;
    let alone = embeddings.dims()[0] == 1;
    let similarity = loss.similarity.within(embeddings.unsqueeze()).matrix.squeeze_dim(0);
    if alone {
        return guard.checked(similarity.sum() * 0.0, NAME);
    }
    reduce(loss, Contrast::within(similarity, labels), guard)
}

/// The same of embeddings that are compared with references.
///
/// # Errors
/// As [`SparseClr::forward_references`], save for a batch without a positive.
pub(super) fn referenced<B: Backend>(
    loss: &SparseClr,
    embeddings: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    references: Tensor<B, 2>,
    reference_labels: Tensor<B, 1, Int>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    check_references(&embeddings, &references)?;
    let (embeddings, of_rows) = guarded(embeddings, &labels, "embeddings")?;
    let (references, of_references) = guarded(references, &reference_labels, "reference embeddings")?;
    let similarity = loss.similarity.between(embeddings, references);
    reduce(loss, Contrast::between(similarity, labels, reference_labels), of_rows.and(of_references))
}

const NAME: &str = "SparseCLR's loss";

fn reduce<B: Backend>(
    loss: &SparseClr,
    contrast: Contrast<B>,
    guard: Guard<B>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let dtype = contrast.similarity.dtype();
    let RowLosses { losses, counted, is_number } = loss.row_losses(contrast);
    if !is_number {
        return Err(overflow(NAME, dtype));
    }
    guard.checked(mean_or_zero(losses.sum(), counted.sum()), NAME)
}
