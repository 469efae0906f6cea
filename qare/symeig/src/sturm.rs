//! Sturm counts: how many eigenvalues of T are below a shift σ, and Σ_j 1/(λ_j − σ).
//!
//! The pivots q_i = T_ii − σ − T_{i,i−1}²/q_{i−1} of T − σ are as often negative as there are eigenvalues below σ. With their
//! derivatives, u_i = −dq_i/dσ = 1 + (T_{i,i−1}/q_{i−1})² u_{i−1}, the sum is Σ_i u_i/q_i.
//!
//! Source: Barth, Martin, Wilkinson, "Calculation of the eigenvalues of a symmetric tridiagonal matrix by the method of
//! bisection" (1967).

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::tridiagonal::{INTERLEAVED, SHIFTS, Tridiagonal, guarded, lanes, shift_vectors};

/// What is known at a shift.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    pub at: f32,
    /// Σ_j 1/(λ_j − at), NaN where it is not known.
    pub sum: f32,
    /// ε·Σ|terms| of that sum: the unit of its rounding error.
    pub rounding: f32,
}

/// How many eigenvalues are below each shift, and the sum there.
pub(crate) fn sturm_counts(matrix: &Tridiagonal, shifts: &[f32]) -> Vec<(usize, Point)> {
    let mut points = vec![(0, Point { at: 0.0, sum: 0.0, rounding: 0.0 }); shifts.len()];
    let arch = pulp::Arch::new();
    points.par_chunks_mut(SHIFTS).zip(shifts.par_chunks(SHIFTS)).for_each(|(points, shifts)| {
        arch.dispatch(SturmSequence { matrix, shifts, points });
    });
    points
}

struct SturmSequence<'a> {
    matrix: &'a Tridiagonal,
    shifts: &'a [f32],
    points: &'a mut [(usize, Point)],
}

impl WithSimd for SturmSequence<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = S::F32_LANES * INTERLEAVED;
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        for (points, shifts) in self.points.chunks_mut(width).zip(self.shifts.chunks(width)) {
            let shift = shift_vectors(simd, shifts);
            let (mut carry, mut slope) = ([zero; INTERLEAVED], [one; INTERLEAVED]);
            let (mut below, mut sum, mut magnitude) = ([zero; INTERLEAVED], [zero; INTERLEAVED], [zero; INTERLEAVED]);
            for (d, e) in self.matrix.diagonal.iter().zip(&self.matrix.below) {
                let (d, square) = (simd.splat_f32s(*d), simd.splat_f32s(e * e));
                for g in 0..INTERLEAVED {
                    let pivot = simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]);
                    let pivot = guarded(simd, pivot, self.matrix.pivot_floor);
                    let negative = simd.less_than_f32s(pivot, zero);
                    below[g] = simd.add_f32s(below[g], simd.select_f32s(negative, one, zero));
                    let inverse = simd.div_f32s(one, pivot);
                    let part = simd.mul_f32s(slope[g], inverse);
                    sum[g] = simd.add_f32s(sum[g], part);
                    magnitude[g] = simd.add_f32s(magnitude[g], simd.abs_f32s(part));
                    carry[g] = simd.mul_f32s(square, inverse);
                    slope[g] = simd.mul_add_e_f32s(carry[g], part, one);
                }
            }
            let numbers = lanes::<S>(&below).iter().zip(lanes::<S>(&sum)).zip(lanes::<S>(&magnitude));
            for ((point, at), ((below, sum), magnitude)) in points.iter_mut().zip(shifts).zip(numbers) {
                *point = (*below as usize, Point { at: *at, sum: *sum, rounding: f32::EPSILON * magnitude });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::in_all_widths;
    use crate::tridiagonal::tests::{dense, random};

    /// Checks what is found at points between the eigenvalues of a random matrix, more than fit a task, and what other
    /// eigenvalues have in the sums there.
    fn assert_points<S: Simd>(simd: S) {
        let matrix = random(83, 5);
        let values = dense(&matrix).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        let shifts: Vec<f32> = values.windows(2).map(|pair| (0.3 * pair[0] + 0.7 * pair[1]) as f32).collect();
        let unknown = Point { at: 0.0, sum: 0.0, rounding: 0.0 };
        let mut points = vec![(0, unknown); shifts.len()];
        simd.vectorize(SturmSequence { matrix: &matrix, shifts: &shifts, points: &mut points });
        let part = |value: &f64, at: f32| 1.0 / (value - f64::from(at));
        for (rank, ((below, point), shift)) in points.iter().zip(&shifts).enumerate() {
            let gap = values[rank + 1] - values[rank];
            let case = format!("{} numbers at a time, point {rank}", S::F32_LANES);
            assert_eq!((*below, point.at), (rank + 1, *shift), "{case}");
            let expected: f64 = values.iter().map(|value| part(value, *shift)).sum();
            let error = (f64::from(point.sum) - expected).abs();
            // The least that rounding does is to move eigenvalues by 1e-7.
            assert!(error < 1e-5 / (gap * gap) + 1e-3, "{case}: {}, expected {expected}", point.sum);
        }
    }

    #[test]
    fn points_are_right_in_all_widths() {
        in_all_widths!(assert_points());
    }
}
