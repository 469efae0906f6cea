//! ⟨λ(S_1), λ(S_2)⟩ / (B(B−1)).

use qare_symeig::{Decomposition, EigenError, EigenParams, PackedSymmetric, Panels};
use rayon::prelude::*;

use super::super::Term;
use super::super::pairwise::unless_floored;
use super::Sets;
use super::factors::Factor;
use crate::set_term::{GRAM, Pairing};
use crate::spectrum::SET;
use crate::{ObjectiveError, SimilarityFloor};

/// Eigenvectors are left out where that changes ∂q/∂S by no more than this part of its norm, and may be off by as much.
///
/// That is what rounding does to it in f32, where an eigenvalue is known to about 1e-7 of the largest.
const NEGLIGIBLE: f64 = 1e-5;

/// # Errors
/// When an eigendecomposition does not converge.
pub(super) fn term(sets: &Sets, floor: SimilarityFloor, differentiate: bool) -> Result<Term, ObjectiveError> {
    match floor {
        SimilarityFloor::None if sets.images > sets.rows.dim + 1 => by_dimensions(sets, differentiate),
        _ => by_images(sets, floor.least(), differentiate),
    }
}

/// By the matrices S = 1 + max(s, floor) `[B, B]`.
fn by_images(sets: &Sets, floor: f32, differentiate: bool) -> Result<Term, ObjectiveError> {
    let decompose = |set: usize| {
        let unit = Panels::new(sets.rows_of(set), sets.images, sets.rows.dim);
        let spectrum = Spectrum::new(
            PackedSymmetric::gram(&unit),
            #[inline(always)]
            |s| 1.0 + if s < floor { floor } else { s },
            label(SET, set, sets),
        )?;
        Ok((spectrum, unit))
    };
    let derive = |spectrum: Spectrum, unit: Panels, partners: &[f64], scale: f64| {
        let mut derivative = spectrum.derivative(
            partners,
            scale,
            // Without entries where the floor is active, and on the diagonal.
            #[inline(always)]
            |s, sum, slope| unless_floored(sum + slope * (1.0 + s), s, floor),
        )?;
        derivative.fill_diagonal(0.0);
        Ok(unit.multiplied(&derivative))
    };
    let (value, gradients) = paired(sets, differentiate, decompose, derive)?;
    let gradient = gradients.map(|gradients| sets.gathered(|set, rows| gradients[set].write(rows)));
    Ok(Term { value, gradient })
}

/// By the Gram matrices Fᵀ F `[D + 1, D + 1]` with F = [1, Ẑ]: they have the eigenvalues of S = 1 + s without a floor, but for zeros.
fn by_dimensions(sets: &Sets, differentiate: bool) -> Result<Term, ObjectiveError> {
    let decompose = |set: usize| {
        let factor = Factor::with_ones(sets, set);
        let gram = PackedSymmetric::from_lower(&factor.gram(), factor.width());
        let spectrum = Spectrum::new(
            gram,
            #[inline(always)]
            |x| x,
            label(GRAM, set, sets),
        )?;
        Ok((spectrum, factor))
    };
    let derive = |spectrum: Spectrum, factor: Factor, partners: &[f64], scale: f64| {
        let derivative = spectrum.derivative(
            partners,
            scale,
            #[inline(always)]
            |x, sum, slope| sum + slope * x,
        )?;
        let width = factor.width();
        let entry = |at: usize| derivative.get(at / width, at % width);
        Ok(factor.multiplied(&(0..width * width).map(entry).collect::<Vec<f32>>()))
    };
    let (value, gradients) = paired(sets, differentiate, decompose, derive)?;
    let gradient = gradients.map(|gradients| {
        sets.gathered(|set, rows| {
            rows.zip(gradients[set].chunks_exact(sets.rows.dim)).for_each(|(row, of_set)| row.copy_from_slice(of_set));
        })
    });
    Ok(Term { value, gradient })
}

/// The term of the sets' spectra, and what `derive` makes of each set, if a gradient is wanted: from its spectrum, what `decompose`
/// returned beside it, and the partners μ and the scale of [`Pairing`].
fn paired<F: Send, G: Send>(
    sets: &Sets,
    differentiate: bool,
    decompose: impl Fn(usize) -> Result<(Spectrum, F), ObjectiveError> + Send + Sync,
    derive: impl Fn(Spectrum, F, &[f64], f64) -> Result<G, ObjectiveError> + Send + Sync,
) -> Result<(f64, Option<Vec<G>>), ObjectiveError> {
    let decomposed: Vec<(Spectrum, F)> = (0..sets.count).into_par_iter().map(decompose).collect::<Result<_, _>>()?;
    let values: Vec<&[f64]> = decomposed.iter().map(|(set, _)| set.decomposition.values()).collect();
    let Pairing { value, partners, scale } = Pairing::new(&values, sets.images);
    if !differentiate {
        return Ok((value, None));
    }
    let derive = |((spectrum, beside), partners): ((Spectrum, F), &Vec<f64>)| derive(spectrum, beside, partners, scale);
    let derived = decomposed.into_par_iter().zip(&partners).map(derive).collect::<Result<_, _>>()?;
    Ok((value, Some(derived)))
}

/// The matrix of a view set, decomposed.
struct Spectrum {
    /// Its entries, before what is done to each.
    entries: PackedSymmetric,
    decomposition: Decomposition,
    /// What messages call it.
    label: String,
}

/// The name of a view set's matrix.
fn label(matrix: &str, set: usize, sets: &Sets) -> String {
    format!("{matrix} {} of {}", set + 1, sets.count)
}

/// Why the decomposition of the `label`led matrix of order `size` failed.
fn failed(error: &EigenError, label: &str, size: usize) -> ObjectiveError {
    let quantity = label.to_owned();
    match error {
        EigenError::NonFinite { .. } => ObjectiveError::NonFinite { quantity },
        _ => ObjectiveError::NoConvergence { quantity, size },
    }
}

impl Spectrum {
    /// Of the matrix that has `entry(x)` where `entries` has x.
    fn new(entries: PackedSymmetric, entry: impl Fn(f32) -> f32 + Sync, label: String) -> Result<Self, ObjectiveError> {
        let decomposition = Decomposition::mapped(&entries, entry, &EigenParams::default())
            .map_err(|error| failed(&error, &label, entries.order()))?;
        Ok(Self { entries, decomposition, label })
    }

    /// 2 ∂q/∂A `[n, n]`, with ∂q/∂A = `scale` U diag(μ) Uᵀ and μ the `partners`. Of this matrix X Xᵀ or Xᵀ X, X depends on each row of
    /// X twice.
    ///
    /// With the straight line that fits μ over λ best, μ_i = c + m λ_i + ρ_i, the matrix is c + m A + U diag(ρ) Uᵀ.
    /// The first does not matter (s_ii is a constant, and a multiple of Ẑ is no gradient of unit rows), the second needs no eigenvectors,
    /// and the more the spectra of the view sets are alike, the more ρ_i come to nothing. `combine(x, U diag(ρ) Uᵀ, m)` makes an entry of
    /// the entry x.
    fn derivative(
        self,
        partners: &[f64],
        scale: f64,
        combine: impl Fn(f32, f32, f32) -> f32 + Sync,
    ) -> Result<PackedSymmetric, ObjectiveError> {
        let allowance = NEGLIGIBLE * partners.iter().map(|partner| partner * partner).sum::<f64>().sqrt();
        let (slope, residuals) = residuals(self.decomposition.values(), partners, allowance);
        let scale = 2.0 * scale;
        let weights: Vec<f64> = residuals.into_iter().map(|residual| residual * scale).collect();
        let eigenvectors = self
            .decomposition
            .weighted(&weights, allowance * scale)
            .map_err(|error| failed(&error, &self.label, weights.len()))?;
        let mut matrix = self.entries;
        let slope = (scale * slope) as f32;
        matrix.combine(
            &eigenvectors,
            #[inline(always)]
            |x, sum| combine(x, sum, slope),
        );
        Ok(matrix)
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
