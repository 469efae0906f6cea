//! m(S) = 1ᵀ S 1 / B of a view set, in the place of a norm.

use super::super::pairwise::{sum, unless_floored};
use super::Sets;
use super::floored::{FLOOR, raised, weighed};
use super::norms::Set;

/// S = 1 + s: B + ‖Σ ẑ‖² / B.
pub(super) fn mean(sets: &Sets, set: usize, differentiate: bool) -> Set {
    let mut sums = vec![0.0f64; sets.rows.dim];
    for row in sets.rows_of(set) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    let images = sets.images as f64;
    let m = images + sums.iter().map(|sum| sum * sum).sum::<f64>() / images;
    // ∂m/∂ẑ = 2 Σ ẑ / B, and a product stands for 2 product / m.
    let row: Vec<f32> = sums.iter().map(|sum| (sum * m / images) as f32).collect();
    Set { square: m * m, product: if differentiate { row.repeat(sets.images) } else { Vec::new() } }
}

/// S = 1 + max(s, floor).
pub(super) fn floored(sets: &Sets, set: usize, differentiate: bool) -> Set {
    let (total, mut product) = weighed(
        sets,
        set,
        differentiate,
        #[inline(always)]
        |i, row| {
            let total = sum(row, raised);
            row.iter_mut().for_each(|s| *s = unless_floored(1.0, *s, FLOOR));
            row[i] = 0.0;
            total
        },
    );
    let images = sets.images as f64;
    let m = images + total / images;
    product.iter_mut().for_each(|x| *x *= (m / images) as f32);
    Set { square: m * m, product }
}
