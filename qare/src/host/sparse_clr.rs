//! SparseCLR, fused.

use super::pairwise::{gradient, largest, map_rows, raise, sum};
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
        |i, row| {
            raise(row, floor);
            let mut positive = 0.0;
            for j in views.others(i) {
                row[j] -= margin;
                positive += row[j];
            }
            row[i] = f32::NEG_INFINITY;
            let tau = threshold(row);
            // ½ Σ (n² − τ²) over the support = ½ Σ (n − τ)² + τ Σ (n − τ), without its cancellation.
            let squares = sum(row, |n| if n > tau { (n - tau) * (n - tau) } else { 0.0 });
            let excess = sum(row, |n| if n > tau { n - tau } else { 0.0 });
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
                *s = if *s < floor { 0.0 } else { both * scale };
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

/// τ of sparsemax, by Michelot's fixed point as in [`sparsemax_support`](crate::sparsemax_support).
#[inline(always)]
fn threshold(row: &[f32]) -> f32 {
    let mut bound = largest(row) - 1.0;
    let mut size = f32::INFINITY;
    loop {
        let inside = sum(row, |n| if n > bound { 1.0 } else { 0.0 });
        if inside >= size {
            return bound;
        }
        size = inside;
        let total = sum(row, |n| if n > bound { n } else { 0.0 });
        bound = bound.max((total - 1.0) / size);
    }
}
