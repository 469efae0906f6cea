//! SparseCLR of rows.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cosine::similarity;
use super::cube_reduction::sum_of_cube;
use super::pairs::{Pairs, is_positive};
use super::sparsemax::{LEAST, probability, threshold_of_row};

/// The losses of N rows with these cosines and norms, ½ Σ_j p_j² + τ + ½ − mean of z over positives `[N]`, and the derivatives of their
/// mean, (p_j − 1/(K − 1))/N for positives and p_j/N for others `[N, N]`. Here p and τ are sparsemax and threshold of the row of
/// similarities z, with the margin taken off the positives, and without the row itself. One cube of `threads` units computes one row.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub fn sparse_clr_of_rows(
    cosines: &Array<f32>,
    norms: &Array<f32>,
    losses: &mut Array<f32>,
    gradients: &mut Array<f32>,
    rows: usize,
    pairs: &Pairs,
    #[comptime] rounds: u32,
    #[comptime] floored: bool,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let share = f32::new(1.0) / f32::cast_from(pairs.views - 1);
    let own = UNIT_POS_X as usize;
    let first = row * rows;
    // The entries of the row lie where the derivatives are to be: each unit reads only those that it has written.
    let mut at = own;
    while at < rows {
        let mut z = f32::new(LEAST);
        if at != row {
            z = similarity(cosines[first + at], norms[row], norms[at], floored);
            if is_positive(row, at, pairs) {
                z -= pairs.parameter;
            }
        }
        gradients[first + at] = z;
        at += threads as usize;
    }
    let threshold = threshold_of_row(gradients, row, rows, rounds, threads);
    let mut squares = f32::new(0.0);
    let mut positives = f32::new(0.0);
    at = own;
    while at < rows {
        let z = gradients[first + at];
        let p = probability(z, &threshold);
        squares += p * p;
        let mut gradient = p;
        if at != row && is_positive(row, at, pairs) {
            positives += z;
            gradient -= share;
        }
        gradients[first + at] = gradient / f32::cast_from(rows);
        at += threads as usize;
    }
    squares = sum_of_cube(squares, threads);
    positives = sum_of_cube(positives, threads);
    if own == 0 {
        let tau = threshold.largest + threshold.distance;
        losses[row] = f32::new(0.5) * squares + (tau - positives * share) + f32::new(0.5);
    }
}
