//! SparseCLR, fused.

use super::Term;
use super::pairwise::{Passes, raise, unless_floored};
use super::threshold::{Excess, Threshold, excess};
use crate::{SparseClr, Views};

/// As [`SparseClr::forward`] defines it, where also the names are from.
pub(super) fn term(passes: &mut Passes, loss: &SparseClr, views: Views, differentiate: bool) -> Term {
    let (floor, margin) = (loss.similarity.floor(), loss.margin as f32);
    let count = passes.rows.count();
    let share = 1.0 / (views.count() - 1) as f32;

    let reduced = passes.reduce(
        #[inline(always)]
        |i, row, before: Option<&(f64, Threshold)>| {
            raise(row, floor);
            let mut positive = 0.0;
            for j in views.others(i) {
                row[j] -= margin;
                positive += row[j];
            }
            row[i] = f32::NEG_INFINITY;
            // Rows are much alike.
            let start = before.map_or(0.0, |(_, tau)| tau.base);
            let (tau, Excess { squares, sum, .. }) = Threshold::of(row, start);
            // ½ Σ (n² − τ²) over the support = ½ Σ (n − τ)² + τ Σ (n − τ), without its cancellation.
            let value = 0.5 * squares + f64::from(tau.base) * sum - f64::from(positive) * f64::from(share) + 0.5;
            (value, tau)
        },
    );
    let value = reduced.iter().map(|(value, _)| value).sum::<f64>() / count as f64;
    if !differentiate {
        return Term { value, gradient: None };
    }

    let taus: Vec<f32> = reduced.iter().map(|(_, tau)| tau.base).collect();
    let offsets: Vec<f32> = reduced.iter().map(|(_, tau)| tau.offset).collect();
    let precise = offsets.iter().any(|offset| *offset != 0.0);
    let scale = 1.0 / count as f32;
    let gradient = passes.gradient(
        #[inline(always)]
        |i, row| {
            let (mine, my_offset) = (taus[i], offsets[i]);
            // The entries that a margin moves are few: theirs are put right afterwards.
            let positives: Vec<(usize, f32)> = views.others(i).map(|j| (j, row[j])).collect();
            if precise {
                for ((s, theirs), offset) in row.iter_mut().zip(&taus).zip(&offsets) {
                    let n = if *s < floor { floor } else { *s };
                    let both = excess(n, mine, my_offset) + excess(n, *theirs, *offset);
                    *s = unless_floored(both * scale, *s, floor);
                }
            } else {
                for (s, theirs) in row.iter_mut().zip(&taus) {
                    let n = if *s < floor { floor } else { *s };
                    let both = excess(n, mine, 0.0) + excess(n, *theirs, 0.0);
                    *s = unless_floored(both * scale, *s, floor);
                }
            }
            for (j, s) in positives {
                let n = s.max(floor) - margin;
                let both = excess(n, mine, my_offset) + excess(n, taus[j], offsets[j]) - 2.0 * share;
                row[j] = if s < floor { 0.0 } else { both * scale };
            }
            row[i] = 0.0;
        },
    );
    Term { value, gradient: Some(gradient) }
}
