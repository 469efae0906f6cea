//! τ of sparsemax, the root of Σ max(n − τ, 0) = 1.

use super::pairwise::{largest, sums};
use super::vectorized::vectorized;

/// Steps after which an iteration is left. Each takes at least one entry from the support, and the distance of the entries it takes
/// from the threshold falls by as many times as there are entries left: a few tens of steps use up all digits.
const MOST_STEPS: usize = 64;
/// By how much the probabilities may miss 1.
const SLACK: f64 = 5e-5;

/// τ = base + offset. In rows of a hundred thousand entries that are nearly equal, probabilities are less than two neighbouring
/// numbers at τ are apart.
#[derive(Clone, Copy)]
pub(super) struct Threshold {
    pub base: f32,
    /// 0 where the base is good enough.
    pub offset: f32,
}

/// What a row has above a threshold.
#[derive(Clone, Copy)]
pub(super) struct Excess {
    /// Σ (n − τ).
    pub sum: f64,
    /// Σ (n − τ)².
    pub squares: f64,
}

/// max(n − τ, 0). The first difference is exact where n and τ are alike.
#[inline(always)]
pub(super) fn excess(n: f32, base: f32, offset: f32) -> f32 {
    let above = (n - base) - offset;
    if above > 0.0 { above } else { 0.0 }
}

impl Threshold {
    /// Of a row with at least one finite entry and no +∞, searched from `start`; and what is above it.
    ///
    /// Newton's iteration: the function being convex, one step leads below the root and all others up to it. From the second
    /// step on it is Michelot's fixed point, as in [`sparsemax_support`](crate::sparsemax_support). Where the digits of the
    /// sums and of τ do not make the probabilities sum to one, it goes on with those.
    #[inline(always)]
    pub fn of(row: &[f32], start: f32) -> (Self, Excess) {
        let tau = michelot(row, start);
        let [sum, squares] = sums([row], |[n]| {
            let above = excess(n, tau, 0.0);
            [above, above * above]
        });
        let tau = Self { base: tau, offset: 0.0 };
        if (sum - 1.0).abs() <= SLACK { (tau, Excess { sum, squares }) } else { tau.refined(row) }
    }

    /// By the sums of what is above the threshold, about 1 whatever the entries are, in steps from one to the next.
    fn refined(mut self, row: &[f32]) -> (Self, Excess) {
        let (mut count, mut found) = self.above(row);
        for _ in 0..MOST_STEPS {
            let value = match count {
                0.0 => f64::from(largest(row)) - 1.0,
                _ => f64::from(self.base) + f64::from(self.offset) + (found.sum - 1.0) / count,
            };
            self.base = value as f32;
            self.offset = (value - f64::from(self.base)) as f32;
            let before = count;
            (count, found) = self.above(row);
            if count == before && (found.sum - 1.0).abs() <= SLACK {
                break;
            }
        }
        (self, found)
    }

    /// How many entries are above the threshold, and what they have above it.
    fn above(self, row: &[f32]) -> (f64, Excess) {
        vectorized(
            #[inline(always)]
            || {
                let [count, sum, squares] = sums([row], |[n]| {
                    let above = excess(n, self.base, self.offset);
                    [if above > 0.0 { 1.0 } else { 0.0 }, above, above * above]
                });
                (count, Excess { sum, squares })
            },
        )
    }
}

/// τ as far as the digits of single precision go.
#[inline(always)]
fn michelot(row: &[f32], start: f32) -> f32 {
    let mut bound = start;
    let mut size = 0.0;
    for step in 0..MOST_STEPS {
        let [inside, total] = sums([row], |[n]| if n > bound { [1.0, n] } else { [0.0, 0.0] });
        let (inside, total) = (inside as f32, total as f32);
        if inside == size && step > 0 {
            break;
        }
        bound = match inside {
            0.0 if step > 0 => break, // rounding led above all entries
            0.0 => largest(row) - 1.0,
            _ if step < 2 => (total - 1.0) / inside,
            // Rounding must not lead down again.
            _ => bound.max((total - 1.0) / inside),
        };
        size = inside;
    }
    bound
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// τ by sorting, in double precision.
    fn expected(row: &[f32]) -> f64 {
        let mut sorted: Vec<f64> = row.iter().map(|n| f64::from(*n)).filter(|n| n.is_finite()).collect();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let (mut sum, mut tau) = (0.0, f64::NEG_INFINITY);
        for (index, n) in sorted.iter().enumerate() {
            if *n <= tau {
                break;
            }
            sum += n;
            tau = (sum - 1.0) / (index + 1) as f64;
        }
        tau
    }

    fn assert_found(row: &[f32], start: f32, case: &str) {
        let tau = expected(row);
        let (found, Excess { sum, squares }) = Threshold::of(row, start);
        let p: Vec<f64> = row.iter().map(|n| f64::from(excess(*n, found.base, found.offset))).collect();
        let total: f64 = p.iter().sum();
        assert!((total - 1.0).abs() < 1e-4, "{case} from {start}: the probabilities sum to {total}");
        assert!((sum - total).abs() < 5e-5, "{case} from {start}: said to sum to {sum}, {total}");
        let expected = p.iter().map(|p| p * p).sum::<f64>();
        assert!((squares - expected).abs() < 1e-4 * expected, "{case} from {start}: squares of {squares}, {expected}");
        let off: f64 = row.iter().zip(&p).map(|(n, p)| ((f64::from(*n) - tau).max(0.0) - p).abs()).sum();
        assert!(off < 1e-4, "{case} from {start}: off by {off:.1e}");
    }

    #[test]
    fn probabilities_sum_to_one_wherever_the_search_starts() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for width in [2, 33, 512, 4096, 5000, 32_768, 131_072, 262_144] {
            for (level, spread) in [
                (0.999, 0.0),
                (0.999, 1e-7),
                (0.999, 1e-6),
                (0.9999, 1e-4),
                (0.5, 1e-2),
                (0.0, 1e-6),
                (-0.8, 1e-3),
                (0.0, 1.0),
            ] {
                let mut row: Vec<f32> =
                    (0..width).map(|_| (level + spread * rng.random_range(-1.0..1.0f64)) as f32).collect();
                let case = format!("{width} of {level} ± {spread:e}");
                for start in [0.0, expected(&row) as f32, 1.5, -3.0] {
                    assert_found(&row, start, &case);
                }
                row[width / 2] = 1.0;
                row[0] -= 1.0;
                row[width - 1] = f32::NEG_INFINITY;
                for start in [0.0, expected(&row) as f32, 1.5, -3.0] {
                    assert_found(&row, start, &format!("{case}, with one above, below and out of it"));
                }
            }
        }
    }

    /// Every step takes but one entry away: as slow as it gets.
    #[test]
    fn entries_that_go_one_by_one_are_found_in_time() {
        for size in [4, 12, 40, 200] {
            let mut row = vec![-1.0f32];
            let (mut sum, mut count) = (-1.0f64, 1.0f64);
            for _ in 1..size {
                // A little above what τ comes to with those so far.
                let tau = (sum - 1.0) / count;
                let next = tau + 1.0 / count + 1e-7;
                row.push(next as f32);
                sum += next;
                count += 1.0;
            }
            for start in [-2.0, 0.0, 5.0] {
                assert_found(&row, start, &format!("{size} one by one"));
            }
        }
    }
}
