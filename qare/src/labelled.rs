//! The pairwise terms with labels for positives, with reference embeddings for candidates, and image by image.

use burn::tensor::{DType, Int, Tensor, TensorData, backend::Backend};
use qare_host::computes_on_host;

use crate::contrast::{Contrast, RowLosses};
use crate::inspection::{finite_rows, gradients_in_range, in_range, numbers, overflow, row_label};
use crate::rounding::at_least_f32;

use crate::{NtXent, NtXentReduction, ObjectiveError, Similarity, SparseClr, Views};

/// A pairwise term, as far as it is the same for both.
trait RowByRow {
    const NAME: &'static str;

    fn similarity(&self) -> Similarity;

    /// # Errors
    /// When a number of the loss does not fit `dtype`.
    fn check(&self, dtype: DType) -> Result<(), ObjectiveError>;

    fn losses<B: Backend>(&self, contrast: Contrast<B>) -> RowLosses<B>;

    /// The mean of the losses of the rows that count, however this loss takes it: `[G, N]` and `[G, N]` → `[G]`.
    fn mean<B: Backend>(&self, losses: Tensor<B, 2>, counted: Tensor<B, 2>) -> Tensor<B, 1>;
}

impl RowByRow for NtXent {
    const NAME: &'static str = "NT-Xent's loss";

    fn similarity(&self) -> Similarity {
        self.similarity
    }

    fn check(&self, dtype: DType) -> Result<(), ObjectiveError> {
        self.check_temperature(dtype)
    }

    fn losses<B: Backend>(&self, contrast: Contrast<B>) -> RowLosses<B> {
        self.row_losses(contrast)
    }

    fn mean<B: Backend>(&self, losses: Tensor<B, 2>, counted: Tensor<B, 2>) -> Tensor<B, 1> {
        match self.reduction {
            NtXentReduction::MeanOfLogs => arithmetic_mean(losses, counted),
            // L_i = −log p_i, and −log of the mean of p_i relative to the largest.
            NtXentReduction::LogOfMean => {
                let [groups, _] = losses.dims();
                let least =
                    losses.clone().detach().mask_fill(counted.clone().equal_elem(0.0), f64::INFINITY).min_dim(1);
                let p = (losses.neg() + least.clone()).exp() * counted.clone();
                least.reshape([groups]) - arithmetic_mean(p, counted).log()
            }
        }
    }
}

impl RowByRow for SparseClr {
    const NAME: &'static str = "SparseCLR's loss";

    fn similarity(&self) -> Similarity {
        self.similarity
    }

    fn check(&self, _dtype: DType) -> Result<(), ObjectiveError> {
        Ok(())
    }

    fn losses<B: Backend>(&self, contrast: Contrast<B>) -> RowLosses<B> {
        self.row_losses(contrast)
    }

    fn mean<B: Backend>(&self, losses: Tensor<B, 2>, counted: Tensor<B, 2>) -> Tensor<B, 1> {
        arithmetic_mean(losses, counted)
    }
}

fn arithmetic_mean<B: Backend>(losses: Tensor<B, 2>, counted: Tensor<B, 2>) -> Tensor<B, 1> {
    let [groups, _] = losses.dims();
    (losses.sum_dim(1) / counted.sum_dim(1)).reshape([groups])
}

/// # Errors
/// When there is not one label for each row.
pub(crate) fn check_labels<B: Backend>(
    labels: &Tensor<B, 1, Int>,
    rows: usize,
    quantity: &'static str,
) -> Result<(), ObjectiveError> {
    match labels.dims() {
        [labels] if labels == rows => Ok(()),
        [labels] => Err(ObjectiveError::LabelCount { labels, rows, quantity }),
    }
}

/// # Errors
/// When rows and references are not of one dimension, or there are none.
pub(crate) fn check_references<B: Backend>(
    embeddings: &Tensor<B, 2>,
    references: &Tensor<B, 2>,
) -> Result<(), ObjectiveError> {
    let (shape @ [rows, dim], of_references @ [count, reference_dim]) = (embeddings.dims(), references.dims());
    match dim != reference_dim || rows == 0 || count == 0 {
        true => Err(ObjectiveError::UnlikeReferences { embeddings: shape, references: of_references }),
        false => Ok(()),
    }
}

/// # Errors
/// On a backend whose tensors are in the host's memory: when a row holds NaN or infinity, or is too short for its gradient.
fn inspect<L: RowByRow, B: Backend>(
    loss: &L,
    rows: &Tensor<B, 2>,
    label: impl Fn(usize) -> String,
) -> Result<(), ObjectiveError> {
    if !computes_on_host::<B>(&rows.device()) {
        return Ok(());
    }
    finite_rows(rows, &label)?;
    match loss.similarity() {
        Similarity::Cosine => gradients_in_range(rows, label),
        Similarity::FlooredCosine => Ok(()),
    }
}

/// One loss for each group of `size` rows: `[N]` → `[N / size]`.
///
/// # Errors
/// On a backend whose tensors are in the host's memory: when a loss is not a number, or no row of a group has a positive.
fn reduce<L: RowByRow, B: Backend>(loss: &L, rows: RowLosses<B>, size: usize) -> Result<Tensor<B, 1>, ObjectiveError> {
    let RowLosses { losses, counted, is_number } = rows;
    let dtype = losses.dtype();
    if !is_number {
        return Err(overflow(L::NAME, dtype));
    }
    let on_host = computes_on_host::<B>(&losses.device());
    let [count] = losses.dims();
    let [losses, counted] = [losses, counted].map(|of| of.reshape([count / size, size]));
    if on_host && numbers(counted.clone().sum_dim(1)).contains(&0.0) {
        return Err(ObjectiveError::NoPositives);
    }
    let reduced = loss.mean(losses, counted);
    if on_host {
        in_range(&reduced, L::NAME)?;
    }
    Ok(reduced)
}

fn image_losses<L: RowByRow, B: Backend>(
    loss: &L,
    embeddings: Tensor<B, 2>,
    views: Views,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let embeddings = at_least_f32(embeddings);
    let (device, [rows, _]) = (embeddings.device(), embeddings.dims());
    views.images(rows)?;
    loss.check(embeddings.dtype())?;
    inspect(loss, &embeddings, |row| row_label(row, views))?;
    let images: Vec<i64> = (0..rows).map(|row| (row / views.count()) as i64).collect();
    let images = Tensor::from_data(TensorData::new(images, [rows]), &device);
    let similarity = loss.similarity().within(embeddings.unsqueeze()).matrix.squeeze_dim(0);
    reduce(loss, loss.losses(Contrast::within(similarity, images)), views.count())
}

fn labelled<L: RowByRow, B: Backend>(
    loss: &L,
    embeddings: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let embeddings = at_least_f32(embeddings);
    let [rows, _] = embeddings.dims();
    check_labels(&labels, rows, "embeddings")?;
    if rows < 2 {
        return Err(ObjectiveError::NoPositives);
    }
    loss.check(embeddings.dtype())?;
    inspect(loss, &embeddings, |row| format!("row {row} of the embeddings (counted from 0)"))?;
    let similarity = loss.similarity().within(embeddings.unsqueeze()).matrix.squeeze_dim(0);
    reduce(loss, loss.losses(Contrast::within(similarity, labels)), rows)
}

fn referenced<L: RowByRow, B: Backend>(
    loss: &L,
    embeddings: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    references: Tensor<B, 2>,
    reference_labels: Tensor<B, 1, Int>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let [embeddings, references] = [embeddings, references].map(at_least_f32);
    check_references(&embeddings, &references)?;
    let ([rows, _], [count, _]) = (embeddings.dims(), references.dims());
    check_labels(&labels, rows, "embeddings")?;
    check_labels(&reference_labels, count, "reference embeddings")?;
    loss.check(embeddings.dtype())?;
    inspect(loss, &embeddings, |row| format!("row {row} of the embeddings (counted from 0)"))?;
    inspect(loss, &references, |row| format!("row {row} of the reference embeddings (counted from 0)"))?;
    let similarity = loss.similarity().between(embeddings, references);
    reduce(loss, loss.losses(Contrast::between(similarity, labels, reference_labels)), rows)
}

macro_rules! row_by_row {
    ($($loss:ident: $no_reduction:literal, $labels:literal;)*) => {$(
        impl $loss {
            /// The loss of each image `[B]`, given embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
            ///
            #[doc = $no_reduction]
            /// (Unlike in `forward`, a row is left out of its own sums however short it is.)
            ///
            /// # Errors
            /// As `forward`.
            pub fn forward_no_reduction<B: Backend>(
                &self,
                embeddings: Tensor<B, 2>,
                views: Views,
            ) -> Result<Tensor<B, 1>, ObjectiveError> {
                image_losses(self, embeddings, views)
            }

            /// The loss `[1]` of embeddings `[N, D]` with labels `[N]`: all other rows of a row's label are its positives P(i).
            ///
            #[doc = $labels]
            /// Rows without a positive serve as candidates of others, and have no loss of their own.
            ///
            /// # Errors
            /// When there is not one label for each row, no row has a positive, a row holds NaN or infinity, or the loss leaves
            /// the range of its type. On a GPU nothing is read back to find the last three: the loss is then NaN.
            pub fn forward_labels<B: Backend>(
                &self,
                embeddings: Tensor<B, 2>,
                labels: Tensor<B, 1, Int>,
            ) -> Result<Tensor<B, 1>, ObjectiveError> {
                labelled(self, embeddings, labels)
            }

            /// The loss `[1]` of embeddings `[N, D]` with labels `[N]`, whose candidates are reference embeddings `[M, D]` with
            /// labels `[M]` and not each other: a memory bank, a queue of earlier batches, or class prototypes.
            ///
            /// P(i) are the references of row i's label, and sums run over all references. Gradients flow into both; detach
            /// references that are to stay as they are. A row that is among the references is not left out.
            ///
            /// # Errors
            /// When the two are not of one dimension D, and as [`forward_labels`](Self::forward_labels).
            pub fn forward_references<B: Backend>(
                &self,
                embeddings: Tensor<B, 2>,
                labels: Tensor<B, 1, Int>,
                references: Tensor<B, 2>,
                reference_labels: Tensor<B, 1, Int>,
            ) -> Result<Tensor<B, 1>, ObjectiveError> {
                referenced(self, embeddings, labels, references, reference_labels)
            }
        }
    )*};
}

row_by_row! {
    NtXent:
        "With [`NtXentReduction::MeanOfLogs`], `forward` is their mean; with [`NtXentReduction::LogOfMean`], −log of the mean of exp(−L).",
        "With [`NtXentReduction::MeanOfLogs`] this is the supervised contrastive loss, L_out of Khosla et al., \"Supervised \
         Contrastive Learning\" (2020), eq. 2.";
    SparseClr:
        "`forward` is their mean.",
        "Each row's margin is taken off all its positives, whose mean is what the loss raises.";
}
