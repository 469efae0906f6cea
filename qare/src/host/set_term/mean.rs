//! m(S) = 1ᵀ S 1 / B of a view set, in the place of a norm.

use super::super::pairwise::{sum, unless_floored};
use super::super::vectorized::vectorized;
use super::Sets;
use super::floored::{FLOOR, map_blocks, product, raised};
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
    let blocks = map_blocks(sets, set, |first, block| {
        let total = vectorized(
            #[inline(always)]
            || {
                let mut total = 0.0;
                for (i, row) in block.chunks_exact_mut(sets.images).enumerate() {
                    total += sum(row, raised);
                    row.iter_mut().for_each(|s| *s = unless_floored(1.0, *s, FLOOR));
                    row[first + i] = 0.0;
                }
                total
            },
        );
        (total, product(sets, set, block, differentiate))
    });
    let images = sets.images as f64;
    let m = images + blocks.iter().map(|(total, _)| total).sum::<f64>() / images;
    let mut product: Vec<f32> = blocks.into_iter().flat_map(|(_, product)| product).collect();
    product.iter_mut().for_each(|x| *x *= (m / images) as f32);
    Set { square: m * m, product }
}
