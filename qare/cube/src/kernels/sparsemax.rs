//! Sparsemax of rows.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cosine::similarity;
use super::cube_reduction::{largest_of_cube, sum_of_cube};
use super::pairs::{Pairs, is_positive};

/// Below every entry that counts.
const LEAST: f32 = -1.0e38;

/// The largest entry of a row, and the distance of the threshold τ from it.
#[derive(CubeType)]
pub struct Threshold {
    pub largest: f32,
    pub distance: f32,
}

/// An entry of a row. Given pairs, the rows are cosines, and the entry is that of SparseCLR: the similarity, less the margin if the
/// column is a positive of the row, and never in the support if it is the row itself.
#[cube]
pub fn entry(
    z: &Array<f32>,
    norms: &Array<f32>,
    row: usize,
    at: usize,
    entries: usize,
    pairs: &Pairs,
    #[comptime] of_pairs: bool,
) -> f32 {
    let mut value = z[row * entries + at];
    if of_pairs {
        value = similarity(value, norms[row], norms[at]);
        if at == row {
            value = f32::new(LEAST);
        } else if is_positive(row, at, pairs) {
            value -= pairs.parameter;
        }
    }
    value
}

/// The threshold of a row, found by all units of a cube.
///
/// From S = {z > max z − 1}, τ = (Σ_S z − 1)/|S| and S ← {z > τ}, for so many rounds (Michelot 1986). All is relative to the largest
/// entry, so that the sums lose no digits. Units of a cube wait for each other in each round, so their number is the same for all.
#[cube]
#[allow(clippy::too_many_arguments)]
pub fn threshold_of_row(
    z: &Array<f32>,
    norms: &Array<f32>,
    row: usize,
    entries: usize,
    pairs: &Pairs,
    #[comptime] of_pairs: bool,
    #[comptime] rounds: u32,
    #[comptime] threads: u32,
) -> Threshold {
    let step = threads as usize;
    let own = UNIT_POS_X as usize;
    let mut most = f32::new(LEAST);
    let mut at = own;
    while at < entries {
        let value = entry(z, norms, row, at, entries, pairs, of_pairs);
        if value > most {
            most = value;
        }
        at += step;
    }
    let largest = largest_of_cube(most, threads);

    let mut distance = f32::new(-1.0);
    for _ in 0..rounds {
        let mut sum = f32::new(0.0);
        let mut count = f32::new(0.0);
        at = own;
        while at < entries {
            let above = entry(z, norms, row, at, entries, pairs, of_pairs) - largest - distance;
            if above > f32::new(0.0) {
                sum += above;
                count += f32::new(1.0);
            }
            at += step;
        }
        sum = sum_of_cube(sum, threads);
        count = sum_of_cube(count, threads);
        distance += (sum - f32::new(1.0)) / count;
    }
    Threshold { largest, distance }
}

/// p_j = max(z_j − τ, 0)
#[cube]
pub fn probability(value: f32, of: &Threshold) -> f32 {
    let above = value - of.largest - of.distance;
    let mut probability = f32::new(0.0);
    if above > f32::new(0.0) {
        probability = above;
    }
    probability
}

/// Sparsemax of each row of `[N, M]`: p_j = max(z_j − τ, 0) with Σ p = 1, and τ `[N]`. One cube of `threads` units computes one row.
#[cube(launch)]
pub fn sparsemax_of_rows(
    z: &Array<f32>,
    probabilities: &mut Array<f32>,
    thresholds: &mut Array<f32>,
    entries: usize,
    pairs: &Pairs,
    #[comptime] rounds: u32,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= thresholds.len() {
        terminate!();
    }
    // There are no norms: they are not read.
    let threshold = threshold_of_row(z, z, row, entries, pairs, false, rounds, threads);
    let own = UNIT_POS_X as usize;
    let mut at = own;
    while at < entries {
        probabilities[row * entries + at] = probability(z[row * entries + at], &threshold);
        at += threads as usize;
    }
    if own == 0 {
        thresholds[row] = threshold.largest + threshold.distance;
    }
}
