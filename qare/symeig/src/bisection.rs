//! Eigenvalues of a symmetric tridiagonal matrix, all at once: as many at a time as the processor's vectors hold.
//!
//! Sturm counts part the line until every eigenvalue has an interval to itself. From there Ehrlich–Aberth steps, which the next
//! count checks, lead to the eigenvalue; now and then an interval is halved instead, so that the iteration ends.

use std::f32::consts::PI;

use crate::EigenParams;
use crate::aberth::{Step, aberth_steps};
use crate::sturm::{Point, sturm_counts};
use crate::tridiagonal::Tridiagonal;

/// An interval that holds an eigenvalue.
#[derive(Clone, Copy)]
pub(crate) struct Interval {
    pub low: Point,
    pub high: Point,
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

/// All eigenvalues in ascending order up to the tolerance, or none if some are not settled after [`EigenParams::max_sweeps`].
pub(crate) fn eigenvalues(matrix: &Tridiagonal, params: &EigenParams) -> Option<Vec<f32>> {
    let size = matrix.order();
    let [low, high] = matrix.bounds().map(|at| Point { at, sum: f32::NAN, rounding: 0.0 });
    let mut intervals = vec![Interval { low, high }; size];
    let mut shifts = initial_guesses(matrix);
    let mut values = shifts.clone();
    let mut settled = vec![false; size];
    let every = params.forced_bisection_interval.max(1);
    let certain = params.step_certainty.max(1.0);
    // The distance left may be this many times the step, the error left after it its square over the gap.
    let doubtful = (certain / (certain - 1.0)).powi(2);
    for sweep in 1..=params.max_sweeps {
        narrow(&mut intervals, &sturm_counts(matrix, &shifts));
        shifts.clear();
        let halve = sweep >= params.forced_bisection_start && sweep % every == 0;
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
            if interval.width() <= 2.0 * tolerance(matrix, &interval) {
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
            for (rank, step) in alone.iter().zip(aberth_steps(&intervals, &values, &alone, params.sum_rounding)) {
                let Some(Step { from, length, certainty }) = step else { continue };
                let value = from + length;
                // What a step leaves of an error is about its square, over the distance of the next eigenvalue.
                let others = [rank.checked_sub(1), Some(rank + 1)].into_iter().flatten().filter_map(|i| values.get(i));
                let gap = others.fold(f32::INFINITY, |gap, other| gap.min((value - other).abs()));
                let tolerance = tolerance(matrix, &intervals[*rank]);
                settled[*rank] =
                    certainty > certain && (length.abs() <= tolerance || doubtful * length * length <= tolerance * gap);
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

/// What rounding leaves unknown of an eigenvalue in this interval.
fn tolerance(matrix: &Tridiagonal, interval: &Interval) -> f32 {
    f32::EPSILON * (interval.low.at.abs().max(interval.high.at.abs()) + matrix.typical)
}

/// Where eigenvalues may be expected, in ascending order: were all rows like one of them, they would be at
/// T_ii + 2 T_{i,i+1} cos φ, no φ being likelier than another.
fn initial_guesses(matrix: &Tridiagonal) -> Vec<f32> {
    let golden = 0.618_034;
    let [low, high] = matrix.bounds();
    let rows = matrix.diagonal.iter().zip(matrix.radii()).enumerate();
    let mut values: Vec<f32> =
        rows.map(|(i, (d, radius))| (d + radius * (PI * (i as f32 * golden).fract()).cos()).clamp(low, high)).collect();
    values.sort_by(f32::total_cmp);
    values
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tridiagonal::tests::{adversarial, dense, random};

    #[test]
    fn eigenvalues_are_those_of_dense_matrices_in_f64() {
        let sizes = [1, 2, 3, 15, 17, 64, 65, 100, 300].into_iter().chain([150; 200]).enumerate();
        let random = sizes.map(|(seed, size)| (format!("random {seed}, {size} rows"), random(size, seed as u64)));
        for (case, matrix) in random.chain(adversarial()) {
            let values = eigenvalues(&matrix, &EigenParams::default()).unwrap_or_else(|| panic!("{case}: no end"));
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
