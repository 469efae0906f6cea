//! QARe, fused.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::reborrow::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::pairwise::unless_floored;
use super::panel::{Factor, WIDTH, add_product};
use super::spectrum::{Eigenvectors, Spectrum};
use super::vectorized::vectorized;
use super::{Term, UnitRows};
use crate::qare::Pairing;
use crate::spectrum::set_label;
use crate::{ObjectiveError, SIMILARITY_FLOOR, Views};

/// Eigenvectors are left out where that changes ∂q/∂S by no more than this part of its norm, and may be off by as much.
///
/// That is what rounding does to it in f32, where an eigenvalue is known to about 1e-7 of the largest.
const NEGLIGIBLE: f64 = 1e-5;

/// One view set: its unit rows, its similarities s, and S = 1 + max(s, floor) decomposed.
struct Set {
    /// ẑ `[B, D]`, row by row.
    unit: Vec<f32>,
    /// s, before any floor: the lower triangle, column by column.
    similarities: Vec<f32>,
    spectrum: Spectrum,
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

    let values: Vec<&[f64]> = decomposed.iter().map(|set| &set.spectrum.values[..]).collect();
    let Pairing { value, partners, scale } = Pairing::new(&values, images);
    if !differentiate {
        return Ok(Term { value, gradient: None });
    }

    let dim = rows.dim;
    let gradients: Vec<Vec<f32>> = (0..sets)
        .into_par_iter()
        .map(|set| decomposed[set].gradient(dim, &partners[set], scale))
        .collect::<Result<_, _>>()?;
    let mut gradient = vec![0.0; rows.unit.len()];
    for (row, target) in gradient.chunks_exact_mut(dim).enumerate() {
        target.copy_from_slice(&gradients[row % sets][row / sets * dim..][..dim]);
    }
    Ok(Term { value, gradient: Some(gradient) })
}

impl Set {
    /// View set `set` of the `sets` there are.
    fn new(rows: &UnitRows, sets: usize, images: usize, set: usize) -> Result<Self, ObjectiveError> {
        let dim = rows.dim;
        let mut unit = Vec::with_capacity(images * dim);
        rows.unit.chunks_exact(dim).skip(set).step_by(sets).for_each(|row| unit.extend_from_slice(row));
        let mut similarities = vec![0.0; images * images];
        let view = MatRef::from_row_major_slice(&unit, images, dim);
        triangular::matmul(
            MatMut::from_column_major_slice_mut(&mut similarities, images, images),
            BlockStructure::TriangularLower,
            Accum::Replace,
            view,
            BlockStructure::Rectangular,
            view.transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::Seq,
        );
        let floor = SIMILARITY_FLOOR as f32;
        let label = set_label(set, sets);
        let spectrum = Spectrum::new(
            &similarities,
            images,
            #[inline(always)]
            |s| 1.0 + if s < floor { floor } else { s },
            label,
        )?;
        Ok(Self { unit, similarities, spectrum })
    }

    /// ∂q/∂ẑ `[B, D]` of this set, with ∂q/∂S = `scale` U diag(μ) Uᵀ.
    ///
    /// With the straight line that fits μ over λ best, μ_i = c + m λ_i + ρ_i, the matrix is c + m S + U diag(ρ) Uᵀ.
    /// The first does not matter (s_ii is a constant), the second needs no eigenvectors, and the spectra of two view
    /// sets being much alike, most ρ_i come to nothing.
    fn gradient(&self, dim: usize, partners: &[f64], scale: f64) -> Result<Vec<f32>, ObjectiveError> {
        let allowance = NEGLIGIBLE * partners.iter().map(|partner| partner * partner).sum::<f64>().sqrt();
        let (slope, residuals) = residuals(&self.spectrum.values, partners, allowance);
        // 2·scale of all: S depends on each row twice.
        let scale = 2.0 * scale;
        let weights: Vec<f64> = residuals.into_iter().map(|residual| residual * scale).collect();
        let eigenvectors = self.spectrum.eigenvectors(&weights, allowance * scale)?;
        Ok(self.apply(dim, &eigenvectors, (scale * slope) as f32))
    }

    /// (`slope` S + U diag(weights) Uᵀ), entries left out where the floor is active and on the diagonal, times ẑ.
    ///
    /// Of that symmetric matrix, blocks of rows up to the diagonal are made first, each column by column.
    fn apply(&self, dim: usize, eigenvectors: &[Eigenvectors], slope: f32) -> Vec<f32> {
        let images = self.unit.len() / dim;
        let unit = MatRef::from_row_major_slice(&self.unit, images, dim);
        let bounds: Vec<(usize, usize)> =
            (0..images).step_by(WIDTH).map(|first| (first, images.min(first + WIDTH))).collect();
        let blocks: Vec<Vec<f32>> =
            bounds.par_iter().map(|(first, end)| self.block(*first, *end, eigenvectors, slope)).collect();
        let entries = |index: usize| {
            let (first, end) = bounds[index];
            MatRef::from_column_major_slice(&blocks[index], WIDTH, end).subrows(0, end - first)
        };

        let mut gradient = vec![0.0; images * dim];
        gradient.par_chunks_mut(WIDTH * dim).enumerate().for_each(|(index, gradient)| {
            let (first, end) = bounds[index];
            let mut gradient = MatMut::from_row_major_slice_mut(gradient, end - first, dim);
            matmul(gradient.rb_mut(), Accum::Replace, entries(index), unit.subrows(0, end), 1.0, Par::Seq);
            for (after, (from, to)) in bounds.iter().enumerate().skip(index + 1) {
                let entries = entries(after).subcols(first, end - first).transpose();
                matmul(gradient.rb_mut(), Accum::Add, entries, unit.subrows(*from, to - from), 1.0, Par::Seq);
            }
        });
        gradient
    }

    /// The rows from `first` to `end` of the matrix that [`apply`](Self::apply) multiplies ẑ with, up to column `end`: a
    /// panel in whose rows are the matrix's columns.
    fn block(&self, first: usize, end: usize, eigenvectors: &[Eigenvectors], slope: f32) -> Vec<f32> {
        let images = self.spectrum.values.len();
        let height = end - first;
        let mut entries = vec![0.0; WIDTH * end];
        let mut weighted = [0.0; WIDTH * WIDTH];
        for Eigenvectors { panel, weights } in eigenvectors {
            // The block's rows as columns.
            for (row, vectors) in panel.chunks_exact(WIDTH).skip(first).take(height).enumerate() {
                for (column, (entry, weight)) in vectors.iter().zip(weights).enumerate() {
                    weighted[column * WIDTH + row] = entry * weight;
                }
            }
            let factor = Factor { entries: panel, by_row: WIDTH, by_column: 1 };
            add_product(&mut entries, factor, &weighted[..weights.len() * WIDTH]);
        }

        let floor = SIMILARITY_FLOOR as f32;
        let columns = entries.chunks_exact_mut(WIDTH).zip(self.similarities.chunks_exact(images)).enumerate();
        vectorized(
            #[inline(always)]
            || {
                for (column, (entries, similarities)) in columns {
                    // Below the diagonal, where there are similarities.
                    let row = first.max(column + 1).min(end);
                    for (entry, s) in entries[row - first..].iter_mut().zip(&similarities[row..end]) {
                        *entry = unless_floored(*entry + slope * (1.0 + *s), *s, floor);
                    }
                }
            },
        );
        // On the diagonal and above.
        for column in 0..height {
            entries[(first + column) * WIDTH + column] = 0.0;
            for row in 0..column {
                entries[(first + column) * WIDTH + row] = entries[(first + row) * WIDTH + column];
            }
        }
        entries
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
