//! NT-Xent, fused.

use super::exponential::exp;
use super::pairwise::{gradient, largest, map_rows, raise, sum};
use super::{Term, UnitRows};
use crate::{NtXent, NtXentReduction, Views};

/// A row of exponentials, relative to its largest.
struct Row {
    /// max_{j≠i} s_ij.
    largest: f32,
    /// d = Σ_{j≠i} exp((s_ij − largest)/t).
    denominator: f32,
    /// Mean over the positives of exp((s_ip − largest)/t)/d.
    probability: f64,
    /// Mean over the positives of (s_ip − largest)/t.
    exponent: f64,
}

/// As [`NtXent::forward`] defines it, where also the names are from.
pub(super) fn term(rows: &UnitRows, loss: &NtXent, views: Views, differentiate: bool) -> Term {
    let floor = loss.similarity.floor();
    let sharpness = (1.0 / loss.temperature) as f32;
    let count = rows.count();
    let share = 1.0 / (views.count() - 1) as f64;

    let reduced = map_rows(
        rows,
        #[inline(always)]
        |i, row| {
            raise(row, floor);
            row[i] = f32::NEG_INFINITY;
            let largest = largest(row);
            let denominator = sum(row, |s| exp((s - largest) * sharpness));
            let (mut total, mut exponent) = (0.0, 0.0);
            for j in views.others(i) {
                let shifted = (row[j] - largest) * sharpness;
                total += f64::from(exp(shifted));
                exponent += f64::from(shifted);
            }
            let probability = total * share / f64::from(denominator);
            Row { largest, denominator, probability, exponent: exponent * share }
        },
    );
    let mean = |f: &dyn Fn(&Row) -> f64| reduced.iter().map(f).sum::<f64>() / count as f64;
    let probability = mean(&|row| row.probability);
    let value = match loss.reduction {
        NtXentReduction::LogOfMean => -probability.ln(),
        NtXentReduction::MeanOfLogs => mean(&|row| f64::from(row.denominator).ln() - row.exponent),
    };
    if !differentiate {
        return Term { value, gradient: None };
    }

    // ∂L/∂s_ij = e_ij everyone_i − [j ∈ P(i)] (e_ij positive_i + constant), e_ij = exp((s_ij − largest_i)/t).
    let weight = 1.0 / (loss.temperature * count as f64);
    let coefficients = |row: &Row| {
        let d = f64::from(row.denominator);
        match loss.reduction {
            NtXentReduction::LogOfMean => {
                let scale = weight / (d * probability);
                ((scale * row.probability) as f32, (scale * share) as f32)
            }
            NtXentReduction::MeanOfLogs => ((weight / d) as f32, 0.0),
        }
    };
    let (everyone, positive): (Vec<f32>, Vec<f32>) = reduced.iter().map(coefficients).unzip();
    let constant = match loss.reduction {
        NtXentReduction::LogOfMean => 0.0,
        NtXentReduction::MeanOfLogs => (weight * share) as f32,
    };
    let largest: Vec<f32> = reduced.iter().map(|row| row.largest).collect();
    // One exponential serves rows i and j if it can be taken relative to the largest of all without leaving f32's range.
    let top = largest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let spread = largest.iter().map(|own| (top - own) * sharpness).fold(0.0, f32::max);
    let rescaled: Vec<f32> =
        everyone.iter().zip(&largest).map(|(all, own)| all * exp(((top - own) * sharpness).min(88.0))).collect();
    let gradient = gradient(
        rows,
        #[inline(always)]
        |i, row| {
            let positives: Vec<(usize, f32)> = views.others(i).map(|j| (j, row[j])).collect();
            if spread < 50.0 {
                let mine = rescaled[i];
                for (s, theirs) in row.iter_mut().zip(&rescaled) {
                    let floored = if *s < floor { floor } else { *s };
                    let both = exp((floored - top) * sharpness) * (mine + theirs);
                    *s = if *s < floor { 0.0 } else { both };
                }
            } else {
                for ((s, theirs), other) in row.iter_mut().zip(&everyone).zip(&largest) {
                    let floored = if *s < floor { floor } else { *s };
                    let both = exp((floored - largest[i]) * sharpness) * everyone[i]
                        + exp((floored - other) * sharpness) * theirs;
                    *s = if *s < floor { 0.0 } else { both };
                }
            }
            for (j, s) in positives {
                if s >= floor {
                    row[j] -= exp((s - largest[i]) * sharpness) * positive[i]
                        + exp((s - largest[j]) * sharpness) * positive[j]
                        + 2.0 * constant;
                }
            }
            row[i] = 0.0;
        },
    );
    Term { value, gradient: Some(gradient) }
}
