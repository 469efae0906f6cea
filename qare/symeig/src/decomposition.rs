//! The eigendecomposition of a packed matrix: all eigenvalues, and as many of the eigenvectors as are wanted.

use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::bisection::eigenvalues;
use crate::divide::DivideAndConquer;
use crate::in_pool;
use crate::microkernel::WIDTH;
use crate::packed::PackedSymmetric;
use crate::reduction::Reduction;
use crate::tridiagonal::Tridiagonal;
use crate::{EigenError, EigenParams};

/// The eigendecomposition A = U diag(λ) Uᵀ of a symmetric matrix `[n, n]`, from which eigenvectors are made when they are asked for.
///
/// It holds A in tridiagonal form, A = Q T Qᵀ, and the eigenvalues of T.
pub struct Decomposition {
    /// Eigenvalues of A.
    values: Vec<f64>,
    /// Those of T, which is of A after [scaling](crate::scaling).
    scaled: Vec<f64>,
    reduction: Reduction,
    tridiagonal: Tridiagonal,
    /// Divide and conquer, if it was needed for the eigenvalues.
    divided: Option<DivideAndConquer>,
    params: EigenParams,
}

/// Up to [`WIDTH`] unit eigenvectors.
pub(crate) struct WeightedPanel {
    /// One in each column `[n, WIDTH]`; columns left over are zero, or of no weight.
    pub panel: Aligned,
    /// w of each.
    pub weights: Vec<f32>,
}

/// Unit eigenvectors u with their weights w, for [`PackedSymmetric::combine`].
pub struct WeightedEigenvectors {
    pub(crate) order: usize,
    pub(crate) panels: Vec<WeightedPanel>,
}

impl WeightedEigenvectors {
    /// Σ w u uᵀ `[n, n]`.
    pub fn sum(&self) -> PackedSymmetric {
        let mut sum = PackedSymmetric::from_fn(self.order, |_, _| 0.0);
        sum.combine(
            self,
            #[inline(always)]
            |_, sum| sum,
        );
        sum
    }

    /// The number of eigenvectors.
    pub fn len(&self) -> usize {
        self.panels.iter().map(|panel| panel.weights.len()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Decomposition {
    /// Decomposes `matrix`.
    ///
    /// # Errors
    /// When an entry is NaN or infinite, or the eigenvalues are not found.
    pub fn new(matrix: &PackedSymmetric, params: &EigenParams) -> Result<Self, EigenError> {
        Self::mapped(
            matrix,
            #[inline(always)]
            |x| x,
            params,
        )
    }

    /// Decomposes the matrix that has `entry(x)` where `matrix` has x, without writing it down. `entry` is compiled for the widest
    /// vectors of the processor if it can be inlined: `#[inline(always)] |x| …`.
    ///
    /// # Errors
    /// When an entry is NaN or infinite, or the eigenvalues are not found.
    pub fn mapped(
        matrix: &PackedSymmetric,
        entry: impl Fn(f32) -> f32 + Sync,
        params: &EigenParams,
    ) -> Result<Self, EigenError> {
        in_pool(matrix.order(), || {
            let mut decomposition = Self::reduced(matrix, &entry, params)?;
            let values = match eigenvalues(&decomposition.tridiagonal, params) {
                Some(values) => values,
                None => decomposition.divided.insert(decomposition.divide()?).values.clone(),
            };
            decomposition.set_values(&values);
            Ok(decomposition)
        })
    }

    /// The same by divide and conquer, for callers that want every eigenvector.
    pub(crate) fn with_basis(matrix: &PackedSymmetric, params: &EigenParams) -> Result<Self, EigenError> {
        let mut decomposition = Self::reduced(matrix, &|x| x, params)?;
        let divided = decomposition.divide()?;
        decomposition.set_values(&divided.values);
        decomposition.divided = Some(divided);
        Ok(decomposition)
    }

    /// Without eigenvalues yet.
    fn reduced(
        matrix: &PackedSymmetric,
        entry: &impl Fn(f32) -> f32,
        params: &EigenParams,
    ) -> Result<Self, EigenError> {
        let reduction = Reduction::new(matrix, entry).map_err(|_| not_finite(matrix, entry))?;
        let tridiagonal = Tridiagonal::new(reduction.diagonal.clone(), &reduction.below);
        let (values, scaled, params) = (Vec::new(), Vec::new(), params.clone());
        Ok(Self { values, scaled, reduction, tridiagonal, divided: None, params })
    }

    fn set_values(&mut self, values: &[f32]) {
        self.scaled = values.iter().copied().map(f64::from).collect();
        let unit = self.reduction.scaling.map_or(1.0, |scaling| scaling.unit);
        self.values = self.scaled.iter().map(|value| value * unit).collect();
    }

    /// The order n.
    pub fn order(&self) -> usize {
        self.tridiagonal.order()
    }

    /// λ `[n]` in ascending order, to about 1e-7 of the largest magnitude; two that agree to that may be in the other order. As f64 they
    /// have the range that eigenvalues of f32 matrices need.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The unit eigenvectors whose weights are not zero, such that Σ w u uᵀ is off by no more than about `tolerance` in the Frobenius
    /// norm, where f32 allows it.
    ///
    /// Each eigenvector is made by itself by twisted factorisation, if the estimate of the error that this leaves, √Σ (w·|(T − λ)u|/gap)²,
    /// is within the tolerance. Where eigenvalues with weights are too close to each other for that, divide and conquer makes all.
    ///
    /// # Errors
    /// When divide and conquer does not converge.
    ///
    /// # Panics
    /// When there are not n weights.
    pub fn weighted(&self, weights: &[f64], tolerance: f64) -> Result<WeightedEigenvectors, EigenError> {
        assert_eq!(weights.len(), self.order(), "weights of the eigenvectors");
        let wanted: Vec<usize> = (0..weights.len()).filter(|rank| weights[*rank] != 0.0).collect();
        let panels = in_pool(self.order(), || {
            if self.divided.is_none()
                && let Some(panels) = self.twisted(&wanted, weights, tolerance)
            {
                return Ok(panels);
            }
            self.divided(&wanted, weights)
        })?;
        Ok(WeightedEigenvectors { order: self.order(), panels })
    }

    /// Each by itself, unless eigenvalues are too close to each other for that.
    fn twisted(&self, wanted: &[usize], weights: &[f64], tolerance: f64) -> Option<Vec<WeightedPanel>> {
        let (values, order) = (&self.scaled, self.order());
        let gap = |rank: usize| {
            let lower = rank.checked_sub(1).map_or(f64::INFINITY, |before| values[rank] - values[before]);
            let upper = values.get(rank + 1).map_or(f64::INFINITY, |after| after - values[rank]);
            lower.min(upper)
        };
        let made: Vec<(WeightedPanel, f64)> = wanted
            .par_chunks(WIDTH)
            .map(|ranks| {
                let shifts: Vec<f32> = ranks.iter().map(|rank| values[*rank] as f32).collect();
                let mut panel = Aligned::zeros(order * WIDTH);
                let qualities = self.tridiagonal.vectors(&shifts, &mut panel);
                // The angle to the eigenvector is at most the residual over the gap.
                let error = |(rank, residual): (&usize, f32)| {
                    (weights[*rank] * (f64::from(residual) / gap(*rank)).min(2.0)).powi(2)
                };
                let residuals = qualities.iter().map(|quality| quality.residual + f32::EPSILON * quality.magnitude);
                let error = ranks.iter().zip(residuals).map(error).sum();
                // Whether or not it comes to be used: the panel is in the cache now.
                self.reduction.back_transform(&mut panel);
                let weights = ranks.iter().map(|rank| weights[*rank] as f32).collect();
                (WeightedPanel { panel, weights }, error)
            })
            .collect();
        let error: f64 = made.iter().map(|(_, error)| error).sum();
        (error <= tolerance * tolerance).then(|| made.into_iter().map(|(panel, _)| panel).collect())
    }

    /// By divide and conquer.
    fn divided(&self, wanted: &[usize], weights: &[f64]) -> Result<Vec<WeightedPanel>, EigenError> {
        let panels = self.basis(wanted)?;
        let weigh = |(panel, ranks): (Aligned, Vec<usize>)| WeightedPanel {
            panel,
            weights: ranks.into_iter().map(|rank| weights[rank] as f32).collect(),
        };
        Ok(panels.into_iter().map(weigh).collect())
    }

    /// The eigenvectors of `wanted` eigenvalues by divide and conquer, in panels, with the ranks of each.
    pub(crate) fn basis(&self, wanted: &[usize]) -> Result<Vec<(Aligned, Vec<usize>)>, EigenError> {
        let now;
        let divided = match &self.divided {
            Some(divided) => divided,
            None => {
                now = self.divide()?;
                &now
            }
        };
        let order = self.order();
        let mut marks = vec![false; order];
        wanted.iter().for_each(|rank| marks[*rank] = true);
        let (vectors, ranks) = divided.vectors(&marks);
        let back = |(vectors, ranks): (&[f32], &[usize])| {
            let mut panel = Aligned::zeros(order * WIDTH);
            for (column, vector) in vectors.chunks_exact(order).enumerate() {
                panel[column..].iter_mut().step_by(WIDTH).zip(vector).for_each(|(entry, x)| *entry = *x);
            }
            self.reduction.back_transform(&mut panel);
            (panel, ranks.to_vec())
        };
        Ok(vectors.par_chunks((order * WIDTH).max(1)).zip(ranks.par_chunks(WIDTH)).map(back).collect())
    }

    fn divide(&self) -> Result<DivideAndConquer, EigenError> {
        DivideAndConquer::new(self.reduction.diagonal.clone(), &self.reduction.below, &self.params)
            .map_err(|_| EigenError::NoConvergence { order: self.order() })
    }
}

/// Which entry is NaN or infinite.
fn not_finite(matrix: &PackedSymmetric, entry: &impl Fn(f32) -> f32) -> EigenError {
    let places = (0..matrix.order()).flat_map(|row| (0..=row).map(move |column| (row, column)));
    let mut places = places.filter(|(row, column)| !entry(matrix.get(*row, *column)).is_finite());
    let (row, column) = places.next().expect("the reduction has met one");
    EigenError::NonFinite { row, column }
}

#[cfg(test)]
#[path = "decomposition_tests.rs"]
mod tests;
