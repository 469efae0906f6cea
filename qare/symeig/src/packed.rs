//! Symmetric matrices, whose lower triangle lies in strips of [`WIDTH`] rows.
//!
//! A strip reaches from the first column to the square on the diagonal, which is whole, and lies column by column: it is a
//! panel, with the columns of the matrix for rows. Rows of the last strip beyond the matrix are zero.

use std::ops::Range;

use rayon::prelude::*;

use crate::WeightedEigenvectors;
use crate::aligned::{Aligned, AlignedArray};
use crate::microkernel::{Factor, SQUARE, WIDTH, add_product};
use crate::panels::Panels;
use crate::simd::vectorized;

/// A symmetric matrix `[n, n]` in the form in which decompositions and products are fast: the lower triangle in strips of 64 rows,
/// and the squares on the diagonal whole.
#[derive(Clone)]
pub struct PackedSymmetric {
    order: usize,
    entries: Aligned,
}

impl PackedSymmetric {
    /// Packs a matrix `[order, order]` that lies row by row; only the lower triangle is read.
    ///
    /// # Panics
    /// When there are not `order`² entries.
    pub fn from_lower(matrix: &[f32], order: usize) -> Self {
        assert_eq!(Some(matrix.len()), order.checked_mul(order), "entries of a matrix of order {order}");
        Self::from_fn(order, |row, column| matrix[row * order + column])
    }

    /// The matrix with these entries, given by row and column ≤ row.
    pub fn from_fn(order: usize, entry: impl Fn(usize, usize) -> f32) -> Self {
        let mut matrix = Self::zeros(order);
        for (range, strip) in matrix.strips_mut() {
            for (column, rows) in strip.chunks_exact_mut(WIDTH).enumerate() {
                range.clone().zip(rows).for_each(|(row, x)| *x = entry(row.max(column), row.min(column)));
            }
        }
        matrix
    }

    /// The Gram matrix X Xᵀ `[n, n]` of the rows of X `[n, dim]`.
    pub fn gram(rows: &Panels) -> Self {
        let mut gram = Self::zeros(rows.rows());
        let mut own = AlignedArray([0.0; SQUARE]);
        for (range, strip) in gram.strips_mut() {
            for (index, panel) in rows.iter().enumerate() {
                let width = WIDTH.min(rows.columns() - index * WIDTH);
                // The rows of the strip as columns.
                own.0.fill(0.0);
                let rows = panel.chunks_exact(WIDTH).skip(range.start).take(range.len());
                for (column, row) in rows.enumerate() {
                    let target = own.0[column..].iter_mut().step_by(WIDTH);
                    target.zip(&row[..width]).for_each(|(entry, x)| *entry = *x);
                }
                add_product(strip, Factor { entries: panel, by_row: WIDTH, by_column: 1 }, &own.0[..width * WIDTH]);
            }
        }
        gram
    }

    fn zeros(order: usize) -> Self {
        Self { order, entries: Aligned::zeros(Self::start(order.div_ceil(WIDTH), order)) }
    }

    /// Where a strip starts: those before it are a square longer each time, but the last may be cut short.
    fn start(index: usize, order: usize) -> usize {
        let full = index.min(order / WIDTH);
        full * (full + 1) / 2 * SQUARE + (index - full) * order * WIDTH
    }

    /// The order n.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Entry (row, column), of either triangle.
    ///
    /// # Panics
    /// When there is no such entry.
    pub fn get(&self, row: usize, column: usize) -> f32 {
        let (row, column) = (row.max(column), row.min(column));
        assert!(row < self.order, "row or column {row} of a matrix of order {}", self.order);
        self.strip(row / WIDTH)[column * WIDTH + row % WIDTH]
    }

    /// Sets all entries on the diagonal.
    pub fn fill_diagonal(&mut self, value: f32) {
        for (range, strip) in self.strips_mut() {
            let diagonal = strip[range.start * WIDTH..].iter_mut().step_by(WIDTH + 1);
            diagonal.take(range.len()).for_each(|entry| *entry = value);
        }
    }

    /// a_ij ← `combine`(a_ij, s_ij) with S = Σ w u uᵀ, the weighted sum over `eigenvectors`.
    ///
    /// The sum is made a square at a time and never held whole. `combine` is compiled for the widest vectors of the processor if it
    /// can be inlined: `#[inline(always)] |entry, sum| …`.
    ///
    /// # Panics
    /// When the eigenvectors are of a matrix of another order.
    pub fn combine(&mut self, eigenvectors: &WeightedEigenvectors, combine: impl Fn(f32, f32) -> f32 + Sync) {
        assert_eq!(eigenvectors.order, self.order, "order of the matrix that the eigenvectors are of");
        let panels = &eigenvectors.panels;
        let strips: Vec<(Range<usize>, &mut [f32])> = self.strips_mut().collect();
        strips.into_par_iter().for_each(|(range, strip)| {
            // diag(w) Uᵀ of the rows of the strip.
            let mut weighted = Aligned::zeros(panels.len() * SQUARE);
            for (vectors, weighted) in panels.iter().zip(weighted.chunks_exact_mut(SQUARE)) {
                let rows = vectors.panel.chunks_exact(WIDTH).skip(range.start).take(range.len());
                for (row, entries) in rows.enumerate() {
                    for (column, (entry, weight)) in entries.iter().zip(&vectors.weights).enumerate() {
                        weighted[column * WIDTH + row] = entry * weight;
                    }
                }
            }
            for (part, entries) in strip.chunks_mut(SQUARE).enumerate() {
                let mut sums = AlignedArray([0.0; SQUARE]);
                let sums = &mut sums.0[..entries.len()];
                for (vectors, weighted) in panels.iter().zip(weighted.chunks_exact(SQUARE)) {
                    let factor = Factor { entries: &vectors.panel[part * SQUARE..], by_row: WIDTH, by_column: 1 };
                    add_product(sums, factor, &weighted[..vectors.weights.len() * WIDTH]);
                }
                vectorized(
                    #[inline(always)]
                    || {
                        for (entry, sum) in entries.iter_mut().zip(sums.iter()) {
                            *entry = combine(*entry, *sum);
                        }
                    },
                );
            }
            // Rows beyond the matrix stay zero.
            if range.len() < WIDTH {
                strip.chunks_exact_mut(WIDTH).for_each(|column| column[range.len()..].fill(0.0));
            }
        });
    }

    /// The rows of a strip.
    pub(crate) fn range(&self, index: usize) -> Range<usize> {
        index * WIDTH..self.order.min((index + 1) * WIDTH)
    }

    /// The number of strips.
    pub(crate) fn count(&self) -> usize {
        self.order.div_ceil(WIDTH)
    }

    /// A strip `[columns, WIDTH]`.
    pub(crate) fn strip(&self, index: usize) -> &[f32] {
        &self.entries[Self::start(index, self.order)..Self::start(index + 1, self.order)]
    }

    /// Every strip with its rows.
    fn strips_mut(&mut self) -> impl Iterator<Item = (Range<usize>, &mut [f32])> {
        let ranges: Vec<Range<usize>> = (0..self.count()).map(|index| self.range(index)).collect();
        let mut rest = &mut self.entries[..];
        ranges.into_iter().map(move |range| {
            let (strip, after) = std::mem::take(&mut rest).split_at_mut(range.end * WIDTH);
            rest = after;
            (range, strip)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_hold_the_gram_matrix_of_rows() {
        for (size, dim) in [(1, 1), (2, 3), (63, 5), (64, 2), (65, 64), (130, 65), (200, 7)] {
            let rows: Vec<f32> = (0..size * dim).map(|i| (i as f32 * 0.7).sin()).collect();
            let strips = PackedSymmetric::gram(&Panels::new(rows.chunks_exact(dim), size, dim));
            assert_eq!(strips.order(), size);
            for index in 0..strips.count() {
                let range = strips.range(index);
                let strip = strips.strip(index);
                assert_eq!(strip.len(), range.end * WIDTH);
                for (at, entry) in strip.iter().enumerate() {
                    let (row, column) = (range.start + at % WIDTH, at / WIDTH);
                    let product = |i: usize| f64::from(rows[row * dim + i]) * f64::from(rows[column * dim + i]);
                    let expected = if row < size { (0..dim).map(product).sum::<f64>() } else { 0.0 };
                    assert!(
                        (f64::from(*entry) - expected).abs() < 1e-6 * dim as f64,
                        "{size}, {dim}: ({row}, {column})"
                    );
                }
            }
        }
    }

    #[test]
    fn entries_are_those_of_the_lower_triangle() {
        for order in [0, 1, 5, 63, 64, 65, 130] {
            let full: Vec<f32> = (0..order * order).map(|i| i as f32).collect();
            let mut matrix = PackedSymmetric::from_lower(&full, order);
            for (i, j) in (0..order).flat_map(|i| (0..order).map(move |j| (i, j))) {
                assert_eq!(matrix.get(i, j), full[i.max(j) * order + i.min(j)]);
            }
            matrix.fill_diagonal(-1.0);
            for i in 0..order {
                assert_eq!(matrix.get(i, i), -1.0);
                assert!(i == 0 || matrix.get(i, 0) == full[i * order]);
            }
        }
    }
}
