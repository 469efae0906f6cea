//! Losses of labelled rows that are functions of their distances.
//!
//! The loops see an anchor at a time: its distances to the rows of its identity and to all others. No tensor of triplets is held, nor
//! one of the differences of all rows.

mod contrastive;
mod gradient;
mod triplet_margin;

use burn::tensor::{DType, Int, Tensor, backend::Backend};
use qare_host::computes_on_host;
use rayon::prelude::*;

use self::gradient::{Direction, pull};
use super::pairwise::squared_distance;
use super::vectorized::vectorized;
use crate::term::{DistanceGradient, DistanceTerm};

/// Anchors that one thread takes at a time.
const BLOCK: usize = 32;

/// Rows of length one with their labels.
struct Labelled {
    rows: Vec<f32>,
    labels: Vec<i64>,
}

/// N rows of length one with labels, and the M candidates that they are compared with: references, or the rows themselves.
pub(crate) struct LabelledRows {
    anchors: Labelled,
    references: Option<Labelled>,
    dim: usize,
}

/// A sum of violations, and the number of those above 0, over which it is a mean.
#[derive(Clone, Copy, Default)]
struct Violations {
    sum: f64,
    count: f64,
}

impl Violations {
    /// The number to divide by: the mean of none is 0.
    fn divisor(self) -> f64 {
        self.count.max(1.0)
    }

    fn mean(self) -> f64 {
        self.sum / self.divisor()
    }
}

impl std::ops::Add for Violations {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, count: self.count + other.count }
    }
}

/// What an anchor is compared with.
#[derive(Default)]
struct Anchor {
    /// The candidates of its identity.
    positives: Distances,
    /// The others.
    negatives: Distances,
    /// Numbers to work with.
    scratch: Vec<f32>,
}

/// Candidates, and the distances to them.
#[derive(Default)]
struct Distances {
    of: Vec<usize>,
    values: Vec<f32>,
    /// The number of violations that each takes part in: the derivative of their sum by a positive's distance, and minus that by a
    /// negative's.
    violations: Vec<f32>,
}

impl Distances {
    fn clear(&mut self) {
        self.of.clear();
        self.values.clear();
    }

    fn push(&mut self, candidate: usize, distance: f32) {
        self.of.push(candidate);
        self.values.push(distance);
    }
}

/// A loss that is a mean of violations: numbers that grow with the distances of positives, fall with those of negatives, and count where
/// they are above 0.
trait DistanceLoss: Sync {
    /// The violations of an anchor. The loss is the sum of two means, those of the first and of the second; derivatives by positives are
    /// divided by the count of the first, and by negatives by that of the second.
    ///
    /// Writes `violations` of positives and negatives, which are 0.
    fn of_anchor(&self, anchor: &mut Anchor) -> [Violations; 2];
}

impl LabelledRows {
    /// Rows of length one `[N, D]` and references `[M, D]`, each with labels, or none where tensor operations have to do the work: on a GPU,
    /// or in another format than f32.
    pub fn of<B: Backend>(
        (rows, labels): (&Tensor<B, 2>, &Tensor<B, 1, Int>),
        references: Option<(&Tensor<B, 2>, &Tensor<B, 1, Int>)>,
    ) -> Option<Self> {
        if rows.dtype() != DType::F32 || !computes_on_host::<B>(&rows.device()) {
            return None;
        }
        let [_, dim] = rows.dims();
        let read = |rows: &Tensor<B, 2>, labels: &Tensor<B, 1, Int>| -> Option<Labelled> {
            let rows = rows.clone().detach().into_data().into_vec().ok()?;
            Some(Labelled { rows, labels: labels.to_data().iter().collect() })
        };
        let references = match references {
            Some((rows, labels)) => Some(read(rows, labels)?),
            None => None,
        };
        Some(Self { anchors: read(rows, labels)?, references, dim })
    }

    fn candidates(&self) -> &Labelled {
        self.references.as_ref().unwrap_or(&self.anchors)
    }

    /// The loss, with its gradient if `differentiate`.
    ///
    /// It is called by functions of one loss that are not generic, so that the loops are compiled in this crate, with all optimisations, and
    /// not in that of a program.
    fn term(&self, loss: &impl DistanceLoss, differentiate: bool) -> DistanceTerm {
        let (count, others) = (self.anchors.labels.len(), self.candidates().labels.len());
        // ∂Σ/∂d_ij / d_ij of the sums of violations.
        let mut weights = vec![0.0; count * others];
        let found: Vec<[Violations; 2]> = weights
            .par_chunks_mut(BLOCK * others)
            .enumerate()
            .map(|(block, weights)| {
                vectorized(
                    #[inline(always)]
                    || self.block(loss, block * BLOCK, weights),
                )
            })
            .collect();
        let [first, second] =
            found.into_iter().reduce(|a, b| [a[0] + b[0], a[1] + b[1]]).expect("there is a row at least");
        let value = first.mean() + second.mean();
        let gradient = differentiate.then(|| {
            // Those of positives are above 0, and those of negatives below.
            let [of_positives, of_negatives] = [first, second].map(|of| (1.0 / of.divisor()) as f32);
            weights.par_iter_mut().for_each(|w| *w *= if *w > 0.0 { of_positives } else { of_negatives });
            self.gradient(&weights)
        });
        DistanceTerm { value, gradient }
    }

    /// The violations of a block of anchors, whose weights are written to `weights`, which are 0.
    #[inline(always)]
    fn block(&self, loss: &impl DistanceLoss, first: usize, weights: &mut [f32]) -> [Violations; 2] {
        let candidates = self.candidates();
        let (mut anchor, mut total) = (Anchor::default(), [Violations::default(); 2]);
        for (i, weights) in weights.chunks_exact_mut(candidates.labels.len()).enumerate() {
            let i = first + i;
            anchor.positives.clear();
            anchor.negatives.clear();
            let u = &self.anchors.rows[i * self.dim..][..self.dim];
            for (j, v) in candidates.rows.chunks_exact(self.dim).enumerate() {
                // Not √(2 − 2 u·v), which of rows that are nearly alike would be rounding.
                let distance = squared_distance(u, v).sqrt();
                match candidates.labels[j] == self.anchors.labels[i] {
                    true if self.references.is_none() && i == j => {}
                    true => anchor.positives.push(j, distance),
                    false => anchor.negatives.push(j, distance),
                }
            }
            for distances in [&mut anchor.positives, &mut anchor.negatives] {
                distances.violations.clear();
                distances.violations.resize(distances.of.len(), 0.0);
            }
            let [near, far] = loss.of_anchor(&mut anchor);
            total = [total[0] + near, total[1] + far];
            for (distances, sign) in [(&anchor.positives, 1.0), (&anchor.negatives, -1.0)] {
                for ((j, distance), count) in distances.of.iter().zip(&distances.values).zip(&distances.violations) {
                    // The derivative of a distance of 0 is taken to be 0.
                    weights[*j] = if *distance > 0.0 { sign * count / distance } else { 0.0 };
                }
            }
        }
        total
    }

    /// ∂L/∂u_i = Σ_j W_ij (u_i − v_j), and ∂L/∂v_j = Σ_i W_ij (v_j − u_i).
    fn gradient(&self, weights: &[f32]) -> DistanceGradient {
        let (u, dim) = (self.anchors.rows.as_slice(), self.dim);
        match &self.references {
            None => DistanceGradient { rows: pull(u, u, dim, weights, Direction::Both), references: None },
            Some(references) => {
                let v = references.rows.as_slice();
                let of_references = pull(v, u, dim, weights, Direction::Columns);
                DistanceGradient { rows: pull(u, v, dim, weights, Direction::Rows), references: Some(of_references) }
            }
        }
    }
}
