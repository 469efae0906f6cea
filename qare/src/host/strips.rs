//! Symmetric matrices, of which the lower triangle is kept in strips of [`WIDTH`] rows.
//!
//! A strip reaches from the first column to the square on the diagonal, which is whole, and lies column by column: it is a
//! panel, with the matrix's columns for rows. Rows of the last strip beyond the matrix are zero.

use std::ops::Range;

use super::panel::{Factor, SQUARE, WIDTH, add_product};
use super::panels::Panels;
use super::vectorized::{Aligned, AlignedArray};

/// The strips of a matrix, one after the other.
pub(super) struct Strips {
    size: usize,
    entries: Aligned,
}

impl Strips {
    /// X Xᵀ `[n, n]` of a matrix X `[n, dim]`.
    pub fn of_products(matrix: &Panels) -> Self {
        let mut strips = Self::zeros(matrix.rows());
        let mut own = AlignedArray([0.0; SQUARE]);
        for (range, strip) in strips.iter_mut() {
            for (index, panel) in matrix.iter().enumerate() {
                let width = WIDTH.min(matrix.columns() - index * WIDTH);
                // The strip's rows as columns.
                own.0.fill(0.0);
                let rows = panel.chunks_exact(WIDTH).skip(range.start).take(range.len());
                for (column, row) in rows.enumerate() {
                    let target = own.0[column..].iter_mut().step_by(WIDTH);
                    target.zip(&row[..width]).for_each(|(entry, x)| *entry = *x);
                }
                add_product(strip, Factor { entries: panel, by_row: WIDTH, by_column: 1 }, &own.0[..width * WIDTH]);
            }
        }
        strips
    }

    fn zeros(size: usize) -> Self {
        Self { size, entries: Aligned::zeros(Self::start(size.div_ceil(WIDTH), size)) }
    }

    /// Where a strip starts: those before it are a square longer each time, but the last may be cut short.
    fn start(index: usize, size: usize) -> usize {
        let full = index.min(size / WIDTH);
        full * (full + 1) / 2 * SQUARE + (index - full) * size * WIDTH
    }

    /// The order n.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The rows of a strip.
    pub fn range(&self, index: usize) -> Range<usize> {
        index * WIDTH..self.size.min((index + 1) * WIDTH)
    }

    pub fn count(&self) -> usize {
        self.size.div_ceil(WIDTH)
    }

    /// A strip `[columns, WIDTH]`.
    pub fn strip(&self, index: usize) -> &[f32] {
        &self.entries[Self::start(index, self.size)..Self::start(index + 1, self.size)]
    }

    /// Every strip with its rows.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Range<usize>, &mut [f32])> {
        let ranges: Vec<Range<usize>> = (0..self.count()).map(|index| self.range(index)).collect();
        let mut rest = &mut self.entries[..];
        ranges.into_iter().map(move |range| {
            let (strip, after) = std::mem::take(&mut rest).split_at_mut(range.end * WIDTH);
            rest = after;
            (range, strip)
        })
    }

    /// The matrix with these entries, given by row and column.
    #[cfg(test)]
    pub fn from_fn(size: usize, entry: impl Fn(usize, usize) -> f32) -> Self {
        let mut strips = Self::zeros(size);
        for (range, strip) in strips.iter_mut() {
            for (column, rows) in strip.chunks_exact_mut(WIDTH).enumerate() {
                range.clone().zip(rows).for_each(|(row, x)| *x = entry(row, column));
            }
        }
        strips
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strips_hold_the_products_of_rows() {
        for (size, dim) in [(1, 1), (2, 3), (63, 5), (64, 2), (65, 64), (130, 65), (200, 7)] {
            let rows: Vec<f32> = (0..size * dim).map(|i| (i as f32 * 0.7).sin()).collect();
            let strips = Strips::of_products(&Panels::new(rows.chunks_exact(dim), size, dim));
            assert_eq!(strips.size(), size);
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
}
