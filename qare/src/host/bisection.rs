//! Eigenvalues of a symmetric tridiagonal matrix, each found by itself: as many at a time as the machine's vectors hold.
//!
//! Counts of eigenvalues below a shift (Sturm) part the line until every eigenvalue has an interval to itself; in each sweep
//! the shifts lie where the counts so far let the eigenvalues be expected. Within its interval an eigenvalue is found by
//! iterations of Rayleigh's quotient, which triple its digits, and by halving where they lead outside.
//!
//! Source: Barth, Martin, Wilkinson, "Calculation of the eigenvalues of a symmetric tridiagonal matrix by the method of
//! bisection" (1967); Parlett, "The Symmetric Eigenvalue Problem", sections 3.3 and 4.6.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::twisted::{BLOCK, GROUPS, Matrix, guarded, lanes, shifts_of};

/// Sweeps after which it is given up.
const MOST_SWEEPS: usize = 200;

/// An interval that holds an eigenvalue.
#[derive(Clone, Copy, PartialEq)]
struct Interval {
    low: f32,
    high: f32,
}

impl Interval {
    fn width(&self) -> f32 {
        self.high - self.low
    }

    /// The point this part of the way from its lower end to the upper.
    fn point(&self, part: f32) -> f32 {
        self.low + self.width() * part
    }
}

/// All eigenvalues in ascending order, or none if an iteration did not end.
pub(super) fn eigenvalues(matrix: &Matrix) -> Option<Vec<f32>> {
    let size = matrix.size();
    let (low, high, mean) = matrix.bounds();
    // Nothing is known of an eigenvalue beyond this.
    let tolerance = 2.0 * f32::EPSILON * mean;
    let mut intervals = vec![Interval { low, high }; size];
    isolate(matrix, tolerance, &mut intervals)?;

    let mut values: Vec<f32> = intervals.iter().map(|interval| interval.point(0.5)).collect();
    let mut active: Vec<usize> = (0..size).filter(|i| intervals[*i].width() > tolerance).collect();
    for sweep in 1..=MOST_SWEEPS {
        if active.is_empty() {
            return Some(values);
        }
        let shifts: Vec<f32> = active.iter().map(|i| values[*i]).collect();
        let steps = matrix.steps(&shifts);
        let before = values.clone();
        let mut still = Vec::with_capacity(active.len());
        for (i, step) in active.into_iter().zip(steps) {
            let interval = &mut intervals[i];
            match step.below > i {
                true => interval.high = interval.high.min(before[i]),
                false => interval.low = interval.low.max(before[i]),
            }
            let target = before[i] + step.length;
            let inside = target > interval.low && target < interval.high;
            let lower = if i == 0 { f32::INFINITY } else { before[i] - before[i - 1] };
            let upper = if i + 1 == size { f32::INFINITY } else { before[i + 1] - before[i] };
            // What a step leaves of an error is about its square, over the distance of the next eigenvalue.
            let noise = f32::EPSILON * step.magnitude;
            let done = step.length.abs() <= noise
                || inside && step.length * step.length <= 0.25 * noise * lower.min(upper)
                || interval.width() <= tolerance;
            values[i] = match inside && (done || sweep % 8 != 0) {
                true => target,
                false if done => target.clamp(interval.low, interval.high),
                false => interval.point(0.5),
            };
            if !done {
                still.push(i);
            }
        }
        active = still;
    }
    None
}

/// Narrows the intervals until no two of them have more than an end in common, or what they have is no wider than can be told apart.
fn isolate(matrix: &Matrix, tolerance: f32, intervals: &mut [Interval]) -> Option<()> {
    let size = intervals.len();
    for _ in 0..MOST_SWEEPS {
        let mut shifts = Vec::new();
        let mut first = 0;
        while first < size {
            let interval = intervals[first];
            let same = intervals[first..].iter().take_while(|other| **other == interval).count();
            let alone = same == 1
                && (first == 0 || intervals[first - 1].high <= interval.low)
                && (first + 1 == size || interval.high <= intervals[first + 1].low);
            let least = tolerance + 2.0 * f32::EPSILON * interval.low.abs().max(interval.high.abs());
            if !alone && interval.width() > least {
                shifts.extend((0..same).map(|rank| interval.point((rank as f32 + 0.5) / same as f32)));
            }
            first += same;
        }
        if shifts.is_empty() {
            return Some(());
        }
        for (shift, below) in shifts.iter().zip(counts(matrix, &shifts)) {
            if below > 0 {
                intervals[below - 1].high = intervals[below - 1].high.min(*shift);
            }
            if below < size {
                intervals[below].low = intervals[below].low.max(*shift);
            }
        }
        for i in 1..size {
            intervals[i].low = intervals[i].low.max(intervals[i - 1].low);
        }
        for i in (1..size).rev() {
            intervals[i - 1].high = intervals[i - 1].high.min(intervals[i].high);
        }
    }
    None
}

/// How many eigenvalues are below each shift.
fn counts(matrix: &Matrix, shifts: &[f32]) -> Vec<usize> {
    let mut counts = vec![0; shifts.len()];
    let arch = pulp::Arch::new();
    counts.par_chunks_mut(BLOCK).zip(shifts.par_chunks(BLOCK)).for_each(|(counts, shifts)| {
        arch.dispatch(Count { matrix, shifts, counts });
    });
    counts
}

struct Count<'a> {
    matrix: &'a Matrix,
    shifts: &'a [f32],
    counts: &'a mut [usize],
}

impl WithSimd for Count<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = S::F32_LANES * GROUPS;
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        for (counts, shifts) in self.counts.chunks_mut(width).zip(self.shifts.chunks(width)) {
            let shift = shifts_of(simd, shifts);
            let (mut carry, mut below) = ([zero; GROUPS], [zero; GROUPS]);
            for (d, e) in self.matrix.diagonal.iter().zip(&self.matrix.below) {
                let (d, square) = (simd.splat_f32s(*d), simd.splat_f32s(e * e));
                for g in 0..GROUPS {
                    let pivot = simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]);
                    let pivot = guarded(simd, pivot, self.matrix.least);
                    let negative = simd.less_than_f32s(pivot, zero);
                    below[g] = simd.add_f32s(below[g], simd.select_f32s(negative, one, zero));
                    carry[g] = simd.div_f32s(square, pivot);
                }
            }
            for (count, below) in counts.iter_mut().zip(lanes::<S>(&below)) {
                *count = *below as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::twisted::tests::{awkward, dense, random};
    use super::*;

    #[test]
    fn eigenvalues_are_those_of_dense_matrices_in_f64() {
        let random =
            [1, 2, 3, 15, 17, 64, 65, 100, 300].map(|size| (format!("random {size}"), random(size, size as u64)));
        for (case, matrix) in random.into_iter().chain(awkward()) {
            let values = eigenvalues(&matrix).unwrap_or_else(|| panic!("{case}: no end"));
            let expected = dense(&matrix).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
            let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            assert_eq!(values.len(), expected.len(), "{case}");
            assert!(values.is_sorted_by(|a, b| b - a >= -1e-6 * largest as f32), "{case}: {values:?} are not in order");
            for (value, expected) in values.iter().zip(expected) {
                let error = (f64::from(*value) - expected).abs();
                assert!(error <= 1e-6 * largest, "{case}: {value}, expected {expected}");
            }
        }
    }
}
