//! NT-Xent, fused.

use super::Term;
use super::exponential::exp;
use super::pairwise::{Passes, largest, raise, sum, unless_floored};
use crate::{NtXent, NtXentReduction, Views};

/// What a row of exponentials e_ij = exp((s_ij − largest)/t) comes to.
///
/// Positives and others are apart, for of a row whose positives are nearly all there is, the others are the loss.
struct Row {
    /// max_{j≠i} s_ij.
    largest: f32,
    /// Σ e_ip over the positives.
    positives: f64,
    /// Σ e_ij over all others.
    others: f64,
    /// Mean over the positives of (s_ip − largest)/t.
    exponent: f64,
    /// The largest of them, and Σ exp of all of them less that.
    best: f32,
    relative: f64,
}

impl Row {
    fn denominator(&self) -> f64 {
        self.positives + self.others
    }

    /// log Σ e_ip / d, also where every e_ip is too small for its type.
    fn log_share(&self) -> f64 {
        f64::from(self.best) + self.relative.ln() - self.denominator().ln()
    }
}

/// Where no positive of any row has an exponent above this, exponentials of positives may be lost that are not negligible.
const FAINT: f32 = -40.0;

/// As [`NtXent::forward`] defines it, where also the names are from.
pub(super) fn term(passes: &mut Passes, loss: &NtXent, views: Views, differentiate: bool) -> Term {
    let floor = loss.similarity.floor();
    let sharpness = (1.0 / loss.temperature) as f32;
    let count = passes.rows.count();
    let share = 1.0 / (views.count() - 1) as f64;

    let reduced = passes.reduce(
        #[inline(always)]
        |i, row, _| {
            raise(row, floor);
            row[i] = f32::NEG_INFINITY;
            let largest = largest(row);
            let (mut positives, mut exponent) = (0.0, 0.0);
            let (mut best, mut relative) = (f32::NEG_INFINITY, 0.0);
            for j in views.others(i) {
                let shifted = (row[j] - largest) * sharpness;
                positives += f64::from(exp(shifted));
                exponent += f64::from(shifted);
                if relative == 0.0 {
                    (best, relative) = (shifted, 1.0);
                } else if shifted > best {
                    (best, relative) = (shifted, 1.0 + relative * f64::from(exp(best - shifted)));
                } else {
                    relative += f64::from(exp(shifted - best));
                }
                row[j] = f32::NEG_INFINITY;
            }
            let others = sum(row, |s| exp((s - largest) * sharpness));
            Row { largest, positives, others, exponent: exponent * share, best, relative }
        },
    );
    let mean = |f: &dyn Fn(&Row) -> f64| reduced.iter().map(f).sum::<f64>() / count as f64;
    // (K − 1) mean p, and what it lacks to 1.
    let present = mean(&|row| row.positives / row.denominator());
    let missing = mean(&|row| row.others / row.denominator());
    let faint = loss.reduction == NtXentReduction::LogOfMean && reduced.iter().all(|row| row.best < FAINT);
    let most = reduced.iter().map(Row::log_share).fold(f64::NEG_INFINITY, f64::max);
    // Σ_i of all p_i, relative to the largest.
    let sum: f64 = if faint { reduced.iter().map(|row| (row.log_share() - most).exp()).sum() } else { f64::NAN };
    let value = match loss.reduction {
        NtXentReduction::LogOfMean if faint => -share.ln() - most - (sum / count as f64).ln(),
        NtXentReduction::LogOfMean if missing < 0.5 => -share.ln() - (-missing).ln_1p(),
        NtXentReduction::LogOfMean => -(share * present).ln(),
        NtXentReduction::MeanOfLogs => mean(&|row| match row.others < row.positives {
            true => (row.others / row.positives).ln_1p() + row.positives.ln() - row.exponent,
            false => row.denominator().ln() - row.exponent,
        }),
    };
    if !differentiate {
        return Term { value, gradient: None };
    }

    // ∂L/∂s_ij = e_ij everyone_i where j is not a positive.
    let weight = 1.0 / (loss.temperature * count as f64);
    // α_i / t, with α_i the part of p_i in the sum of all.
    let part = |row: &Row| (row.log_share() - most).exp() / (sum * loss.temperature);
    let scale = |row: &Row| match loss.reduction {
        NtXentReduction::LogOfMean => weight / (row.denominator() * share * present),
        NtXentReduction::MeanOfLogs => weight / row.denominator(),
    };
    let everyone = |row: &Row| match loss.reduction {
        _ if faint => (part(row) / row.denominator()) as f32,
        NtXentReduction::LogOfMean => (scale(row) * share * row.positives / row.denominator()) as f32,
        NtXentReduction::MeanOfLogs => scale(row) as f32,
    };
    // And where it is one: e_ip (p_i − 1/(K − 1)) in place of e_ip p_i, or e_ip/d − 1/(K − 1) in place of e_ip/d.
    let positive = |row: &Row, s: f32| {
        if faint {
            let e = f64::from(exp((s - row.largest) * sharpness - row.best));
            return -part(row) * e / row.relative * row.others / row.denominator();
        }
        let e = f64::from(exp((s - row.largest) * sharpness));
        scale(row)
            * match loss.reduction {
                NtXentReduction::LogOfMean => -share * e * row.others / row.denominator(),
                NtXentReduction::MeanOfLogs => (e - share * row.positives) - share * row.others,
            }
    };
    let all: Vec<f32> = reduced.iter().map(everyone).collect();
    let largest: Vec<f32> = reduced.iter().map(|row| row.largest).collect();
    // One exponential serves rows i and j if it can be taken relative to the largest of all without leaving f32's range.
    let top = largest.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let spread = largest.iter().map(|own| (top - own) * sharpness).fold(0.0, f32::max);
    let rescaled: Vec<f32> =
        all.iter().zip(&largest).map(|(all, own)| all * exp(((top - own) * sharpness).min(88.0))).collect();
    let gradient = passes.gradient(
        #[inline(always)]
        |i, row| {
            let positives: Vec<(usize, f32)> = views.others(i).map(|j| (j, row[j])).collect();
            if spread < 50.0 {
                let mine = rescaled[i];
                for (s, theirs) in row.iter_mut().zip(&rescaled) {
                    let floored = if *s < floor { floor } else { *s };
                    let both = exp((floored - top) * sharpness) * (mine + theirs);
                    *s = unless_floored(both, *s, floor);
                }
            } else {
                for ((s, theirs), other) in row.iter_mut().zip(&all).zip(&largest) {
                    let floored = if *s < floor { floor } else { *s };
                    let both =
                        exp((floored - largest[i]) * sharpness) * all[i] + exp((floored - other) * sharpness) * theirs;
                    *s = unless_floored(both, *s, floor);
                }
            }
            for (j, s) in positives {
                let both = positive(&reduced[i], s) + positive(&reduced[j], s);
                row[j] = if s < floor { 0.0 } else { both as f32 };
            }
            row[i] = 0.0;
        },
    );
    Term { value, gradient: Some(gradient) }
}
