use std::cmp::Ordering;

use burn::tensor::{DType, Tensor, backend::Backend};

use crate::inspection::numbers;
use crate::rounding::at_least_f32;
use crate::summation::sum_rows;

/// Rounds after which a projection is taken as it is. Each one takes at least one entry from the support, and the distance of the
/// entries it takes from the threshold falls by as many times as there are entries left: a few tens of rounds use up all digits.
const MOST_ROUNDS: usize = 100;

/// By how much the probabilities of a row may miss 1 for another round: less than rounding makes of a thousand of them.
const SLACK: f64 = 5e-5;

/// Rows whose largest entry is further from zero than this are projected less that entry, which takes no digit from the entries
/// that count, those within 1 of it. The threshold of the row as it is would round to the largest entry, and leave no support.
const NEAR: f64 = 16.0;

/// What sparsemax makes of rows `[N, M]`, off the graph.
pub(crate) struct Projection<B: Backend> {
    /// p_j = max(z_j − τ, 0) `[N, M]`.
    pub probabilities: Tensor<B, 2>,
    /// τ `[N, 1]`.
    pub threshold: Tensor<B, 2>,
    /// Whether there was neither NaN nor +∞ nor a row of −∞ alone.
    pub is_number: bool,
}

/// The support of sparsemax of each row: 1 where sparsemax(z) > 0, else 0. `[N, M]` → `[N, M]`.
///
/// Found without sorting, by Michelot's fixed point: from S = {z > max z − 1}, repeat τ = (Σ_S z − 1)/|S|,
/// S ← {z > τ} until S stands still, which it does exactly and in a few rounds. (The probabilities sum to one,
/// so nothing at max z − 1 or below is ever in the support.) What is summed is z less the largest entry of the row, and then
/// z − τ: the sums lose no digits in rows of a few hundred thousand entries that are all but equal.
/// Entries of −∞ are never in the support. Constant with respect to `z`.
///
/// Source: Michelot, "A finite algorithm for finding the projection of a point onto the canonical simplex of Rⁿ" (1986);
/// Martins and Astudillo, "From Softmax to Sparsemax" (2016).
pub fn sparsemax_support<B: Backend>(z: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = z.dtype();
    let Projection { probabilities, .. } = project(at_least_f32(z));
    indicator(probabilities).cast(dtype)
}

/// sparsemax(z) = argmin over the simplex of ‖p − z‖²: p_j = max(z_j − τ, 0). `[N, M]` → `[N, M]`, rows summing to 1. Computed in f32 at least.
///
/// Source: Martins and Astudillo, "From Softmax to Sparsemax" (2016), eq. 2.
pub fn sparsemax<B: Backend>(z: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = z.dtype();
    let z = at_least_f32(z);
    let Projection { probabilities, .. } = project(z.clone());
    if !B::ad_enabled(&z.device()) {
        return probabilities.cast(dtype);
    }
    // dp_j = dz_j − mean over the support of dz, for j in the support.
    let support = indicator(probabilities.clone());
    let inside = z.mask_fill(support.clone().equal_elem(0.0), 0.0);
    let change = inside.clone() - inside.detach();
    let mean = change.clone().sum_dim(1) / support.clone().sum_dim(1);
    (probabilities + (change - support * mean)).cast(dtype)
}

/// Sparsemax of each row.
pub(crate) fn project<B: Backend>(z: Tensor<B, 2>) -> Projection<B> {
    let z = z.detach();
    let slack = if z.dtype() == DType::F64 { SLACK * 1e-6 } else { SLACK };
    let largest = z.clone().max_dim(1);
    let level = largest.clone().mask_fill(largest.clone().abs().lower_equal_elem(NEAR), 0.0);
    let (z, largest) = (z - level.clone(), largest - level.clone());
    let mut above = z.clone() - largest.clone(); // z − τ, so far with the largest entry for τ
    let mut threshold = largest;
    let outside = above.clone().lower_equal_elem(-1.0);
    let mut sum = sum_rows(above.clone().mask_fill(outside.clone(), 0.0)); // Σ_S (z − τ): [N, 1]
    let mut count = sum_rows(outside.bool_not().float().cast(above.dtype()));
    let mut probabilities = above.clone();
    let mut is_number = true;
    for round in 0..MOST_ROUNDS {
        let step = (sum - 1.0) / count.clone();
        threshold = threshold + step.clone();
        // Once from z itself: far from the largest entry, what is left of z − max z has lost digits.
        above = if round == 0 { z.clone() - threshold.clone() } else { above - step.clone() };
        probabilities = above.clone().clamp_min(0.0);
        sum = sum_rows(probabilities.clone());
        let inside = sum_rows(indicator(above.clone()));
        let missing = (sum.clone() - 1.0).abs().sub_scalar(slack).clamp_min(0.0);
        // NaN in any row makes this NaN.
        let change = (count - inside.clone()).abs() + missing + step * 0.0;
        count = inside;
        match numbers(change.sum())[0].partial_cmp(&0.0) {
            Some(Ordering::Greater) => (),
            Some(_) => break,
            None => {
                is_number = false;
                break;
            }
        }
    }
    Projection { probabilities, threshold: threshold + level, is_number }
}

/// 1 where x > 0, else 0.
fn indicator<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = x.dtype();
    x.greater_elem(0.0).float().cast(dtype)
}
