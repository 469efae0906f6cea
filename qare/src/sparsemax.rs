use std::cmp::Ordering;

use burn::tensor::{DType, Tensor, backend::Backend};
use qare_host::computes_on_host;

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
    /// Whether there was neither NaN nor +∞ nor a row of −∞ alone. On a GPU nothing asks, and this is true.
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
///
/// Where tensors are in the host's memory, the rounds end when every support stands still. On a GPU that question would make each round
/// wait for an answer, so there are as many rounds as rows of M entries can need; see [`sufficient_rounds`].
pub(crate) fn project<B: Backend>(z: Tensor<B, 2>) -> Projection<B> {
    #[cfg(feature = "cubecl")]
    if let Some(projection) = project_in_kernel(&z) {
        return projection;
    }
    let asks = computes_on_host::<B>(&z.device());
    project_asking(z, asks)
}

/// [`project`] of f32 in one kernel, on a backend that has it.
#[cfg(feature = "cubecl")]
fn project_in_kernel<B: Backend>(z: &Tensor<B, 2>) -> Option<Projection<B>> {
    use qare_cube::{Call, run_if_registered};
    use qare_host::{primitive, tensor};

    if z.dtype() != DType::F32 {
        return None;
    }
    let rounds = rounds_of_kernel(z.dims()[1]);
    let inputs = vec![primitive(z.clone().detach())];
    let outputs: [_; 2] = run_if_registered::<B>(Call::Sparsemax { rounds }, inputs)?.try_into().ok()?;
    let [probabilities, threshold] = outputs.map(tensor);
    Some(Projection { probabilities, threshold, is_number: true })
}

/// The rounds of a kernel for rows of so many entries.
#[cfg(feature = "cubecl")]
pub(crate) fn rounds_of_kernel(entries: usize) -> u32 {
    sufficient_rounds(entries, SLACK) as u32
}

/// [`project`], with or without the question whether the supports stand still.
pub(crate) fn project_asking<B: Backend>(z: Tensor<B, 2>, asks: bool) -> Projection<B> {
    let z = z.detach();
    let slack = if z.dtype() == DType::F64 { SLACK * 1e-6 } else { SLACK };
    let rounds = if asks { MOST_ROUNDS } else { sufficient_rounds(z.dims()[1], slack) };
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
    for round in 0..rounds {
        let step = (sum - 1.0) / count.clone();
        threshold = threshold + step.clone();
        // Once from z itself: far from the largest entry, what is left of z − max z has lost digits.
        above = if round == 0 { z.clone() - threshold.clone() } else { above - step.clone() };
        probabilities = above.clone().clamp_min(0.0);
        sum = sum_rows(probabilities.clone());
        let inside = sum_rows(indicator(above.clone()));
        let before = std::mem::replace(&mut count, inside);
        if !asks {
            continue;
        }
        let missing = (sum.clone() - 1.0).abs().sub_scalar(slack).clamp_min(0.0);
        // NaN in any row makes this NaN.
        let change = (before - count.clone()).abs() + missing + step * 0.0;
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

/// Rounds after which the probabilities of any row of `entries` miss 1 by at most `slack`.
///
/// With f = Σ_S (z − τ) − 1 and n = |S|, a round is a step of Newton's method on f, which is convex in τ: f' ≤ f·(1 − n'/n), so
/// f'/f + n'/n ≤ 1, and the product f·n falls to a quarter at most. It starts at M² at most and n ≥ 1, so f ≤ M²/4^R after R rounds.
/// One more round serves those rows whose support changes in the last one.
fn sufficient_rounds(entries: usize, slack: f64) -> usize {
    let start = (entries.max(1) as f64).powi(2);
    ((start / slack).log2() / 2.0).ceil() as usize + 1
}

/// 1 where x > 0, else 0.
fn indicator<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let dtype = x.dtype();
    x.greater_elem(0.0).float().cast(dtype)
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use burn_flex::Flex;

    use super::*;

    /// Rows of every kind, with all entries alike, one far above the others, or geometric gaps, which take Michelot's method longest.
    fn rows(entries: usize) -> Vec<Vec<f64>> {
        let mut state = 7u64;
        let mut uniform = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut rows = vec![vec![0.25; entries]];
        for spread in [1e-6, 1e-3, 0.1, 1.0, 30.0] {
            rows.push((0..entries).map(|_| spread * uniform()).collect());
        }
        for ratio in [0.5f64, 0.9, 0.99] {
            rows.push((0..entries).map(|at| ratio.powi(at as i32)).collect());
            rows.push((0..entries).map(|at| -ratio.powi(at as i32)).collect());
        }
        rows.push((0..entries).map(|at| if at == 0 { 5.0 } else { -1.0 }).collect());
        rows
    }

    /// The threshold by sorting, as Martins and Astudillo define it.
    fn sorted_threshold(row: &[f64]) -> f64 {
        let mut sorted = row.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut threshold) = (0.0, f64::NEG_INFINITY);
        for (at, value) in sorted.iter().enumerate() {
            sum += value;
            let candidate = (sum - 1.0) / (at + 1) as f64;
            if *value > candidate {
                threshold = candidate;
            }
        }
        threshold
    }

    #[test]
    fn the_rounds_of_a_gpu_suffice_without_asking() {
        for entries in [1, 2, 3, 17, 127, 511, 4000] {
            let rows = rows(entries);
            let data = TensorData::new(rows.concat(), [rows.len(), entries]);
            let z = Tensor::<Flex, 2>::from_data(data, (&Default::default(), DType::F64));
            let Projection { probabilities, threshold, .. } = project_asking(z.clone(), false);
            let sums = numbers(probabilities.sum_dim(1));
            for ((row, found), sum) in rows.iter().zip(numbers(threshold)).zip(sums) {
                let expected = sorted_threshold(row);
                assert!(
                    (found - expected).abs() <= 1e-10 && (sum - 1.0).abs() <= 1e-10,
                    "{entries}: {found}, {expected}"
                );
            }
            // In f32 the probabilities are those that the question leads to, up to rounding.
            let single = z.cast(DType::F32);
            let [with, without] = [true, false].map(|asks| numbers(project_asking(single.clone(), asks).probabilities));
            for (with, without) in with.iter().zip(without) {
                assert!((with - without).abs() <= 1e-6, "{entries}: {with}, {without}");
            }
        }
    }
}
