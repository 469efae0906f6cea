//! Matrices in panels of their columns, and products of symmetric matrices with them.

use rayon::prelude::*;

use crate::aligned::Aligned;
use crate::microkernel::{Factor, SQUARE, WIDTH, add_product};
use crate::packed::PackedSymmetric;

/// A matrix X `[rows, columns]` in panels of 64 of its columns, the form in which products are fast.
///
/// A panel lies row by row; the last one is filled up with zeros.
#[derive(Clone)]
pub struct Panels {
    rows: usize,
    columns: usize,
    entries: Aligned,
}

impl Panels {
    /// Packs a matrix of `count` rows of `dim` numbers each, which may lie anywhere.
    ///
    /// # Panics
    /// When there are more or fewer rows, or a row is longer or shorter.
    pub fn new<'a>(rows: impl Iterator<Item = &'a [f32]>, count: usize, dim: usize) -> Self {
        let mut panels = Self::zeros(count, dim);
        let mut packed = 0;
        for (i, row) in rows.enumerate() {
            assert_eq!(row.len(), dim, "entries of row {i}");
            assert!(i < count, "more than {count} rows");
            for (part, panel) in row.chunks(WIDTH).zip(panels.entries.chunks_exact_mut((count * WIDTH).max(1))) {
                panel[i * WIDTH..][..part.len()].copy_from_slice(part);
            }
            packed += 1;
        }
        assert_eq!(packed, count, "rows");
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
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.entries.chunks_exact((self.rows * WIDTH).max(1))
    }

    /// A X `[rows, columns]`, with A the symmetric `matrix` `[rows, rows]`.
    ///
    /// # Panics
    /// When A is of another order.
    pub fn multiplied(&self, matrix: &PackedSymmetric) -> Self {
        assert_eq!(matrix.order(), self.rows, "order of the matrix, for a product with as many rows");
        let mut product = Self::zeros(self.rows, self.columns);
        let panels = product.entries.chunks_exact_mut((self.rows * WIDTH).max(1)).zip(self.iter());
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

    /// Writes the matrix row by row into rows that may lie anywhere.
    ///
    /// # Panics
    /// When there are more rows, or a row is longer.
    pub fn write<'a>(&self, rows: impl Iterator<Item = &'a mut [f32]>) {
        for (i, row) in rows.enumerate() {
            for (row, panel) in row.chunks_mut(WIDTH).zip(self.iter()) {
                row.copy_from_slice(&panel[i * WIDTH..][..row.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn products_are_those_of_literal_sums() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for (order, dim) in [(1, 1), (2, 70), (63, 5), (64, 64), (65, 3), (130, 129)] {
            let rows: Vec<f32> = (0..order * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
            let full: Vec<f32> = (0..order * order).map(|_| rng.random_range(-1.0..1.0)).collect();
            let entry = |i: usize, j: usize| full[i.max(j) * order + i.min(j)];
            let panels = Panels::new(rows.chunks_exact(dim), order, dim);
            let product = panels.multiplied(&PackedSymmetric::from_lower(&full, order));
            assert_eq!((product.rows(), product.columns()), (order, dim));
            let mut written = vec![0.0f32; order * dim];
            product.write(written.chunks_exact_mut(dim));
            for (at, found) in written.iter().enumerate() {
                let term = |k: usize| f64::from(entry(at / dim, k)) * f64::from(rows[k * dim + at % dim]);
                let (expected, magnitude) =
                    (0..order).map(term).fold((0.0, 0.0), |(sum, total), x| (sum + x, total + x.abs()));
                // A sum of n products is off by at most (n + 1)·½ε of the sum of their magnitudes.
                let bound = (order + 1) as f64 * 0.5 * f64::from(f32::EPSILON) * magnitude;
                assert!((f64::from(*found) - expected).abs() <= bound, "{order}, {dim}: entry {at}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "order of the matrix")]
    fn matrices_of_another_order_are_refused() {
        Panels::new([[1.0f32].as_slice()].into_iter(), 1, 1).multiplied(&PackedSymmetric::from_fn(2, |_, _| 0.0));
    }
}
