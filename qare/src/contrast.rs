//! The pairwise terms of each row by itself, for pairs that need not be views of a batch.

use burn::tensor::{Bool, Int, Tensor, backend::Backend};

use crate::sparsemax::{Projection, project};
use crate::summation::sum_rows;
use crate::views::diagonal;
use crate::{NtXent, NtXentReduction, SparseClr};

/// The similarities of N rows with M candidates, and what each pair is.
pub(crate) struct Contrast<B: Backend> {
    /// s `[N, M]`, on the graph.
    pub similarity: Tensor<B, 2>,
    /// Which candidates a row is drawn to `[N, M]`.
    pub positives: Tensor<B, 2, Bool>,
    /// The pairs that do not count, those of a row with itself `[N, M]`; none if no row is a candidate.
    pub left_out: Option<Tensor<B, 2, Bool>>,
}

/// The losses of N rows.
pub(crate) struct RowLosses<B: Backend> {
    /// `[N]`; 0 for a row without a positive.
    pub losses: Tensor<B, 1>,
    /// 1 for a row with a positive, else 0 `[N]`.
    pub counted: Tensor<B, 1>,
    /// Whether all losses and similarities are numbers, as far as that is known without reading anything back.
    pub is_number: bool,
}

impl<B: Backend> Contrast<B> {
    /// Of N rows among themselves; pairs of one label are positives.
    pub fn within(similarity: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Self {
        let rows = similarity.dims()[0];
        let itself = diagonal::<B>(rows, &similarity.device());
        let positives = same_label(labels.clone(), labels).bool_and(itself.clone().bool_not());
        Self { similarity, positives, left_out: Some(itself) }
    }

    /// Of rows with others; pairs of one label are positives.
    pub fn between(similarity: Tensor<B, 2>, labels: Tensor<B, 1, Int>, of_others: Tensor<B, 1, Int>) -> Self {
        Self { similarity, positives: same_label(labels, of_others), left_out: None }
    }

    /// `x`, with `value` where a pair does not count.
    fn masked(&self, x: Tensor<B, 2>, value: f64) -> Tensor<B, 2> {
        match &self.left_out {
            Some(left_out) => x.mask_fill(left_out.clone(), value),
            None => x,
        }
    }

    /// 1 for each positive, else 0 `[N, M]`, and their number in each row `[N, 1]`.
    fn indicator(&self) -> (Tensor<B, 2>, Tensor<B, 2>) {
        let positives = self.positives.clone().float().cast(self.similarity.dtype());
        let count = sum_rows(positives.clone());
        (positives, count)
    }

    /// The losses whose values and derivatives ∂L_i/∂s_ij are these; of rows with positives.
    fn losses(
        self,
        values: Tensor<B, 2>,
        gradient: Tensor<B, 2>,
        count: Tensor<B, 2>,
        is_number: bool,
    ) -> RowLosses<B> {
        let [rows, _] = values.dims();
        let none = count.clone().equal_elem(0.0);
        let values = values.mask_fill(none.clone(), 0.0);
        let gradient = gradient.mask_fill(none.clone().expand(self.similarity.dims()), 0.0);
        let change = self.similarity.clone() - self.similarity.detach();
        let losses = (values + (change * gradient).sum_dim(1)).reshape([rows]);
        RowLosses { losses, counted: Tensor::ones_like(&count).mask_fill(none, 0.0).reshape([rows]), is_number }
    }
}

/// Which rows and columns are of one label: `[N]` and `[M]` → `[N, M]`.
pub(crate) fn same_label<B: Backend>(rows: Tensor<B, 1, Int>, columns: Tensor<B, 1, Int>) -> Tensor<B, 2, Bool> {
    let ([height], [width]) = (rows.dims(), columns.dims());
    let rows = rows.reshape([height, 1]).expand([height, width]);
    rows.equal(columns.reshape([1, width]).expand([height, width]))
}

impl NtXent {
    /// L_i of each row: minus the mean of log p_ip over its positives, or minus the log of their mean.
    pub(crate) fn row_losses<B: Backend>(&self, contrast: Contrast<B>) -> RowLosses<B> {
        let t = self.temperature;
        let (positives, count) = contrast.indicator();
        let others_only = contrast.positives.clone().bool_not();
        let share = count.clone().clamp_min(1.0).recip(); // 1/P: [N, 1]
        let logits = contrast.masked(contrast.similarity.clone().detach(), f64::NEG_INFINITY);
        // Relative to the largest of a row, and the positives also to the largest of them: at a low temperature neither
        // overflow nor 0/0.
        let largest = logits.clone().max_dim(1);
        let exponents = (logits - largest) / t;
        let exponentials = exponents.clone().exp();
        let present = sum_rows(exponentials.clone() * positives.clone());
        let others = sum_rows(exponentials.clone().mask_fill(contrast.positives.clone(), 0.0));
        let denominator = others.clone() + present.clone();
        let of_positives = exponents.clone().mask_fill(others_only.clone(), f64::NEG_INFINITY);
        let top = of_positives.clone().max_dim(1).clamp_min(f64::from(f32::MIN)); // Finite also where there is none.
        let relative = (of_positives - top.clone()).exp();
        let total = sum_rows(relative.clone());
        let log_total = top + total.clone().log();
        // log Σ_P p: by log1p where the positives are nearly all there is.
        let missing = (others.clone() / present.clone()).log1p().neg();
        let log_sum =
            (log_total.clone() - denominator.clone().log()).mask_where(others.clone().lower(present.clone()), missing);
        // ∂L/∂s_ij = (p_ij − q_ij) / t, where q_ij = 0 unless j is a positive, and there without the cancellation.
        let (values, at_positives) = match self.reduction {
            NtXentReduction::LogOfMean => {
                // q = e / Σ_P e.
                let values = (log_sum + share.log()).neg();
                (values, (relative / total).neg() * (others / denominator.clone()))
            }
            NtXentReduction::MeanOfLogs => {
                // q = 1 / P.
                let mean = sum_rows(exponents.mask_fill(others_only, 0.0)) * share.clone();
                let values = (log_sum + (mean - log_total)).neg();
                let uneven = exponentials.clone() - present * share.clone();
                (values, (uneven - others * share) / denominator.clone())
            }
        };
        let gradient = (exponentials / denominator).mask_where(contrast.positives.clone(), at_positives) / t;
        contrast.losses(values, gradient, count, true)
    }
}

impl SparseClr {
    /// L_i of each row, as [`SparseClr`] defines it.
    pub(crate) fn row_losses<B: Backend>(&self, contrast: Contrast<B>) -> RowLosses<B> {
        let (positives, count) = contrast.indicator();
        let share = positives.clone() / count.clone().clamp_min(1.0);
        let shifted = contrast.similarity.clone().detach() - positives * self.margin;
        let positive = sum_rows(shifted.clone() * share.clone());
        let Projection { probabilities, threshold, is_number } = project(contrast.masked(shifted, f64::NEG_INFINITY));
        // ½ Σ (n² − τ²) over the support = ½ Σ p² + τ, for Σ p = 1.
        let values = sum_rows(probabilities.clone() * probabilities.clone()) * 0.5 + threshold - positive + 0.5;
        contrast.losses(values, probabilities - share, count, is_number)
    }
}
