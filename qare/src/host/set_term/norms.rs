//! The mean of ‖A_k‖_F ‖A_l‖_F / (B(B−1)) over all pairs of view sets.

use rayon::prelude::*;

use super::super::vectorized::vectorized;
use super::super::{Term, pairwise};
use super::Sets;

/// What the term needs of the matrix A `[B, B]` of a view set.
pub(super) struct Set {
    /// ‖A‖_F².
    pub square: f64,
    /// Row by row, what ∂(½‖A‖²)/∂Ẑ is if each s_ij counts once, not twice: A Ẑ `[B, D]`, without the entries of A that are constants.
    /// Empty if no gradient is wanted.
    pub product: Vec<f32>,
}

/// The term, given what makes one set, from its index and whether a gradient is wanted.
pub(super) fn term(sets: &Sets, differentiate: bool, make: impl Fn(&Sets, usize, bool) -> Set + Sync) -> Term {
    let made: Vec<Set> = (0..sets.count).into_par_iter().map(|set| make(sets, set, differentiate)).collect();
    let norms: Vec<f64> = made.iter().map(|set| set.square.sqrt()).collect();
    let NormPairing { value, slopes } = NormPairing::new(&norms, sets.images);
    let gradient = differentiate.then(|| {
        sets.gathered(|set, rows| {
            // ∂‖A‖/∂ẑ = 2 A Ẑ / ‖A‖, as A depends on each row twice; 0 where A = 0.
            let scale = if norms[set] > 0.0 { (2.0 * slopes[set] / norms[set]) as f32 } else { 0.0 };
            for (row, product) in rows.zip(made[set].product.chunks_exact(sets.rows.dim)) {
                row.iter_mut().zip(product).for_each(|(g, x)| *g = x * scale);
            }
        })
    });
    Term { value, gradient }
}

/// What the norms of K sets of B images come to.
pub(in super::super) struct NormPairing {
    /// The mean of ‖A_k‖ ‖A_l‖ / (B(B−1)) over all pairs of sets.
    pub value: f64,
    /// p_k such that ∂value/∂A_k = p_k A_k / ‖A_k‖.
    pub slopes: Vec<f64>,
}

impl NormPairing {
    /// Of ‖A_k‖ of each set.
    pub fn new(norms: &[f64], images: usize) -> Self {
        let sets = norms.len();
        let pairs = (sets * (sets - 1) / 2) as f64;
        let scale = 1.0 / (pairs * images as f64 * (images - 1) as f64);
        let others = |set: usize| norms.iter().enumerate().filter(move |(other, _)| *other != set);
        let slopes: Vec<f64> = (0..sets).map(|set| scale * others(set).map(|(_, norm)| norm).sum::<f64>()).collect();
        // Σ_k ‖A_k‖ p_k counts every unordered pair twice.
        Self { value: norms.iter().zip(&slopes).map(|(norm, slope)| norm * slope).sum::<f64>() / 2.0, slopes }
    }
}

/// Σ x² of numbers whose squares are in range.
pub(super) fn sum_of_squares(numbers: &[f32]) -> f64 {
    vectorized(
        #[inline(always)]
        || pairwise::sum(numbers, |x| x * x),
    )
}
