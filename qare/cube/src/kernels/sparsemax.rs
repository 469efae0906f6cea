//! Sparsemax of rows.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cube_reduction::{largest_of_cube, sum_of_cube};

/// Sparsemax of each row of `[N, M]`: p_j = max(z_j − τ, 0) with Σ p = 1, and τ `[N]`. One cube of `threads` units computes one row.
///
/// From S = {z > max z − 1}, τ = (Σ_S z − 1)/|S| and S ← {z > τ}, for so many rounds (Michelot 1986). All is relative to the largest
/// entry, so that the sums lose no digits. Units of a cube wait for each other in each round, so their number is the same for all.
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
    let first = row * entries;
    let step = threads as usize;
    let own = UNIT_POS_X as usize;

    let mut most = f32::new(-1.0e38);
    let mut at = own;
    while at < entries {
        let value = z[first + at];
        if value > most {
            most = value;
        }
        at += step;
    }
    let largest = largest_of_cube(most, threads);

    let mut threshold = f32::new(-1.0);
    for _ in 0..rounds {
        let mut sum = f32::new(0.0);
        let mut count = f32::new(0.0);
        at = own;
        while at < entries {
            let above = z[first + at] - largest - threshold;
            if above > f32::new(0.0) {
                sum += above;
                count += f32::new(1.0);
            }
            at += step;
        }
        sum = sum_of_cube(sum, threads);
        count = sum_of_cube(count, threads);
        threshold += (sum - f32::new(1.0)) / count;
    }

    at = own;
    while at < entries {
        let above = z[first + at] - largest - threshold;
        let mut probability = f32::new(0.0);
        if above > f32::new(0.0) {
            probability = above;
        }
        probabilities[first + at] = probability;
        at += step;
    }
    if own == 0 {
        thresholds[row] = largest + threshold;
    }
}
