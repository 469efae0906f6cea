//! The product of the Frobenius norms of view sets.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cosine::{NORM_FLOOR, is_above_floor, similarity};
use super::cube_reduction::sum_of_cube;

/// For rows in sets of B = `width` with these cosines `[N, B]` and norms `[N]`, and S_ij = 1 + max(ẑ_i·ẑ_j, 1e-8): Σ_j S_ij² `[N]`, and S_ij
/// `[N, B]`, 0 where it has no gradient: at the floor, and for a row with itself unless it is short. One cube of `threads` units computes
/// one row.
#[cube(launch)]
pub fn squares_of_rows(
    cosines: &Array<f32>,
    norms: &Array<f32>,
    sums: &mut Array<f32>,
    gradients: &mut Array<f32>,
    rows: usize,
    width: usize,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let own = UNIT_POS_X as usize;
    let set = row / width * width;
    let norm = norms[row];
    let mut sum = f32::new(0.0);
    let mut at = own;
    while at < width {
        let other = norms[set + at];
        let mut cosine = cosines[row * width + at];
        let itself = set + at == row;
        if itself && norm > f32::new(0.0) {
            // Not what rounding made of it.
            cosine = f32::new(1.0);
        }
        let entry = similarity(cosine, norm, other, true) + f32::new(1.0);
        sum += entry * entry;
        let mut gradient = f32::new(0.0);
        if is_above_floor(cosine, norm, other) && !(itself && norm >= f32::new(NORM_FLOOR)) {
            gradient = entry;
        }
        gradients[row * width + at] = gradient;
        at += threads as usize;
    }
    sum = sum_of_cube(sum, threads);
    if own == 0 {
        sums[row] = sum;
    }
}

/// From Σ_j S_ij² `[N]` of the rows of K = `sets` sets of B, with N_k = ‖S_k‖_F and P = K(K−1)/2 pairs:
///
/// q = Σ_{k<l} N_k N_l / (P B(B−1)) `[1]`,  ∂q/∂S_k = w_k S_k with w_k = Σ_{l≠k} N_l / (N_k P B(B−1)) for each row `[N]`.
///
/// One cube of `threads` units computes all.
#[cube(launch)]
pub fn frobenius_of_sets(
    sums: &Array<f32>,
    value: &mut Array<f32>,
    weights: &mut Array<f32>,
    rows: usize,
    sets: usize,
    #[comptime] threads: u32,
) {
    let own = UNIT_POS_X as usize;
    let width = rows / sets;
    let mut total = f32::new(0.0);
    let mut products = f32::new(0.0);
    for set in 0..sets {
        let mut squares = f32::new(0.0);
        let mut at = own;
        while at < width {
            squares += sums[set * width + at];
            at += threads as usize;
        }
        let norm = f32::sqrt(sum_of_cube(squares, threads));
        products += total * norm;
        total += norm;
        // The norm, until the sum of all is known: each unit reads only what it has written.
        at = own;
        while at < width {
            weights[set * width + at] = norm;
            at += threads as usize;
        }
    }
    let images = f32::cast_from(width);
    let views = f32::cast_from(sets);
    let scale = f32::new(2.0) / (views * (views - f32::new(1.0)) * images * (images - f32::new(1.0)));
    if own == 0 {
        value[0] = products * scale;
    }
    for set in 0..sets {
        let mut at = own;
        while at < width {
            let norm = weights[set * width + at];
            // S is 1 at least, so no norm is 0.
            weights[set * width + at] = (total - norm) / norm * scale;
            at += threads as usize;
        }
    }
}
