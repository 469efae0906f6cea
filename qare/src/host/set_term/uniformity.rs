//! log of the mean of exp(−2 ‖ẑ_i − ẑ_j‖²) over the pairs of a view set.

use super::super::Term;
use super::super::exponential::exp;
use super::super::pairwise::{sum, unless_floored};
use super::Sets;
use super::floored::weighed;

/// The mean over the view sets, of similarities that are cut off at `floor`, which may be −∞.
///
/// ‖ẑ_i − ẑ_j‖² = 2 − 2 s_ij, and s ≤ 1.
pub(super) fn term(sets: &Sets, floor: f32, differentiate: bool) -> Term {
    let made: Vec<(f64, Vec<f32>)> = (0..sets.count).map(|set| exponentials(sets, set, floor, differentiate)).collect();
    let pairs = (sets.images * (sets.images - 1)) as f64;
    let value = made.iter().map(|(sum, _)| (sum / pairs).ln()).sum::<f64>() / sets.count as f64;
    let gradient = differentiate.then(|| {
        sets.gathered(|set, rows| {
            let (sum, product) = &made[set];
            // Each similarity is in the sum twice.
            let scale = (8.0 / (sets.count as f64 * sum)) as f32;
            for (row, product) in rows.zip(product.chunks_exact(sets.rows.dim)) {
                row.iter_mut().zip(product).for_each(|(g, x)| *g = x * scale);
            }
        })
    });
    Term { value, gradient }
}

/// Σ e_ij over i ≠ j, with e = exp(4(s − 1)), and E Ẑ `[B, D]` without the entries that are constants.
fn exponentials(sets: &Sets, set: usize, floor: f32, differentiate: bool) -> (f64, Vec<f32>) {
    weighed(
        sets,
        set,
        differentiate,
        #[inline(always)]
        |i, row| {
            // Of itself there is no pair.
            row[i] = f32::NEG_INFINITY;
            let of = |s: f32| {
                if s == f32::NEG_INFINITY { 0.0 } else { exp(4.0 * (if s < floor { floor } else { s } - 1.0)) }
            };
            let total = sum(row, of);
            row.iter_mut().for_each(|s| *s = unless_floored(of(*s), *s, floor));
            total
        },
    )
}
