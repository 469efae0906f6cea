//! SparseCLR, fused.

use super::pairwise::{gradient, largest, map_rows, raise, sums, unless_floored};
use super::{Term, UnitRows};
use crate::{SparseClr, Views};

/// As [`SparseClr::forward`] defines it, where also the names are from.
pub(super) fn term(rows: &UnitRows, loss: &SparseClr, views: Views, differentiate: bool) -> Term {
    let (floor, margin) = (loss.similarity.floor(), loss.margin as f32);
    let count = rows.count();
    let share = 1.0 / (views.count() - 1) as f32;

    let reduced = map_rows(
        rows,
        #[inline(always)]
        |i, row, before: Option<&(f64, f32)>| {
            raise(row, floor);
            let mut positive = 0.0;
            for j in views.others(i) {
                row[j] -= margin;
                positive += row[j];
            }
            row[i] = f32::NEG_INFINITY;
            // Rows are much alike.
            let tau = threshold(row, before.map_or(0.0, |(_, tau)| *tau));
            // ½ Σ (n² − τ²) over the support = ½ Σ (n − τ)² + τ Σ (n − τ), without its cancellation.
            let [squares, excess] = sums(row, |n| {
                let above = if n > tau { n - tau } else { 0.0 };
                [above * above, above]
            });
            let value = 0.5 * f64::from(squares) + f64::from(tau) * f64::from(excess)
                - f64::from(positive) * f64::from(share)
                + 0.5;
            (value, tau)
        },
    );
    let value = reduced.iter().map(|(value, _)| value).sum::<f64>() / count as f64;
    if !differentiate {
        return Term { value, gradient: None };
    }

    let taus: Vec<f32> = reduced.into_iter().map(|(_, tau)| tau).collect();
    let scale = 1.0 / count as f32;
    let gradient = gradient(
        rows,
        #[inline(always)]
        |i, row| {
            let mine = taus[i];
            // The entries that a margin moves are few: theirs are put right afterwards.
            let probability = |n: f32, tau: f32| if n > tau { n - tau } else { 0.0 };
            let positives: Vec<(usize, f32)> = views.others(i).map(|j| (j, row[j])).collect();
            for (s, theirs) in row.iter_mut().zip(&taus) {
                let n = if *s < floor { floor } else { *s };
                let both = probability(n, mine) + probability(n, *theirs);
                *s = unless_floored(both * scale, *s, floor);
            }
            for (j, s) in positives {
                let n = s.max(floor) - margin;
                let both = probability(n, mine) + probability(n, taus[j]) - 2.0 * share;
                row[j] = if s < floor { 0.0 } else { both * scale };
            }
            row[i] = 0.0;
        },
    );
    Term { value, gradient: Some(gradient) }
}

/// τ of sparsemax, the root of Σ max(n − τ, 0) = 1, by Newton's iteration from `start`.
///
/// The function being convex, one step leads below the root and all others up to it. From the second step on it is
/// Michelot's fixed point, as in [`sparsemax_support`](crate::sparsemax_support).
#[inline(always)]
fn threshold(row: &[f32], start: f32) -> f32 {
    let mut bound = start;
    let mut size = 0.0;
    for step in 0.. {
        let [inside, total] = sums(row, |n| if n > bound { [1.0, n] } else { [0.0, 0.0] });
        if inside == size && step > 0 {
            break;
        }
        bound = match inside {
            0.0 => largest(row) - 1.0,
            _ if step < 2 => (total - 1.0) / inside,
            // Rounding must not lead down again.
            _ => bound.max((total - 1.0) / inside),
        };
        size = inside;
    }
    bound
}
