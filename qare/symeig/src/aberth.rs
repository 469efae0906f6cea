//! Ehrlich–Aberth steps: from an end of an interval towards its eigenvalue.
//!
//! Σ_j 1/(λ_j − σ), less the terms of the other eigenvalues as far as they are known, is 1/(λ − σ) of the one that is looked for.
//!
//! Source: Bini, Gemignani, Tisseur, "The Ehrlich-Aberth method for the nonsymmetric tridiagonal eigenvalue problem" (2005).

use pulp::{Simd, WithSimd};

use crate::bisection::Interval;
use crate::sturm::Point;

/// Neighbouring eigenvalues that from afar are taken as this many at their mean: two sums of as many in the longest vector.
const CLUSTER: usize = 8;

/// A way from an end of an interval to its eigenvalue.
pub(crate) struct Step {
    pub from: f32,
    pub length: f32,
    /// How much larger the eigenvalue's part in the sum is than that of all others, and than what that sum may be off by.
    pub certainty: f32,
}

/// For each of the `ranks` the more certain step, if any stays inside its interval. The other eigenvalues are taken to be at
/// `values`.
pub(crate) fn aberth_steps(
    intervals: &[Interval],
    values: &[f32],
    ranks: &[usize],
    sum_rounding: f32,
) -> Vec<Option<Step>> {
    let means: Vec<f32> = values.chunks(CLUSTER).map(|group| group.iter().sum::<f32>() / group.len() as f32).collect();
    let mut steps = Vec::with_capacity(ranks.len());
    let arch = pulp::Arch::new();
    for ranks in ranks.chunk_by(|a, b| a / CLUSTER == b / CLUSTER) {
        let mut ends = [f32::NAN; 2 * CLUSTER];
        for rank in ranks {
            ends[rank % CLUSTER] = intervals[*rank].low.at;
            ends[CLUSTER + rank % CLUSTER] = intervals[*rank].high.at;
        }
        let others = arch.dispatch(OtherTerms { values, means: &means, group: ranks[0] / CLUSTER, ends: &ends });
        for rank in ranks {
            let Interval { low, high } = intervals[*rank];
            let step = |end: Point, others: f32| {
                let part = end.sum - others;
                let certainty = part.abs() / (others.abs() + sum_rounding * end.rounding);
                Step { from: end.at, length: 1.0 / part, certainty }
            };
            let up = step(low, others[rank % CLUSTER]);
            let down = step(high, others[CLUSTER + rank % CLUSTER]);
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
struct OtherTerms<'a> {
    values: &'a [f32],
    /// Mean of each group of values.
    means: &'a [f32],
    group: usize,
    ends: &'a [f32; 2 * CLUSTER],
}

impl WithSimd for OtherTerms<'_> {
    type Output = [f32; 2 * CLUSTER];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { values, means, group, ends } = self;
        let (before, after) = (group.saturating_sub(1), means.len().min(group + 2));
        let own = group * CLUSTER..values.len().min((group + 1) * CLUSTER);
        let ranks: [f32; 2 * CLUSTER] = std::array::from_fn(|i| (i % CLUSTER) as f32);
        let mut sums = [0.0; 2 * CLUSTER];
        let vectors = S::as_simd_f32s(ends).0.iter().zip(S::as_simd_f32s(&ranks).0);
        for (sum, (end, ranks)) in S::as_mut_simd_f32s(&mut sums).0.iter_mut().zip(vectors) {
            let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
            let part = |value: &f32| simd.div_f32s(one, simd.sub_f32s(simd.splat_f32s(*value), *end));
            for mean in means[..before].iter().chain(&means[after..]) {
                *sum = simd.add_f32s(*sum, part(mean));
            }
            *sum = simd.mul_f32s(*sum, simd.splat_f32s(CLUSTER as f32));
            for value in
                values[before * CLUSTER..own.start].iter().chain(&values[own.end..values.len().min(after * CLUSTER)])
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::in_all_widths;
    use crate::tridiagonal::tests::{dense, random};

    /// Checks the terms of all other eigenvalues against sums in f64.
    fn assert_other_terms<S: Simd>(simd: S) {
        let values = dense(&random(83, 5)).self_adjoint_eigenvalues(faer::Side::Lower).unwrap();
        let part = |value: &f64, at: f32| 1.0 / (value - f64::from(at));
        let known: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let means: Vec<f32> =
            known.chunks(CLUSTER).map(|group| group.iter().sum::<f32>() / group.len() as f32).collect();
        for group in 0..means.len() {
            let ranks = group * CLUSTER..known.len().min((group + 1) * CLUSTER);
            let mut ends = [f32::NAN; 2 * CLUSTER];
            for rank in ranks.clone() {
                ends[rank % CLUSTER] = known[rank] - 1e-3;
                ends[CLUSTER + rank % CLUSTER] = known[rank] + 1e-3;
            }
            let others = simd.vectorize(OtherTerms { values: &known, means: &means, group, ends: &ends });
            for rank in ranks {
                for at in [rank % CLUSTER, CLUSTER + rank % CLUSTER] {
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
    fn terms_are_right_in_all_widths() {
        in_all_widths!(assert_other_terms());
    }
}
