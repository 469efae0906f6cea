//! The pairs of a labelled batch, and what the losses over pairs are functions of.

use burn::tensor::{Bool, DType, Int, Tensor, TensorData, backend::Backend};
use qare_host::computes_on_host;

use crate::ObjectiveError;
use crate::contrast::same_label;
use crate::gradient::with_gradient;
use crate::host::LabelledRows;
use crate::inspection::{finite_rows, in_range};
use crate::labelled::{check_labels, check_references};
use crate::rounding::at_least_f32;
use crate::similarity::unit_embeddings;
use crate::term::{DistanceTerm, scalar};
use crate::views::diagonal;

use super::distances::Distances;

/// N rows, the candidates they are compared with, and the identities of both.
pub(super) struct Pairs<B: Backend> {
    /// Rows of length one `[N, D]`, on the graph.
    rows: Tensor<B, 2>,
    /// `[N]`.
    labels: Tensor<B, 1, Int>,
    /// Candidates of length one `[M, D]`, on the graph, with their labels `[M]`; none where they are the rows themselves.
    references: Option<(Tensor<B, 2>, Tensor<B, 1, Int>)>,
    guard: Guard<B>,
}

/// Which candidates are of a row's identity.
pub(super) struct Masks<B: Backend> {
    /// Pairs of one identity `[N, M]`. A row is no pair with itself.
    pub positives: Tensor<B, 2, Bool>,
    /// Pairs of two identities `[N, M]`.
    pub negatives: Tensor<B, 2, Bool>,
}

impl<B: Backend> Pairs<B> {
    /// Of rows `[N, D]` with labels `[N]` among themselves.
    ///
    /// # Errors
    /// When there is no row or not one label for each. On a backend whose tensors are in the host's memory: when a row holds NaN or
    /// infinity.
    pub fn within(embeddings: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Result<Self, ObjectiveError> {
        let (rows, guard) = guarded(embeddings, &labels, "embeddings")?;
        Ok(Self { rows: unit_rows(rows), labels, references: None, guard })
    }

    /// Of rows `[N, D]` with labels `[N]` and references `[M, D]` with labels `[M]`.
    ///
    /// # Errors
    /// When the two are not of one dimension, and as [`within`](Self::within).
    pub fn between(
        embeddings: Tensor<B, 2>,
        labels: Tensor<B, 1, Int>,
        references: Tensor<B, 2>,
        reference_labels: Tensor<B, 1, Int>,
    ) -> Result<Self, ObjectiveError> {
        check_references(&embeddings, &references)?;
        let (rows, of_rows) = guarded(embeddings, &labels, "embeddings")?;
        let (references, of_references) = guarded(references, &reference_labels, "reference embeddings")?;
        let references = Some((unit_rows(references), reference_labels));
        Ok(Self { rows: unit_rows(rows), labels, references, guard: of_rows.and(of_references) })
    }

    /// Which pairs are positives, and which negatives.
    pub fn masks(&self) -> Masks<B> {
        let of_candidates = self.references.as_ref().map_or(&self.labels, |(_, labels)| labels);
        let same = same_label(self.labels.clone(), of_candidates.clone());
        let negatives = same.clone().bool_not();
        let positives = match self.left_out() {
            Some(itself) => same.bool_and(itself.bool_not()),
            None => same,
        };
        Masks { positives, negatives }
    }

    /// The pairs as numbers, where the loops of the host do the work.
    pub fn on_host(&self) -> Option<LabelledRows> {
        let references = self.references.as_ref().map(|(rows, labels)| (rows, labels));
        LabelledRows::of((&self.rows, &self.labels), references)
    }

    /// Whether a gradient is wanted.
    pub fn differentiable(&self) -> bool {
        B::ad_enabled(&self.rows.device())
    }

    /// The value `[1]` of a term that [`on_host`](Self::on_host) has led to, with its gradients.
    pub fn attach(self, term: DistanceTerm) -> Tensor<B, 1> {
        let device = self.rows.device();
        let value = scalar(term.value, &device);
        let Some(gradient) = term.gradient else { return value };
        let on = |rows: Tensor<B, 2>, gradient: Vec<f32>, value: Tensor<B, 1>| {
            let gradient = Tensor::from_data(TensorData::new(gradient, rows.dims()), (&device, DType::F32));
            with_gradient(value, rows, gradient)
        };
        let zero = Tensor::zeros_like(&value);
        let of_rows = on(self.rows, gradient.rows, value);
        match self.references.zip(gradient.references) {
            Some(((references, _), gradient)) => of_rows + on(references, gradient, zero),
            None => of_rows,
        }
    }

    /// û_i·v̂_j `[N, M]`, on the graph.
    pub fn similarities(&self) -> Tensor<B, 2> {
        let candidates = self.references.as_ref().map_or(&self.rows, |(references, _)| references);
        self.rows.clone().matmul(candidates.clone().transpose())
    }

    /// ‖û_i − v̂_j‖ `[N, M]`.
    pub fn distances(&self) -> Distances<B> {
        Distances::of(self.rows.clone(), self.references.as_ref().map(|(references, _)| references.clone()))
    }

    /// `[N, M]` → 1 where `mask`, else 0, in the type of the rows.
    pub fn indicator(&self, mask: &Tensor<B, 2, Bool>) -> Tensor<B, 2> {
        mask.clone().float().cast(self.rows.dtype())
    }

    /// The pairs that are none, those of a row with itself.
    pub fn left_out(&self) -> Option<Tensor<B, 2, Bool>> {
        match self.references {
            Some(_) => None,
            None => Some(diagonal::<B>(self.rows.dims()[0], &self.rows.device())),
        }
    }

    /// Whether no row has a candidate.
    pub fn are_none(&self) -> bool {
        self.references.is_none() && self.rows.dims()[0] == 1
    }

    /// 0 `[1]`, on the graph: the loss of a batch without pairs.
    pub fn zero(self) -> Tensor<B, 1> {
        let gradient = Tensor::zeros_like(&self.rows);
        with_gradient(Tensor::zeros([1], (&self.rows.device(), self.rows.dtype())), self.rows, gradient)
    }

    /// What makes NaN of the `loss` of these pairs if they hold NaN.
    pub fn guard(&self) -> Guard<B> {
        self.guard.clone()
    }
}

/// Makes NaN of a loss whose input is not finite, where nothing is read back to find that out: 0, or NaN where the input holds NaN or
/// infinity `[1]`; none where that has been an error already.
#[derive(Clone)]
pub(super) struct Guard<B: Backend>(pub Option<Tensor<B, 1>>);

impl<B: Backend> Guard<B> {
    /// Of two inputs on one backend.
    pub fn and(self, other: Self) -> Self {
        Self(self.0.zip(other.0).map(|(one, other)| one + other))
    }

    /// # Errors
    /// On a backend whose tensors are in the host's memory: when the loss, called `name`, leaves the range of its type.
    pub fn checked(self, loss: Tensor<B, 1>, name: &str) -> Result<Tensor<B, 1>, ObjectiveError> {
        match self.0 {
            Some(poison) => Ok(loss * (poison + 1.0)),
            None => in_range(&loss, name).map(|()| loss),
        }
    }
}

/// Rows in f32 at least, with the guard of losses of them.
///
/// # Errors
/// As [`Pairs::within`].
pub(super) fn guarded<B: Backend>(
    rows: Tensor<B, 2>,
    labels: &Tensor<B, 1, Int>,
    quantity: &'static str,
) -> Result<(Tensor<B, 2>, Guard<B>), ObjectiveError> {
    let shape @ [count, dim] = rows.dims();
    if count == 0 || dim == 0 {
        return Err(ObjectiveError::NoRows { shape, quantity });
    }
    check_labels(labels, count, quantity)?;
    let rows = at_least_f32(rows);
    let on_host = computes_on_host::<B>(&rows.device());
    if on_host {
        finite_rows(&rows, |row| format!("row {row} of the {quantity} (counted from 0)"))?;
    }
    let poison = (!on_host).then(|| (rows.clone().detach() * 0.0).sum());
    Ok((rows, Guard(poison)))
}

/// ẑ = z / max(‖z‖, 1e-12) of each row `[N, D]`, on the graph.
pub(super) fn unit_rows<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    unit_embeddings(rows.unsqueeze()).squeeze_dim::<2>(0)
}

/// Σ of all entries `[1]`, row by row.
pub(super) fn total<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 1> {
    crate::summation::sum_rows(x).sum()
}

/// Σ x / max(count, 1): the mean, and 0 of nothing. Each `[1]`.
pub(super) fn mean_or_zero<B: Backend>(sum: Tensor<B, 1>, count: Tensor<B, 1>) -> Tensor<B, 1> {
    sum / count.clamp_min(1.0)
}

/// A loss that is a function of pairs.
pub(super) trait PairLoss {
    /// Its name in messages.
    const NAME: &'static str;

    /// The loss `[1]`, on the graph, of pairs of which there is one at least.
    ///
    /// # Errors
    /// When a number of the loss does not fit the type of the rows.
    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError>;
}

/// # Errors
/// As [`PairLoss::of_pairs`], and when the loss leaves the range of its type.
pub(super) fn evaluate<L: PairLoss, B: Backend>(loss: &L, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
    let guard = pairs.guard();
    let value = if pairs.are_none() { pairs.zero() } else { loss.of_pairs(pairs)? };
    guard.checked(value, L::NAME)
}

macro_rules! pair_losses {
    ($($loss:ty),* $(,)?) => {$(
        impl $loss {
            /// The loss `[1]` of embeddings `[N, D]` with labels `[N]`, in f32 also for embeddings of f16 and bf16. The gradient is of the
            /// type of the embeddings.
            ///
            /// # Errors
            /// When there is no row, or not one label for each; when a row holds NaN or infinity, or the loss leaves the range of its type.
            /// On a GPU nothing is read back to find the last two: the loss is then NaN or infinite.
            pub fn forward<B: Backend>(
                &self,
                embeddings: Tensor<B, 2>,
                labels: Tensor<B, 1, Int>,
            ) -> Result<Tensor<B, 1>, ObjectiveError> {
                evaluate(self, Pairs::within(embeddings, labels)?)
            }

            /// The loss `[1]` of embeddings `[N, D]` with labels `[N]` that are compared with references `[M, D]` with labels `[M]`, and not
            /// with each other: the other view set of a paired batch, a memory bank, or prototypes.
            ///
            /// Gradients flow into both; detach references that are to stay as they are. A row that is among the references is not left
            /// out.
            ///
            /// # Errors
            /// When the two are not of one dimension D, and as [`forward`](Self::forward).
            pub fn forward_references<B: Backend>(
                &self,
                embeddings: Tensor<B, 2>,
                labels: Tensor<B, 1, Int>,
                references: Tensor<B, 2>,
                reference_labels: Tensor<B, 1, Int>,
            ) -> Result<Tensor<B, 1>, ObjectiveError> {
                evaluate(self, Pairs::between(embeddings, labels, references, reference_labels)?)
            }
        }
    )*};
}

pair_losses! {
    super::TripletMargin,
    super::Contrastive,
    super::InfoNce,
    super::SupCon,
    super::NtLogistic,
    super::MultiSimilarity,
}

#[cfg(test)]
mod tests {
    use burn::backend::Autodiff;
    use burn_flex::Flex;

    use super::*;
    use crate::inspection::numbers;

    /// What backends of a GPU do, where nothing is read.
    #[test]
    fn a_guard_makes_nan_of_a_loss_and_its_gradient() {
        type B = Autodiff<Flex>;
        let device = Default::default();
        for poison in [0.0, f64::NAN] {
            let z = Tensor::<B, 1>::from_floats([2.0, 5.0], &device).require_grad();
            let guard = Guard(Some(Tensor::full([1], poison, &device)));
            let loss = guard.checked(z.clone().sum(), "a loss").unwrap();
            let found = [numbers(loss.clone()), numbers(z.grad(&loss.backward()).unwrap())].concat();
            assert!(
                if poison == 0.0 { found == [7.0, 1.0, 1.0] } else { found.iter().all(|x| x.is_nan()) },
                "{found:?}"
            );
        }
    }
}
