//! Cosine similarity of rows, s_ij = z_i·z_j / max(‖z_i‖‖z_j‖, 1e-8), or floored, max(ẑ_i·ẑ_j, 1e-8) with ẑ = z / max(‖z‖, 1e-12), and
//! their gradients.
//!
//! With n = ‖z‖ and c_ij the cosine of two rows, s_ij = c_ij · min(n_i n_j / 1e-8, 1), or max(c_ij a_i a_j, 1e-8) with
//! a = min(n / 1e-12, 1).

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cube_reduction::{largest_of_cube, sum_of_cube};

/// The least product of norms, and the least similarity.
const FLOOR: f32 = 1.0e-8;
/// The least norm of floored similarities.
pub const NORM_FLOOR: f32 = 1.0e-12;

/// s_ij from c_ij and the norms of the two rows.
#[cube]
pub fn similarity(cosine: f32, one: f32, other: f32, #[comptime] floored: bool) -> f32 {
    let mut similarity = cosine;
    if floored {
        similarity = cosine * share(one) * share(other);
        if similarity < f32::new(FLOOR) {
            similarity = f32::new(FLOOR);
        }
    } else {
        let product = one * other;
        if product < f32::new(FLOOR) {
            similarity = cosine * (product / f32::new(FLOOR));
        }
    }
    similarity
}

/// a = min(n / 1e-12, 1), the length of ẑ.
#[cube]
fn share(norm: f32) -> f32 {
    let mut share = f32::new(1.0);
    if norm < f32::new(NORM_FLOOR) {
        share = norm / f32::new(NORM_FLOOR);
    }
    share
}

/// Whether a floored similarity changes with the cosine.
#[cube]
pub fn is_above_floor(cosine: f32, one: f32, other: f32) -> bool {
    cosine * share(one) * share(other) > f32::new(FLOOR)
}

/// Rows `[N, D]` divided by their norms, and the norms `[N]`. A zero row stays zero. The norm is computed from the row divided by its
/// largest entry, so that no square leaves the range of f32. One cube of `threads` units computes one row.
#[cube(launch)]
pub fn unit_rows(
    rows: &Array<f32>,
    units: &mut Array<f32>,
    norms: &mut Array<f32>,
    count: usize,
    width: usize,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= count {
        terminate!();
    }
    let first = row * width;
    let own = UNIT_POS_X as usize;
    let mut most = f32::new(0.0);
    let mut at = own;
    while at < width {
        let size = f32::abs(rows[first + at]);
        if size > most {
            most = size;
        }
        at += threads as usize;
    }
    most = largest_of_cube(most, threads);
    let mut divisor = most;
    if most == f32::new(0.0) {
        divisor = f32::new(1.0);
    }
    let mut squares = f32::new(0.0);
    at = own;
    while at < width {
        let scaled = rows[first + at] / divisor;
        squares += scaled * scaled;
        at += threads as usize;
    }
    let mut length = f32::sqrt(sum_of_cube(squares, threads));
    if own == 0 {
        norms[row] = length * most;
    }
    if most == f32::new(0.0) {
        length = f32::new(1.0);
    }
    at = own;
    while at < width {
        units[first + at] = rows[first + at] / divisor / length;
        at += threads as usize;
    }
}

/// From the derivatives G_ij = ∂L/∂s_ij/w_i `[N, B]` of sets of B = `width` rows, the factors M `[N, B]` and R `[N]` of the gradient
/// M u − R u at z, with u the unit rows and H_ij = w_i G_ij + w_j G_ji:
///
/// M_ij = H_ij min(n_j/1e-8, 1/n_i),  R_i = Σ_j H_ij c_ij / n_i over j with n_i n_j ≥ 1e-8.
///
/// A pair below the floor has s_ij = z_i·z_j/1e-8, with no radial part to take off. `floored`:
///
/// M_ij = H_ij a_j / max(n_i, 1e-12),  R_i = Σ_j H_ij a_j c_ij / n_i if n_i ≥ 1e-12, else 0, over j with c_ij a_i a_j > 1e-8.
///
/// Without `weighted`, all w are 1. One cube of `threads` units computes one row.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub fn cosine_gradient(
    cosines: &Array<f32>,
    norms: &Array<f32>,
    derivatives: &Array<f32>,
    weights: &Array<f32>,
    factors: &mut Array<f32>,
    radial: &mut Array<f32>,
    rows: usize,
    width: usize,
    #[comptime] weighted: bool,
    #[comptime] floored: bool,
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
        let cosine = cosines[row * width + at];
        let other = norms[set + at];
        let mut change = derivatives[row * width + at];
        let mut mirrored = derivatives[(set + at) * width + (row - set)];
        if weighted {
            change *= weights[row];
            mirrored *= weights[set + at];
        }
        change += mirrored;
        let mut factor = f32::new(1.0) / norm;
        if floored {
            if norm < f32::new(NORM_FLOOR) {
                factor = f32::new(1.0) / f32::new(NORM_FLOOR);
            }
            factor *= share(other);
            if !is_above_floor(cosine, norm, other) {
                factor = f32::new(0.0);
            } else if norm >= f32::new(NORM_FLOOR) {
                sum += change * share(other) * cosine;
            }
        } else if norm * other < f32::new(FLOOR) {
            factor = other / f32::new(FLOOR);
        } else {
            sum += change * cosine;
        }
        factors[row * width + at] = change * factor;
        at += threads as usize;
    }
    sum = sum_of_cube(sum, threads);
    if own == 0 {
        let mut along = f32::new(0.0);
        if sum != f32::new(0.0) {
            along = sum / norm;
        }
        radial[row] = along;
    }
}
