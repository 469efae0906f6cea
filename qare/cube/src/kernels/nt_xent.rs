//! NT-Xent of rows.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cosine::similarity;
use super::cube_reduction::{largest_of_cube, sum_of_cube};
use super::pairs::{Pairs, is_positive};
use super::sparsemax::LEAST;

/// Rounding of a sum, relative to its terms.
const NOISE: f32 = 8.0 * f32::EPSILON;

/// For N rows with these cosines and norms: log Σ_P p `[N]`, NaN where the denominator d is not above rounding; the mean of log p over
/// positives less that `[N]`; and t ∂L_i/∂s_ij `[N, N]` of L_i = −log Σ_P p, or of L_i = −mean of log p. Positives P are the other views,
///
/// p_j = e_j / d,  e_j = exp(s_j/t),  d = Σ_j e_j − exp(1/t) over all columns.
///
/// A row leaves itself and exp(1/t) out, unless it is so short that s_ii < 1. All exponentials are relative to the largest of the row.
/// One cube of `threads` units computes one row.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub fn nt_xent_of_rows(
    cosines: &Array<f32>,
    norms: &Array<f32>,
    log_sums: &mut Array<f32>,
    excesses: &mut Array<f32>,
    gradients: &mut Array<f32>,
    rows: usize,
    pairs: &Pairs,
    #[comptime] mean_of_logs: bool,
    #[comptime] floored: bool,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let temperature = pairs.parameter;
    let unit = UNIT_POS_X as usize;
    let first = row * rows;

    // Similarities, exponentials and derivatives lie in one place after each other: each unit reads only what it has written.
    let mut most = f32::new(LEAST);
    let mut at = unit;
    while at < rows {
        let value = similarity(cosines[first + at], norms[row], norms[at], floored);
        gradients[first + at] = value;
        if at != row && value > most {
            most = value;
        }
        at += threads as usize;
    }
    let largest = largest_of_cube(most, threads);

    let mut sum = f32::new(0.0);
    at = unit;
    while at < rows {
        let exponential = f32::exp((gradients[first + at] - largest) / temperature);
        gradients[first + at] = exponential;
        if !is_positive(row, at, pairs) {
            sum += exponential;
        }
        at += threads as usize;
    }
    sum = sum_of_cube(sum, threads);
    let mut itself = f32::new(0.0);
    let mut full = f32::new(0.0);
    let own = similarity(f32::new(1.0), norms[row], norms[row], floored);
    if own < f32::new(1.0) {
        itself = f32::exp((own - largest) / temperature);
        full = f32::exp((f32::new(1.0) - largest) / temperature);
    }
    sum += itself;

    // The positives are few: each unit computes their sums by itself.
    let image = row / pairs.views * pairs.views;
    let mut top = f32::new(LEAST);
    let mut present = f32::new(0.0);
    let mut exponents = f32::new(0.0);
    for view in 0..pairs.views {
        if image + view != row {
            let other = image + view;
            let exponent =
                (similarity(cosines[first + other], norms[row], norms[other], floored) - largest) / temperature;
            present += f32::exp(exponent);
            exponents += exponent;
            if exponent > top {
                top = exponent;
            }
        }
    }
    let mut total = f32::new(0.0);
    for view in 0..pairs.views {
        if image + view != row {
            let other = image + view;
            let exponent =
                (similarity(cosines[first + other], norms[row], norms[other], floored) - largest) / temperature;
            total += f32::exp(exponent - top);
        }
    }
    let share = f32::new(1.0) / f32::cast_from(pairs.views - 1);
    let others = sum - full;
    let denominator = others + present;
    let log_total = top + f32::ln(total);

    at = unit;
    while at < rows {
        let mut gradient = gradients[first + at];
        if at == row {
            gradient = itself;
        } else if is_positive(row, at, pairs) {
            if mean_of_logs {
                gradient = (gradient - present * share) - others * share;
            } else {
                let exponent =
                    (similarity(cosines[first + at], norms[row], norms[at], floored) - largest) / temperature;
                gradient = f32::new(0.0) - f32::exp(exponent - top) / total * others;
            }
        }
        gradients[first + at] = gradient / denominator;
        at += threads as usize;
    }
    if unit == 0 {
        // By log1p where the positives are nearly all there is.
        let mut log_sum = log_total - f32::ln(denominator);
        if others < present {
            log_sum = f32::new(0.0) - f32::log1p(others / present);
        }
        if denominator <= (sum + full) * f32::new(NOISE) {
            // NaN, which not every language of kernels can write.
            log_sum = f32::sqrt(f32::new(-1.0) - present);
        }
        log_sums[row] = log_sum;
        excesses[row] = exponents * share - log_total;
    }
}

/// What the rows of [`nt_xent_of_rows`] make together: the loss `[1]`, and α_i/t `[N]`, by which the derivatives of a row are multiplied.
///
/// L = −log(mean over i and P of p), α_i = Σ_P p_i / Σ_i Σ_P p_i; or L = −mean over i and P of log p, α_i = 1/N. Where the loss is no
/// number, neither is α. One cube of `threads` units computes all.
#[cube(launch)]
pub fn nt_xent_of_all(
    log_sums: &Array<f32>,
    excesses: &Array<f32>,
    loss: &mut Array<f32>,
    weights: &mut Array<f32>,
    rows: usize,
    pairs: &Pairs,
    #[comptime] mean_of_logs: bool,
    #[comptime] threads: u32,
) {
    let unit = UNIT_POS_X as usize;
    let count = f32::cast_from(rows);
    let mut most = f32::new(LEAST);
    let mut at = unit;
    while at < rows {
        if log_sums[at] > most {
            most = log_sums[at];
        }
        at += threads as usize;
    }
    let largest = largest_of_cube(most, threads);

    let mut sum = f32::new(0.0);
    at = unit;
    while at < rows {
        if mean_of_logs {
            sum += log_sums[at] + excesses[at];
        } else {
            sum += f32::exp(log_sums[at] - largest);
        }
        at += threads as usize;
    }
    sum = sum_of_cube(sum, threads);

    let mut value = f32::new(0.0) - sum / count;
    if !mean_of_logs {
        value = f32::ln(f32::cast_from(pairs.views - 1)) - (f32::ln(sum / count) + largest);
    }
    if unit == 0 {
        loss[0] = value;
    }
    at = unit;
    while at < rows {
        let mut weight = f32::new(1.0) / count;
        if !mean_of_logs {
            weight = f32::exp(log_sums[at] - largest) / sum;
        }
        weights[at] = (weight + value * f32::new(0.0)) / pairs.parameter;
        at += threads as usize;
    }
}
