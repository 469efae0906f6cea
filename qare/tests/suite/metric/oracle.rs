//! The losses with labels written out literally, in f64 and with loops: slow, and sharing nothing with the crate.

use qare::metric::{MetricLossConfig, Triplets};

use crate::oracle::{Rows, sparsemax_threshold};

/// What a loss is given.
#[derive(Clone, Debug)]
pub struct Batch {
    pub rows: Rows,
    pub labels: Vec<i64>,
    /// What the rows are compared with, if not each other.
    pub references: Option<(Rows, Vec<i64>)>,
    /// One for each identity, for the losses that have them.
    pub proxies: Rows,
}

fn unit(row: &[f64]) -> Vec<f64> {
    let length = row.iter().copied().fold(0.0, f64::hypot).max(1e-12);
    row.iter().map(|x| x / length).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt()
}

/// The mean, and 0 of nothing.
fn mean(numbers: &[f64]) -> f64 {
    if numbers.is_empty() { 0.0 } else { numbers.iter().sum::<f64>() / numbers.len() as f64 }
}

fn mean_of_positive(numbers: Vec<f64>) -> f64 {
    mean(&numbers.into_iter().filter(|x| *x > 0.0).collect::<Vec<_>>())
}

/// log Σ exp x
fn log_sum(x: &[f64]) -> f64 {
    let largest = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + x.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

fn with_zero(mut x: Vec<f64>) -> Vec<f64> {
    x.push(0.0);
    x
}

fn angle(a: &[f64], b: &[f64]) -> f64 {
    2.0 * distance(a, b).atan2(a.iter().zip(b).map(|(x, y)| (x + y).powi(2)).sum::<f64>().sqrt())
}

/// The rows of a batch, and the pairs there are of each.
struct Pairs {
    rows: Rows,
    others: Rows,
    positives: Vec<Vec<usize>>,
    negatives: Vec<Vec<usize>>,
}

impl Pairs {
    fn of(batch: &Batch) -> Self {
        let rows: Rows = batch.rows.iter().map(|row| unit(row)).collect();
        let (others, labels): (Rows, _) = match &batch.references {
            Some((references, labels)) => (references.iter().map(|row| unit(row)).collect(), labels),
            None => (rows.clone(), &batch.labels),
        };
        let itself = batch.references.is_none();
        let which = |i: usize, same: bool| -> Vec<usize> {
            let counts = |j: &usize| (labels[*j] == batch.labels[i]) == same && !(itself && *j == i);
            (0..others.len()).filter(counts).collect()
        };
        let positives = (0..rows.len()).map(|i| which(i, true)).collect();
        let negatives = (0..rows.len()).map(|i| which(i, false)).collect();
        Self { rows, others, positives, negatives }
    }

    fn s(&self, i: usize, of: &[usize]) -> Vec<f64> {
        of.iter().map(|j| dot(&self.rows[i], &self.others[*j])).collect()
    }

    fn d(&self, i: usize, of: &[usize]) -> Vec<f64> {
        of.iter().map(|j| distance(&self.rows[i], &self.others[*j])).collect()
    }

    /// For each row, its similarities with positives and with negatives.
    fn similarities(&self) -> Vec<(Vec<f64>, Vec<f64>)> {
        (0..self.rows.len()).map(|i| (self.s(i, &self.positives[i]), self.s(i, &self.negatives[i]))).collect()
    }

    fn distances(&self) -> Vec<(Vec<f64>, Vec<f64>)> {
        (0..self.rows.len()).map(|i| (self.d(i, &self.positives[i]), self.d(i, &self.negatives[i]))).collect()
    }
}

pub fn value(loss: &MetricLossConfig, batch: &Batch) -> f64 {
    use MetricLossConfig as Of;
    let pairs = Pairs::of(batch);
    match loss {
        Of::TripletMargin(config) => {
            let mut violations = Vec::new();
            for (positives, negatives) in pairs.distances() {
                for p in &positives {
                    for n in &negatives {
                        let counts = match config.triplets {
                            Triplets::All => true,
                            Triplets::Hard => n <= p,
                            Triplets::SemiHard => n > p,
                        };
                        violations.push(if counts { p - n + config.margin } else { 0.0 });
                    }
                }
            }
            mean_of_positive(violations)
        }
        Of::Contrastive(config) => {
            let (mut near, mut far) = (Vec::new(), Vec::new());
            for (positives, negatives) in pairs.distances() {
                near.extend(positives.iter().map(|d| d - config.pos_margin));
                far.extend(negatives.iter().map(|d| config.neg_margin - d));
            }
            mean_of_positive(near) + mean_of_positive(far)
        }
        Of::InfoNce(config) => {
            let t = config.temperature;
            let mut losses = Vec::new();
            for (positives, negatives) in pairs.similarities() {
                let negatives: Vec<f64> = negatives.iter().map(|s| s / t).collect();
                for p in positives {
                    let mut all = negatives.clone();
                    all.push(p / t);
                    losses.push(log_sum(&all) - p / t);
                }
            }
            mean(&losses)
        }
        Of::SupCon(config) => {
            let t = config.temperature;
            if pairs.negatives.iter().all(Vec::is_empty) {
                return 0.0;
            }
            let mut losses = Vec::new();
            for (positives, negatives) in pairs.similarities() {
                if !positives.is_empty() {
                    let all: Vec<f64> = positives.iter().chain(&negatives).map(|s| s / t).collect();
                    losses.push(log_sum(&all) - mean(&positives) / t);
                }
            }
            mean_of_positive(losses)
        }
        Of::NtLogistic(config) => {
            let log_sigmoid = |x: f64| -log_sum(&[0.0, -x]);
            let (mut near, mut far) = (Vec::new(), Vec::new());
            for (positives, negatives) in pairs.similarities() {
                near.extend(positives.iter().map(|s| -log_sigmoid(s / config.temperature)));
                far.extend(negatives.iter().map(|s| -log_sigmoid(-s / config.temperature)));
            }
            mean(&near) + mean(&far)
        }
        Of::MultiSimilarity(config) => {
            let of_row = |(positives, negatives): (Vec<f64>, Vec<f64>)| {
                let positives = positives.iter().map(|s| -config.alpha * (s - config.base)).collect();
                let negatives = negatives.iter().map(|s| config.beta * (s - config.base)).collect();
                log_sum(&with_zero(positives)) / config.alpha + log_sum(&with_zero(negatives)) / config.beta
            };
            mean(&pairs.similarities().into_iter().map(of_row).collect::<Vec<_>>())
        }
        Of::SparseClr(config) => {
            let mut losses = Vec::new();
            for (i, row) in batch.rows.iter().enumerate() {
                // Unlike the others, with a floor under products of lengths.
                let others = batch.references.as_ref().map_or(&batch.rows, |(references, _)| references);
                let length = |row: &[f64]| row.iter().copied().fold(0.0, f64::hypot);
                let s = |j: &usize| dot(row, &others[*j]) / (length(row) * length(&others[*j])).max(1e-8);
                let [positives, negatives]: [Vec<f64>; 2] =
                    [&pairs.positives[i], &pairs.negatives[i]].map(|of| of.iter().map(s).collect());
                if positives.is_empty() {
                    continue;
                }
                let shifted: Vec<f64> = positives.iter().map(|s| s - config.margin).collect();
                let n: Vec<f64> = shifted.iter().chain(&negatives).copied().collect();
                let (tau, _) = sparsemax_threshold(&n);
                let support = n.iter().filter(|n| **n > tau).map(|n| n * n - tau * tau);
                losses.push(0.5 * support.sum::<f64>() - mean(&shifted) + 0.5);
            }
            mean(&losses)
        }
        Of::ProxyAnchor(config) => {
            let (mut near, mut far) = (Vec::new(), 0.0);
            for (identity, proxy) in batch.proxies.iter().enumerate() {
                let s = |own: bool| -> Vec<f64> {
                    let counts = |i: &usize| (batch.labels[*i] == identity as i64) == own;
                    (0..pairs.rows.len()).filter(counts).map(|i| dot(&pairs.rows[i], &unit(proxy))).collect()
                };
                if !s(true).is_empty() {
                    let exponents = s(true).iter().map(|s| -config.alpha * (s - config.margin)).collect();
                    near.push(log_sum(&with_zero(exponents)));
                }
                let exponents = s(false).iter().map(|s| config.alpha * (s + config.margin)).collect();
                far += log_sum(&with_zero(exponents));
            }
            mean(&near) + far / batch.proxies.len() as f64
        }
        Of::NormalizedSoftmax(config) => {
            let of_row = |(row, label): (&Vec<f64>, &i64)| {
                let logit = |proxy: &Vec<f64>| dot(row, &unit(proxy)) / config.temperature;
                let logits: Vec<f64> = batch.proxies.iter().map(logit).collect();
                log_sum(&logits) - logits[*label as usize]
            };
            mean(&pairs.rows.iter().zip(&batch.labels).map(of_row).collect::<Vec<_>>())
        }
        Of::ArcFace(config) => {
            let margin = config.margin_degrees / 180.0 * std::f64::consts::PI;
            let of_row = |(row, label): (&Vec<f64>, &i64)| {
                let logit = |(identity, proxy): (usize, &Vec<f64>)| {
                    let theta = angle(row, &unit(proxy));
                    let cosine = match identity as i64 == *label {
                        false => theta.cos(),
                        true if theta <= std::f64::consts::PI - margin => (theta + margin).cos(),
                        true => theta.cos() - margin * margin.sin(),
                    };
                    cosine * config.scale
                };
                let logits: Vec<f64> = batch.proxies.iter().enumerate().map(logit).collect();
                log_sum(&logits) - logits[*label as usize]
            };
            mean(&pairs.rows.iter().zip(&batch.labels).map(of_row).collect::<Vec<_>>())
        }
        _ => unreachable!("every loss is written out here"),
    }
}
