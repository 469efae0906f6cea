//! Sparsemax of rows.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cube_reduction::{largest_of_cube, sum_of_cube};

/// Below every entry that counts.
pub(super) const LEAST: f32 = -1.0e38;

/// The largest entry of a row, and the distance of the threshold τ from it.
#[derive(CubeType)]
pub struct Threshold {
    pub largest: f32,
    pub distance: f32,
}

/// The threshold of a row, found by all units of a cube. Each unit reads the entries at its own position and every `threads` from there.
///
/// From S = {z > max z − 1}, τ = (Σ_S z − 1)/|S| and S ← {z > τ}, for so many rounds (Michelot 1986). All is relative to the largest
/// entry, so that the sums lose no digits. Units of a cube wait for each other in each round, so their number is the same for all.
#[cube]
pub fn threshold_of_row(
    z: &Array<f32>,
    row: usize,
    entries: usize,
    #[comptime] rounds: u32,
    #[comptime] threads: u32,
) -> Threshold {
    let first = row * entries;
    let step = threads as usize;
    let own = UNIT_POS_X as usize;
    let mut most = f32::new(LEAST);
    let mut at = own;
    while at < entries {
        let value = z[first + at];
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
            let above = z[first + at] - largest - distance;
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
    #[comptime] rounds: u32,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= thresholds.len() {
        terminate!();
    }
    let threshold = threshold_of_row(z, row, entries, rounds, threads);
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
