//! Eigenvectors of a symmetric tridiagonal matrix by twisted factorisation, each made by itself: as many at a time as the
//! processor's vectors hold.
//!
//! T − λ is factored from the top, L D Lᵀ, and from the bottom, U D' Uᵀ. Where both meet, in the row k that leaves the
//! smallest |γ_k| = |D_k + D'_k − (T_kk − λ)|, the vector z with z_k = 1 and all other equations fulfilled has
//! (T − λ) z = γ_k e_k, and |γ_k| / |z| says how far z is from an eigenvector.
//!
//! Source: Dhillon and Parlett, "Multiple representations to compute orthogonal eigenvectors of symmetric tridiagonal
//! matrices" (2004), section 3; Parlett and Dhillon, "Fernando's solution to Wilkinson's problem" (1997).

use pulp::{Simd, WithSimd};

use crate::tridiagonal::{INTERLEAVED, SHIFTS, Tridiagonal, guarded, lanes, shift_vectors};

/// Entries of a vector below this are flushed to zero: their squares would be subnormal. It is more than the root of f32's least
/// normal number and far less than ε.
const FLUSHED: f32 = 1e-18;

/// How good a vector is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Quality {
    /// |(T − λ) z| of the unit vector.
    pub residual: f32,
    /// Norm of what |T| makes of the unit vector's magnitudes: times f32's ε, what rounding does to its eigenvalue.
    pub magnitude: f32,
}

impl Tridiagonal {
    /// For up to [`SHIFTS`] eigenvalues their unit eigenvectors, row by row `[n, SHIFTS]`.
    pub fn vectors(&self, eigenvalues: &[f32], vectors: &mut [f32]) -> Vec<Quality> {
        let mut qualities = vec![Quality::default(); eigenvalues.len()];
        pulp::Arch::new().dispatch(TwistedFactorization {
            matrix: self,
            eigenvalues,
            vectors,
            qualities: &mut qualities,
        });
        qualities
    }
}

struct TwistedFactorization<'a> {
    matrix: &'a Tridiagonal,
    eigenvalues: &'a [f32],
    vectors: &'a mut [f32],
    qualities: &'a mut [Quality],
}

/// Of a row i: the multiplier that gives z_i from z_{i+1}, and the one that gives it from z_{i−1} (before that is known, the
/// pivot D_i).
type Row<S> = [[<S as Simd>::f32s; 2]; INTERLEAVED];

impl WithSimd for TwistedFactorization<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { matrix, eigenvalues, vectors, qualities } = self;
        let width = S::F32_LANES * INTERLEAVED;
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let mut rows: Vec<Row<S>> = Vec::with_capacity(matrix.order());
        let parts = qualities.chunks_mut(width).zip(eigenvalues.chunks(width)).enumerate();
        for (part, (qualities, eigenvalues)) in parts {
            let shift = shift_vectors(simd, eigenvalues);
            factor_downwards(simd, matrix, &shift, &mut rows);
            let (gamma, twist) = factor_upwards(simd, matrix, &shift, &mut rows);
            let (squares, magnitudes) = solve(simd, matrix, &twist, &rows, &mut vectors[part * width..]);
            let mut inverse = [zero; INTERLEAVED];
            for (inverse, square) in inverse.iter_mut().zip(&squares) {
                *inverse = simd.div_f32s(one, simd.sqrt_f32s(*square));
            }
            for row in 0..matrix.order() {
                for (entry, inverse) in entries::<S>(&mut vectors[part * width..], row).iter_mut().zip(&inverse) {
                    *entry = simd.mul_f32s(*entry, *inverse);
                }
            }
            let numbers = lanes::<S>(&gamma).iter().zip(lanes::<S>(&magnitudes)).zip(lanes::<S>(&inverse));
            for (quality, ((gamma, magnitude), inverse)) in qualities.iter_mut().zip(numbers) {
                *quality = Quality { residual: gamma.abs() * inverse, magnitude: magnitude.sqrt() * inverse };
            }
        }
    }
}

/// L D Lᵀ = T − shift.
#[inline(always)]
fn factor_downwards<S: Simd>(simd: S, matrix: &Tridiagonal, shift: &[S::f32s; INTERLEAVED], rows: &mut Vec<Row<S>>) {
    rows.clear();
    let mut carry = [simd.splat_f32s(0.0); INTERLEAVED];
    for (d, e) in matrix.diagonal.iter().zip(&matrix.below) {
        let mut row = [[carry[0]; 2]; INTERLEAVED];
        let (d, e) = (simd.splat_f32s(*d), simd.splat_f32s(*e));
        for g in 0..INTERLEAVED {
            let pivot = guarded(simd, simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]), matrix.pivot_floor);
            let multiplier = simd.div_f32s(e, pivot);
            carry[g] = simd.mul_f32s(e, multiplier);
            row[g] = [multiplier, pivot];
        }
        rows.push(row);
    }
}

/// U D' Uᵀ = T − shift; the γ of the smallest magnitude, and the row it is in.
#[inline(always)]
fn factor_upwards<S: Simd>(
    simd: S,
    matrix: &Tridiagonal,
    shift: &[S::f32s; INTERLEAVED],
    rows: &mut [Row<S>],
) -> ([S::f32s; INTERLEAVED], [S::f32s; INTERLEAVED]) {
    let zero = simd.splat_f32s(0.0);
    let (mut carry, mut gamma, mut twist) = ([zero; INTERLEAVED], [zero; INTERLEAVED], [zero; INTERLEAVED]);
    let mut smallest = [simd.splat_f32s(f32::INFINITY); INTERLEAVED];
    for (i, row) in rows.iter_mut().enumerate().rev() {
        let e = simd.splat_f32s(if i == 0 { 0.0 } else { matrix.below[i - 1] });
        let (d, index) = (simd.splat_f32s(matrix.diagonal[i]), simd.splat_f32s(i as f32));
        for g in 0..INTERLEAVED {
            let here = simd.sub_f32s(row[g][1], carry[g]);
            let magnitude = simd.abs_f32s(here);
            let smaller = simd.less_than_f32s(magnitude, smallest[g]);
            smallest[g] = simd.select_f32s(smaller, magnitude, smallest[g]);
            gamma[g] = simd.select_f32s(smaller, here, gamma[g]);
            twist[g] = simd.select_f32s(smaller, index, twist[g]);
            let pivot = guarded(simd, simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]), matrix.pivot_floor);
            row[g][1] = simd.div_f32s(e, pivot);
            carry[g] = simd.mul_f32s(e, row[g][1]);
        }
    }
    (gamma, twist)
}

/// A row of vectors that lie row by row.
#[inline(always)]
fn entries<S: Simd>(vectors: &mut [f32], row: usize) -> &mut [S::f32s; INTERLEAVED] {
    let entries = S::as_mut_simd_f32s(&mut vectors[row * SHIFTS..][..S::F32_LANES * INTERLEAVED]).0;
    entries.try_into().expect("as many as there are groups")
}

/// z from the row of the twist up and down, into the first of the `vectors`: Σ z_i², and Σ_i (z_i Σ_j |T_ij|)².
#[inline(always)]
fn solve<S: Simd>(
    simd: S,
    matrix: &Tridiagonal,
    twist: &[S::f32s; INTERLEAVED],
    rows: &[Row<S>],
    vectors: &mut [f32],
) -> ([S::f32s; INTERLEAVED], [S::f32s; INTERLEAVED]) {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let (mut squares, mut magnitudes) = ([zero; INTERLEAVED], [zero; INTERLEAVED]);
    let mut z = [zero; INTERLEAVED];
    for (i, row) in rows.iter().enumerate().rev() {
        let (index, sum) = (simd.splat_f32s(i as f32), simd.splat_f32s(matrix.row_sums[i]));
        for g in 0..INTERLEAVED {
            // Zero below the twist, where it has not begun.
            let above = next(simd, row[g][0], z[g]);
            z[g] = simd.select_f32s(simd.equal_f32s(index, twist[g]), one, above);
            squares[g] = simd.mul_add_e_f32s(z[g], z[g], squares[g]);
            magnitudes[g] = add_square(simd, z[g], sum, magnitudes[g]);
        }
        *entries::<S>(vectors, i) = z;
    }
    let mut z = [zero; INTERLEAVED];
    for (i, row) in rows.iter().enumerate() {
        let (index, sum) = (simd.splat_f32s(i as f32), simd.splat_f32s(matrix.row_sums[i]));
        let entries = entries::<S>(vectors, i);
        for g in 0..INTERLEAVED {
            let below = next(simd, row[g][1], z[g]);
            squares[g] = simd.mul_add_e_f32s(below, below, squares[g]);
            magnitudes[g] = add_square(simd, below, sum, magnitudes[g]);
            entries[g] = simd.select_f32s(simd.less_than_f32s(twist[g], index), below, entries[g]);
            z[g] = simd.select_f32s(simd.equal_f32s(index, twist[g]), one, below);
        }
    }
    (squares, magnitudes)
}

/// −multiplier · z, or 0 where that is too little.
#[inline(always)]
fn next<S: Simd>(simd: S, multiplier: S::f32s, z: S::f32s) -> S::f32s {
    let next = simd.mul_f32s(simd.neg_f32s(multiplier), z);
    let faint = simd.less_than_f32s(simd.abs_f32s(next), simd.splat_f32s(FLUSHED));
    simd.select_f32s(faint, simd.splat_f32s(0.0), next)
}

/// sum + (z · factor)².
#[inline(always)]
fn add_square<S: Simd>(simd: S, z: S::f32s, factor: S::f32s, sum: S::f32s) -> S::f32s {
    let scaled = simd.mul_f32s(z, factor);
    simd.mul_add_e_f32s(scaled, scaled, sum)
}

#[cfg(test)]
mod tests {
    use faer::Side;

    use super::*;
    use crate::simd::in_all_widths;
    use crate::tridiagonal::tests::{dense, random};

    /// Checks the vectors that vectors of this length make at the eigenvalues of a random matrix.
    fn assert_eigenvectors<S: Simd>(simd: S, size: usize) {
        let matrix = random(size, size as u64);
        let expected = dense(&matrix).self_adjoint_eigen(Side::Lower).unwrap();
        let values: Vec<f64> = expected.S().column_vector().iter().copied().collect();
        let eigenvalues: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let mut vectors = vec![0.0; size * SHIFTS];
        let mut qualities = vec![Quality::default(); size];
        simd.vectorize(TwistedFactorization {
            matrix: &matrix,
            eigenvalues: &eigenvalues,
            vectors: &mut vectors,
            qualities: &mut qualities,
        });
        for (rank, quality) in qualities.iter().enumerate() {
            let case = format!("{} numbers at a time, {size} rows, {rank}", S::F32_LANES);
            let gap = (0..size).filter(|i| *i != rank).map(|i| (values[i] - values[rank]).abs()).fold(1.0, f64::min);
            let column = expected.U().col(rank);
            let along: f64 = (0..size).map(|i| column[i] * f64::from(vectors[i * SHIFTS + rank])).sum();
            let error: f64 = (0..size)
                .map(|i| (column[i] * along.signum() - f64::from(vectors[i * SHIFTS + rank])).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(error < 1e-6 / gap, "{case}: off by {error:.1e}, with the next at {gap:.1e}");
            // What is said of it bounds that.
            let bound = f64::from(quality.residual + f32::EPSILON * quality.magnitude) / gap;
            assert!(error < 2.0 * bound + 1e-6, "{case}: off by {error:.1e}, said to be {bound:.1e}");
        }
    }

    #[test]
    fn vectors_at_eigenvalues_are_eigenvectors_in_all_widths() {
        for size in [1, 2, 3, 15, 16, 17, 31, 33, 63, 64] {
            in_all_widths!(assert_eigenvectors(size));
        }
    }
}
