//! Eigenvalues of a symmetric tridiagonal matrix, all at once: as many at a time as the machine's vectors hold.
//!
//! At a shift σ the pivots q_i = T_ii − σ − T_{i,i−1}² / q_{i−1} tell how many eigenvalues are below it (Sturm: as many as
//! there are negative ones), which parts the line until every eigenvalue has an interval to itself. With their
//! derivatives, u_i = −dq_i/dσ = 1 + (T_{i,i−1} / q_{i−1})² u_{i−1}, they also tell Σ_j 1 / (λ_j − σ) = Σ_i u_i / q_i. Less
//! what the other eigenvalues, as far as known, have in that sum, it is 1 / (λ − σ) of the one that is looked for.
//!
//! Source: Barth, Martin, Wilkinson, "Calculation of the eigenvalues of a symmetric tridiagonal matrix by the method of
//! bisection" (1967); Bini, Gemignani, Tisseur, "The Ehrlich-Aberth method for the nonsymmetric tridiagonal eigenvalue
//! problem" (2005).

use std::f32::consts::PI;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::twisted::{BLOCK, GROUPS, Matrix, guarded, lanes, shifts_of};

/// Sweeps after which it is given up.
const MOST_SWEEPS: usize = 200;
/// From this sweep on, an interval is halved every so often, however promising a step from its ends looks.
const PATIENCE: usize = 8;
const HALVED_EVERY: usize = 4;
/// How much a sum is doubted: by this times what rounding may have done to it.
const CAUTION: f32 = 16.0;
/// How certain a step has to be for its eigenvalue to be settled.
const CERTAIN: f32 = 2.0;
/// Eigenvalues that from afar are as good as this many at their mean.
const GROUP: usize = 8;

/// What is known at a shift.
#[derive(Clone, Copy)]
struct Point {
    at: f32,
    /// Σ_j 1 / (λ_j − at), or no number where it is not known.
    sum: f32,
    /// How far off that may be.
    doubt: f32,
}

/// An interval that holds an eigenvalue.
#[derive(Clone, Copy)]
struct Interval {
    low: Point,
    high: Point,
}

impl Interval {
    fn width(&self) -> f32 {
        self.high.at - self.low.at
    }

    /// The point this part of the way from its lower end to the upper.
    fn point(&self, part: f32) -> f32 {
        self.low.at + self.width() * part
    }

    /// Where its eigenvalue may be expected if it has no other: by the sums at its ends, were there none elsewhere.
    fn expected(&self) -> f32 {
        let (low, high) = (self.low.sum, -self.high.sum);
        self.point(if low > 0.0 && high > 0.0 && low + high < f32::INFINITY { high / (low + high) } else { 0.5 })
    }

    fn is_same(&self, other: &Self) -> bool {
        self.low.at == other.low.at && self.high.at == other.high.at
    }
}

/// All eigenvalues in ascending order, or none if an iteration did not end.
pub(super) fn eigenvalues(matrix: &Matrix) -> Option<Vec<f32>> {
    let size = matrix.size();
    let [low, high] = matrix.bounds().map(|at| Point { at, sum: f32::NAN, doubt: 0.0 });
    let mut intervals = vec![Interval { low, high }; size];
    let mut shifts = expected(matrix);
    let mut values = shifts.clone();
    let mut settled = vec![false; size];
    for sweep in 1..=MOST_SWEEPS {
        narrow(&mut intervals, &points(matrix, &shifts));
        shifts.clear();
        let halve = sweep >= PATIENCE && sweep % HALVED_EVERY == 0;
        // Eigenvalues with an interval to themselves.
        let mut alone = Vec::new();
        let mut first = 0;
        while first < size {
            let interval = intervals[first];
            let same = intervals[first..].iter().take_while(|other| other.is_same(&interval)).count();
            let ranks = first..first + same;
            first += same;
            if settled[ranks.start] {
                continue;
            }
            let group = &mut values[ranks.clone()];
            for (rank, value) in group.iter_mut().enumerate() {
                *value = interval.point((rank as f32 + 0.5) / same as f32);
            }
            if interval.width() <= 2.0 * noise(matrix, &interval) {
                settled[ranks].fill(true);
            } else if same > 1 {
                shifts.extend_from_slice(group);
            } else {
                if !halve {
                    group[0] = interval.expected();
                }
                alone.push(ranks.start);
            }
        }
        if !halve {
            for (rank, step) in alone.iter().zip(steps(&intervals, &values, &alone)) {
                let Some(Step { from, length, certainty }) = step else { continue };
                let value = from + length;
                // What a step leaves of an error is about its square, over the distance of the next eigenvalue.
                let others = [rank.checked_sub(1), Some(rank + 1)].into_iter().flatten().filter_map(|i| values.get(i));
                let gap = others.fold(f32::INFINITY, |gap, other| gap.min((value - other).abs()));
                let noise = noise(matrix, &intervals[*rank]);
                settled[*rank] = certainty > CERTAIN && (length.abs() <= noise || 4.0 * length * length <= noise * gap);
                values[*rank] = value;
            }
        }
        shifts.extend(alone.iter().filter(|rank| !settled[**rank]).map(|rank| values[*rank]));
        if shifts.is_empty() {
            return Some(values);
        }
    }
    None
}

/// Nothing is known of an eigenvalue beyond this.
fn noise(matrix: &Matrix, interval: &Interval) -> f32 {
    f32::EPSILON * (interval.low.at.abs().max(interval.high.at.abs()) + matrix.typical)
}

/// Where eigenvalues may be expected, in ascending order: were all rows like one of them, they would be at
/// T_ii + 2 T_{i,i+1} cos φ, no φ being likelier than another.
fn expected(matrix: &Matrix) -> Vec<f32> {
    let golden = 0.618_034;
    let [low, high] = matrix.bounds();
    let rows = matrix.diagonal.iter().zip(matrix.radii()).enumerate();
    let mut values: Vec<f32> =
        rows.map(|(i, (d, radius))| (d + radius * (PI * (i as f32 * golden).fract()).cos()).clamp(low, high)).collect();
    values.sort_by(f32::total_cmp);
    values
}

/// A way from an end of an interval to its eigenvalue.
struct Step {
    from: f32,
    length: f32,
    /// How much larger the eigenvalue's part in the sum is than that of all others, and than what that sum may be off by.
    certainty: f32,
}

/// For each of the `ranks` the more certain step, if any stays inside its interval. The other eigenvalues are taken to be at
/// `values`.
fn steps(intervals: &[Interval], values: &[f32], ranks: &[usize]) -> Vec<Option<Step>> {
    let means: Vec<f32> = values.chunks(GROUP).map(|group| group.iter().sum::<f32>() / group.len() as f32).collect();
    let mut steps = Vec::with_capacity(ranks.len());
    let arch = pulp::Arch::new();
    for ranks in ranks.chunk_by(|a, b| a / GROUP == b / GROUP) {
        let mut ends = [f32::NAN; 2 * GROUP];
        for rank in ranks {
            ends[rank % GROUP] = intervals[*rank].low.at;
            ends[GROUP + rank % GROUP] = intervals[*rank].high.at;
        }
        let others = arch.dispatch(Others { values, means: &means, group: ranks[0] / GROUP, ends: &ends });
        for rank in ranks {
            let Interval { low, high } = intervals[*rank];
            let step = |end: Point, others: f32| {
                let part = end.sum - others;
                let certainty = part.abs() / (others.abs() + CAUTION * end.doubt);
                Step { from: end.at, length: 1.0 / part, certainty }
            };
            let up = step(low, others[rank % GROUP]);
            let down = step(high, others[GROUP + rank % GROUP]);
            let up = Some(up).filter(|step| step.length >= 0.0 && low.at + step.length <= high.at);
            let down = Some(down).filter(|step| step.length <= 0.0 && high.at + step.length >= low.at);
            // Where another eigenvalue is taken to be, nothing is certain.
            let certain = up.into_iter().chain(down).filter(|step| step.certainty > 0.0);
            steps.push(certain.max_by(|a, b| a.certainty.total_cmp(&b.certainty)));
        }
    }
    steps
}

/// Σ_j 1 / (λ_j − end) without the eigenvalue whose end it is, for the lower and the upper ends of a group's intervals.
struct Others<'a> {
    values: &'a [f32],
    /// Mean of each group of values.
    means: &'a [f32],
    group: usize,
    ends: &'a [f32; 2 * GROUP],
}

impl WithSimd for Others<'_> {
    type Output = [f32; 2 * GROUP];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { values, means, group, ends } = self;
        let (before, after) = (group.saturating_sub(1), means.len().min(group + 2));
        let own = group * GROUP..values.len().min((group + 1) * GROUP);
        let ranks: [f32; 2 * GROUP] = std::array::from_fn(|i| (i % GROUP) as f32);
        let mut sums = [0.0; 2 * GROUP];
        let vectors = S::as_simd_f32s(ends).0.iter().zip(S::as_simd_f32s(&ranks).0);
        for (sum, (end, ranks)) in S::as_mut_simd_f32s(&mut sums).0.iter_mut().zip(vectors) {
            let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
            let part = |value: &f32| simd.div_f32s(one, simd.sub_f32s(simd.splat_f32s(*value), *end));
            for mean in means[..before].iter().chain(&means[after..]) {
                *sum = simd.add_f32s(*sum, part(mean));
            }
            *sum = simd.mul_f32s(*sum, simd.splat_f32s(GROUP as f32));
            for value in
                values[before * GROUP..own.start].iter().chain(&values[own.end..values.len().min(after * GROUP)])
            {
                *sum = simd.add_f32s(*sum, part(value));
            }
            for (rank, value) in values[own.clone()].iter().enumerate() {
                let itself = simd.equal_f32s(*ranks, simd.splat_f32s(rank as f32));
                *sum = simd.add_f32s(*sum, simd.select_f32s(itself, zero, part(value)));
            }
        }
        sums
    }
}

/// Makes points, of which is known how many eigenvalues are below, ends of the intervals next to them.
fn narrow(intervals: &mut [Interval], points: &[(usize, Point)]) {
    let size = intervals.len();
    for (below, point) in points {
        if *below > 0 && point.at < intervals[below - 1].high.at {
            intervals[below - 1].high = *point;
        }
        if *below < size && point.at > intervals[*below].low.at {
            intervals[*below].low = *point;
        }
    }
    for i in 1..size {
        if intervals[i].low.at < intervals[i - 1].low.at {
            intervals[i].low = intervals[i - 1].low;
        }
    }
    for i in (1..size).rev() {
        if intervals[i - 1].high.at > intervals[i].high.at {
            intervals[i - 1].high = intervals[i].high;
        }
    }
}

/// How many eigenvalues are below each shift, and what else is known there.
fn points(matrix: &Matrix, shifts: &[f32]) -> Vec<(usize, Point)> {
    let mut points = vec![(0, Point { at: 0.0, sum: 0.0, doubt: 0.0 }); shifts.len()];
    let arch = pulp::Arch::new();
    points.par_chunks_mut(BLOCK).zip(shifts.par_chunks(BLOCK)).for_each(|(points, shifts)| {
        arch.dispatch(Sums { matrix, shifts, points });
    });
    points
}

struct Sums<'a> {
    matrix: &'a Matrix,
    shifts: &'a [f32],
    points: &'a mut [(usize, Point)],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let width = S::F32_LANES * GROUPS;
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        for (points, shifts) in self.points.chunks_mut(width).zip(self.shifts.chunks(width)) {
            let shift = shifts_of(simd, shifts);
            let (mut carry, mut slope) = ([zero; GROUPS], [one; GROUPS]);
            let (mut below, mut sum, mut magnitude) = ([zero; GROUPS], [zero; GROUPS], [zero; GROUPS]);
            for (d, e) in self.matrix.diagonal.iter().zip(&self.matrix.below) {
                let (d, square) = (simd.splat_f32s(*d), simd.splat_f32s(e * e));
                for g in 0..GROUPS {
                    let pivot = simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]);
                    let pivot = guarded(simd, pivot, self.matrix.least);
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
                *point = (*below as usize, Point { at: *at, sum: *sum, doubt: f32::EPSILON * magnitude });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::twisted::tests::{awkward, dense, random};
    use super::super::vectorized::in_all_widths;
    use super::*;

    #[test]
    fn eigenvalues_are_those_of_dense_matrices_in_f64() {
        let sizes = [1, 2, 3, 15, 17, 64, 65, 100, 300].into_iter().chain([150; 200]).enumerate();
        let random = sizes.map(|(seed, size)| (format!("random {seed}, {size} rows"), random(size, seed as u64)));
        for (case, matrix) in random.chain(awkward()) {
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

    /// Checks what is found at points between the eigenvalues of a random matrix, more than fit a task, and what other
    /// eigenvalues have in the sums there.
    fn assert_points<S: Simd>(simd: S) {
        let matrix = random(83, 5);
        let values = dense(&matrix).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        let shifts: Vec<f32> = values.windows(2).map(|pair| (0.3 * pair[0] + 0.7 * pair[1]) as f32).collect();
        let unknown = Point { at: 0.0, sum: 0.0, doubt: 0.0 };
        let mut points = vec![(0, unknown); shifts.len()];
        simd.vectorize(Sums { matrix: &matrix, shifts: &shifts, points: &mut points });
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

        let known: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let means: Vec<f32> = known.chunks(GROUP).map(|group| group.iter().sum::<f32>() / group.len() as f32).collect();
        for group in 0..means.len() {
            let ranks = group * GROUP..known.len().min((group + 1) * GROUP);
            let mut ends = [f32::NAN; 2 * GROUP];
            for rank in ranks.clone() {
                ends[rank % GROUP] = known[rank] - 1e-3;
                ends[GROUP + rank % GROUP] = known[rank] + 1e-3;
            }
            let others = simd.vectorize(Others { values: &known, means: &means, group, ends: &ends });
            for rank in ranks {
                for at in [rank % GROUP, GROUP + rank % GROUP] {
                    let others = f64::from(others[at]);
                    let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
                        let rest = values.iter().enumerate().filter(|(other, _)| *other != rank);
                        rest.map(|(_, value)| f(part(value, ends[at]))).sum()
                    };
                    let (expected, magnitude) = (sum(&|part| part), sum(&f64::abs));
                    let case = format!("{} numbers at a time, end {at} of {rank}", S::F32_LANES);
                    // Groups from afar are taken to be at their means.
                    assert!((others - expected).abs() < 0.05 * magnitude, "{case}: {others}, expected {expected}");
                }
            }
        }
    }

    #[test]
    fn points_are_right_in_all_widths() {
        in_all_widths!(assert_points());
    }
}
