//! Matrices in panels of their columns, and products of symmetric matrices with them.

use rayon::prelude::*;

use super::panel::{Factor, SQUARE, WIDTH, add_product};
use super::strips::Strips;
use super::vectorized::Aligned;

/// A matrix in panels of [`WIDTH`] of its columns, the last filled up with zeros.
pub(super) struct Panels {
    rows: usize,
    columns: usize,
    entries: Aligned,
}

impl Panels {
    /// Of `count` rows of `dim` numbers each.
    pub fn new<'a>(rows: impl Iterator<Item = &'a [f32]>, count: usize, dim: usize) -> Self {
        let mut panels = Self::zeros(count, dim);
        for (i, row) in rows.enumerate() {
            for (part, panel) in row.chunks(WIDTH).zip(panels.entries.chunks_exact_mut(count * WIDTH)) {
                panel[i * WIDTH..][..part.len()].copy_from_slice(part);
            }
        }
        panels
    }

    fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, entries: Aligned::zeros(rows * columns.next_multiple_of(WIDTH)) }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The panels, each `[rows, WIDTH]`.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.entries.chunks_exact(self.rows * WIDTH)
    }

    /// `matrix` · self.
    pub fn multiplied(&self, matrix: &Strips) -> Self {
        let mut product = Self::zeros(self.rows, self.columns);
        let panels = product.entries.chunks_exact_mut(self.rows * WIDTH).zip(self.iter());
        let targets =
            panels.flat_map(|(target, panel)| target.chunks_mut(SQUARE).enumerate().map(move |(i, t)| (i, t, panel)));
        let targets: Vec<_> = targets.collect();
        targets.into_par_iter().for_each(|(index, target, panel)| {
            let range = matrix.range(index);
            let own = Factor { entries: matrix.strip(index), by_row: 1, by_column: WIDTH };
            add_product(target, own, &panel[..range.end * WIDTH]);
            // Right of the diagonal there are the strips below, mirrored.
            for below in index + 1..matrix.count() {
                let entries = &matrix.strip(below)[range.start * WIDTH..];
                let rows = matrix.range(below);
                let mirrored = Factor { entries, by_row: WIDTH, by_column: 1 };
                add_product(target, mirrored, &panel[rows.start * WIDTH..rows.end * WIDTH]);
            }
        });
        product
    }

    /// Row by row into rows that may lie anywhere.
    pub fn write<'a>(&self, rows: impl Iterator<Item = &'a mut [f32]>) {
        for (i, row) in rows.enumerate() {
            for (row, panel) in row.chunks_mut(WIDTH).zip(self.iter()) {
                row.copy_from_slice(&panel[i * WIDTH..][..row.len()]);
            }
        }
    }
}
