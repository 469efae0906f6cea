//! QARe, fused.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::divide::Tridiagonal;
use super::reduction::Reduced;
use super::vectorized::vectorized;
use super::{Term, UnitRows};
use crate::qare::Pairing;
use crate::spectrum::set_label;
use crate::{ObjectiveError, SIMILARITY_FLOOR, Views};

/// Eigenvectors are left out where that changes ∂q/∂S by no more than this part of its norm.
///
/// That is what rounding does to it in f32, where an eigenvalue is known to about 1e-7 of the largest.
const NEGLIGIBLE: f64 = 1e-5;
/// Tasks into which the rows of a gradient are dealt out.
const TASKS: usize = 16;

/// One view set: its unit rows, and S = 1 + s decomposed.
struct Set {
    /// ẑ `[B, D]`, row by row.
    unit: Vec<f32>,
    /// S in tridiagonal form, and how it came there.
    reduced: Reduced,
    tridiagonal: Tridiagonal,
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

    let values = |set: &Set| set.tridiagonal.values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
    let values: Vec<Vec<f64>> = decomposed.iter().map(values).collect();
    let Pairing { value, partners, scale } = Pairing::new(&values, images);
    if !differentiate {
        return Ok(Term { value, gradient: None });
    }

    let dim = rows.dim;
    let gradients: Vec<Vec<f32>> = (0..sets)
        .into_par_iter()
        .map(|set| decomposed[set].gradient(dim, &values[set], &partners[set], scale))
        .collect();
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
        let unit: Vec<f32> = rows.unit.chunks_exact(dim).skip(set).step_by(sets).flatten().copied().collect();
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
        for (j, column) in similarities.chunks_exact_mut(images).enumerate() {
            column[j..].iter_mut().for_each(|s| *s = 1.0 + if *s < floor { floor } else { *s });
        }
        let reduced = Reduced::new(similarities, images);
        let tridiagonal = Tridiagonal::new(reduced.diagonal.clone(), &reduced.below)
            .map_err(|_| ObjectiveError::NoConvergence { quantity: set_label(set, sets), size: images })?;
        Ok(Self { unit, reduced, tridiagonal })
    }

    /// ∂q/∂ẑ `[B, D]` of this set, with ∂q/∂S = `scale` U diag(μ) Uᵀ.
    ///
    /// With the straight line that fits μ over λ best, μ_i = c + m λ_i + ρ_i, the matrix is c + m S + U diag(ρ) Uᵀ.
    /// The first does not matter (s_ii is a constant), the second needs no eigenvectors, and the spectra of two view
    /// sets being much alike, most ρ_i come to nothing.
    fn gradient(&self, dim: usize, values: &[f64], partners: &[f64], scale: f64) -> Vec<f32> {
        let (slope, residuals) = residuals(values, partners);
        let wanted: Vec<bool> = residuals.iter().map(|residual| *residual != 0.0).collect();
        let images = values.len();
        let (mut vectors, ranks) = self.tridiagonal.vectors(&wanted);
        vectors.par_chunks_mut(images * 128).for_each(|vectors| self.reduced.rotate_back(vectors));
        // 2·scale of all: S depends on each row twice.
        let weights: Vec<f32> = ranks.iter().map(|rank| (2.0 * scale * residuals[*rank]) as f32).collect();
        let slope = (2.0 * scale * slope) as f32;
        self.apply(dim, &vectors, &weights, slope)
    }

    /// (`slope` S + U diag(`weights`) Uᵀ), entries left out where the floor is active and on the diagonal, times ẑ.
    ///
    /// A task takes blocks of rows up to the diagonal, and uses each entry for its row and for its column.
    fn apply(&self, dim: usize, vectors: &[f32], weights: &[f32], slope: f32) -> Vec<f32> {
        let images = self.reduced.size();
        let columns = MatRef::from_column_major_slice(vectors, images, weights.len());
        let unit = MatRef::from_row_major_slice(&self.unit, images, dim);
        let block = (images / TASKS).clamp(16, 64);
        let blocks = images.div_ceil(block);
        let floor = SIMILARITY_FLOOR as f32;
        let parts: Vec<Vec<f32>> = (0..TASKS.min(blocks))
            .into_par_iter()
            .map(|task| {
                let mut part = vec![0.0; images * dim];
                let mut similarities = vec![0.0; block * images];
                let mut products = vec![0.0; block * images];
                let mut weighted = vec![0.0; block * weights.len()];
                for first in (task..blocks).step_by(TASKS).map(|index| index * block) {
                    let end = images.min(first + block);
                    let height = end - first;
                    let similarities = &mut similarities[..height * end];
                    let products = &mut products[..height * end];
                    let own = unit.subrows(first, height);
                    let target = MatMut::from_row_major_slice_mut(similarities, height, end);
                    matmul(target, Accum::Replace, own, unit.subrows(0, end).transpose(), 1.0, Par::Seq);
                    for ((to, from), weight) in
                        weighted.chunks_exact_mut(height).zip(vectors.chunks_exact(images)).zip(weights)
                    {
                        to.iter_mut().zip(&from[first..end]).for_each(|(to, from)| *to = from * weight);
                    }
                    let rows =
                        MatRef::from_column_major_slice(&weighted[..height * weights.len()], height, weights.len());
                    let target = MatMut::from_row_major_slice_mut(products, height, end);
                    matmul(target, Accum::Replace, rows, columns.subrows(0, end).transpose(), 1.0, Par::Seq);
                    vectorized(
                        #[inline(always)]
                        || {
                            for (s, product) in similarities.iter_mut().zip(&*products) {
                                let entry = product + slope * (1.0 + *s);
                                *s = if *s < floor { 0.0 } else { entry };
                            }
                        },
                    );
                    for row in 0..height {
                        similarities[row * end + first + row] = 0.0;
                    }
                    let entries = MatRef::from_row_major_slice(&*similarities, height, end);
                    let mut part = MatMut::from_row_major_slice_mut(&mut part, images, dim);
                    matmul(
                        part.as_mut().subrows_mut(first, height),
                        Accum::Add,
                        entries,
                        unit.subrows(0, end),
                        1.0,
                        Par::Seq,
                    );
                    let before = entries.subcols(0, first).transpose();
                    matmul(part.as_mut().subrows_mut(0, first), Accum::Add, before, own, 1.0, Par::Seq);
                }
                part
            })
            .collect();
        let mut parts = parts.into_iter();
        let mut gradient = parts.next().expect("there is at least one block");
        for part in parts {
            gradient.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        gradient
    }
}

/// The slope of a straight line through (λ_i, μ_i), and how far each μ_i is above it up to a constant, save that those which together are
/// negligible have been made 0.
fn residuals(values: &[f64], partners: &[f64]) -> (f64, Vec<f64>) {
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
    let mut allowance = NEGLIGIBLE * NEGLIGIBLE * partners.iter().map(|partner| partner * partner).sum::<f64>();
    for i in order {
        allowance -= residuals[i] * residuals[i];
        if allowance < 0.0 {
            break;
        }
        residuals[i] = 0.0;
    }
    (slope, residuals)
}
