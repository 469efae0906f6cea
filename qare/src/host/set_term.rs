//! QARe, fused.

use qare_symeig::{Decomposition, EigenError, EigenParams, PackedSymmetric, Panels};
use rayon::prelude::*;

use super::pairwise::unless_floored;
use super::{Term, UnitRows};
use crate::qare::Pairing;
use crate::spectrum::SET;
use crate::{ObjectiveError, SIMILARITY_FLOOR, Views};

/// Eigenvectors are left out where that changes ∂q/∂S by no more than this part of its norm, and may be off by as much.
///
/// That is what rounding does to it in f32, where an eigenvalue is known to about 1e-7 of the largest.
const NEGLIGIBLE: f64 = 1e-5;

/// One view set: its unit rows, its similarities s, and S = 1 + max(s, floor) decomposed.
struct Set {
    /// ẑ `[B, D]`.
    unit: Panels,
    /// s, before any floor.
    similarities: PackedSymmetric,
    decomposition: Decomposition,
    /// What messages call S.
    label: String,
}

/// The name of view set `set`'s matrix, of `sets`.
fn set_label(set: usize, sets: usize) -> String {
    format!("{SET} {} of {sets}", set + 1)
}

/// Why the decomposition of the `label`led matrix of order `size` failed.
fn failed(error: &EigenError, label: &str, size: usize) -> ObjectiveError {
    let quantity = label.to_owned();
    match error {
        EigenError::NonFinite { .. } => ObjectiveError::NonFinite { quantity },
        _ => ObjectiveError::NoConvergence { quantity, size },
    }
}

/// As [`Qare::forward`](crate::Qare::forward) defines it.
///
/// # Errors
/// When an eigendecomposition does not converge.
pub(super) fn term(rows: &UnitRows, views: Views, differentiate: bool) -> Result<Term, ObjectiveError> {
    let images = views.images(rows.count())?;
    let sets = views.count();
    let decomposed: Vec<Set> =
        (0..sets).into_par_iter().map(|set| Set::new(rows, sets, images, set)).collect::<Result<_, _>>()?;

    let values: Vec<&[f64]> = decomposed.iter().map(|set| set.decomposition.values()).collect();
    let Pairing { value, partners, scale } = Pairing::new(&values, images);
    if !differentiate {
        return Ok(Term { value, gradient: None });
    }

    let gradients: Vec<Panels> = decomposed
        .into_par_iter()
        .zip(&partners)
        .map(|(set, partners)| set.gradient(partners, scale))
        .collect::<Result<_, _>>()?;
    let mut gradient = vec![0.0; rows.unit.len()];
    for (set, panels) in gradients.iter().enumerate() {
        panels.write(gradient.chunks_exact_mut(rows.dim).skip(set).step_by(sets));
    }
    Ok(Term { value, gradient: Some(gradient) })
}

impl Set {
    /// View set `set` of the `sets` there are.
    fn new(rows: &UnitRows, sets: usize, images: usize, set: usize) -> Result<Self, ObjectiveError> {
        let unit = Panels::new(rows.unit.chunks_exact(rows.dim).skip(set).step_by(sets), images, rows.dim);
        let similarities = PackedSymmetric::gram(&unit);
        let floor = SIMILARITY_FLOOR as f32;
        let label = set_label(set, sets);
        let decomposition = Decomposition::mapped(
            &similarities,
            #[inline(always)]
            |s| 1.0 + if s < floor { floor } else { s },
            &EigenParams::default(),
        )
        .map_err(|error| failed(&error, &label, images))?;
        Ok(Self { unit, similarities, decomposition, label })
    }

    /// ∂q/∂ẑ `[B, D]` of this set, with ∂q/∂S = `scale` U diag(μ) Uᵀ.
    ///
    /// With the straight line that fits μ over λ best, μ_i = c + m λ_i + ρ_i, the matrix is c + m S + U diag(ρ) Uᵀ.
    /// The first does not matter (s_ii is a constant), the second needs no eigenvectors, and the more the spectra of the
    /// view sets are alike, the more ρ_i come to nothing.
    fn gradient(self, partners: &[f64], scale: f64) -> Result<Panels, ObjectiveError> {
        let allowance = NEGLIGIBLE * partners.iter().map(|partner| partner * partner).sum::<f64>().sqrt();
        let (slope, residuals) = residuals(self.decomposition.values(), partners, allowance);
        // 2·scale of all: S depends on each row twice.
        let scale = 2.0 * scale;
        let weights: Vec<f64> = residuals.into_iter().map(|residual| residual * scale).collect();
        let eigenvectors = self
            .decomposition
            .weighted(&weights, allowance * scale)
            .map_err(|error| failed(&error, &self.label, weights.len()))?;
        // s becomes slope S + U diag(weights) Uᵀ, without entries where the floor is active and on the diagonal.
        let mut matrix = self.similarities;
        let (slope, floor) = ((scale * slope) as f32, SIMILARITY_FLOOR as f32);
        matrix.combine(
            &eigenvectors,
            #[inline(always)]
            |s, sum| unless_floored(sum + slope * (1.0 + s), s, floor),
        );
        matrix.fill_diagonal(0.0);
        Ok(self.unit.multiplied(&matrix))
    }
}

/// The slope of a straight line through (λ_i, μ_i), and how far each μ_i is above it up to a constant, save that the smallest,
/// as many as together come to no more than `allowance`, have been made 0.
fn residuals(values: &[f64], partners: &[f64], allowance: f64) -> (f64, Vec<f64>) {
    // Least squares over all but the outermost eigenvalues, which are the largest by far.
    let count = values.len();
    let inner = count / 32..count - count / 16;
    let mean = |x: &[f64]| x[inner.clone()].iter().sum::<f64>() / inner.len() as f64;
    let (center, level) = (mean(values), mean(partners));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for i in inner.clone() {
        covariance += (values[i] - center) * (partners[i] - level);
        variance += (values[i] - center) * (values[i] - center);
    }
    let slope = if variance > 0.0 { covariance / variance } else { 0.0 };
    let mut residuals: Vec<f64> =
        values.iter().zip(partners).map(|(value, partner)| partner - level - slope * (value - center)).collect();
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| residuals[*a].abs().total_cmp(&residuals[*b].abs()));
    let mut left = allowance * allowance;
    for i in order {
        left -= residuals[i] * residuals[i];
        if left < 0.0 {
            break;
        }
        residuals[i] = 0.0;
    }
    (slope, residuals)
}
