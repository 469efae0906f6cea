//! Without a floor: the matrix of a view set as the product X Xᵀ of a factor `[B, W]`, whose norm and spectrum are those of Xᵀ X.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::Sets;
use super::norms::{Set, sum_of_squares};

/// Rows that one task multiplies, at least.
const ROWS: usize = 1024;

/// S = 1 + Ẑ Ẑᵀ, of the factor [1, Ẑ].
pub(super) fn frobenius(sets: &Sets, set: usize, differentiate: bool) -> Set {
    Factor::with_ones(sets, set).set(differentiate)
}

/// J S J, of the factor Ẑ less the mean of its rows.
pub(super) fn centred(sets: &Sets, set: usize, differentiate: bool) -> Set {
    Factor::centred(sets, set).set(differentiate)
}

/// X `[B, W]`, row by row.
pub(super) struct Factor {
    entries: Vec<f32>,
    width: usize,
    /// D: the last so many columns are Ẑ, or differ from it by a constant each.
    dim: usize,
}

impl Factor {
    /// [1, Ẑ].
    pub fn with_ones(sets: &Sets, set: usize) -> Self {
        let width = sets.rows.dim + 1;
        let mut entries = Vec::with_capacity(sets.images * width);
        for row in sets.rows_of(set) {
            entries.push(1.0);
            entries.extend_from_slice(row);
        }
        Self { entries, width, dim: width - 1 }
    }

    /// Ẑ less the mean of its rows.
    fn centred(sets: &Sets, set: usize) -> Self {
        let dim = sets.rows.dim;
        // Relative to the first row: of rows that are nearly alike, the mean would be off by as much as they differ.
        let first = &sets.rows.unit[set * dim..][..dim];
        let mut entries = Vec::with_capacity(sets.images * dim);
        let mut sums = vec![0.0f64; dim];
        for row in sets.rows_of(set) {
            entries.extend(row.iter().zip(first).map(|(x, origin)| x - origin));
            let added = &entries[entries.len() - dim..];
            sums.iter_mut().zip(added).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        let mean: Vec<f32> = sums.iter().map(|sum| (sum / sets.images as f64) as f32).collect();
        for row in entries.chunks_exact_mut(dim) {
            row.iter_mut().zip(&mean).for_each(|(x, mean)| *x -= mean);
        }
        Self { entries, width: dim, dim }
    }

    fn images(&self) -> usize {
        self.entries.len() / self.width
    }

    /// By the smaller of Xᵀ X and X Xᵀ.
    fn set(&self, differentiate: bool) -> Set {
        let images = self.images();
        if images > self.width {
            let gram = self.gram();
            let product = if differentiate { self.multiplied(&gram) } else { Vec::new() };
            return Set { square: sum_of_squares(&gram), product };
        }
        let x = self.rows(&self.entries);
        let mut square = vec![0.0; images * images];
        let target = MatMut::from_row_major_slice_mut(&mut square, images, images);
        matmul(target, Accum::Replace, x, x.transpose(), 1.0, Par::Seq);
        let product = if differentiate {
            let mut product = vec![0.0; images * self.dim];
            let target = MatMut::from_row_major_slice_mut(&mut product, images, self.dim);
            let square = MatRef::from_row_major_slice(&square, images, images);
            matmul(target, Accum::Replace, square, self.last(x), 1.0, Par::Seq);
            product
        } else {
            Vec::new()
        };
        Set { square: sum_of_squares(&square), product }
    }

    /// Xᵀ X `[W, W]`, row by row.
    pub fn gram(&self) -> Vec<f32> {
        let size = self.width * self.width;
        let part = |entries: &[f32]| {
            let mut gram = vec![0.0; size];
            let x = self.rows(entries);
            let target = MatMut::from_row_major_slice_mut(&mut gram, self.width, self.width);
            matmul(target, Accum::Replace, x.transpose(), x, 1.0, Par::Seq);
            gram
        };
        let mut parts: Vec<Vec<f32>> = self.entries.par_chunks(self.rows_at_once() * self.width).map(part).collect();
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut sums = vec![0.0f64; size];
        for part in parts {
            sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += f64::from(x));
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// The last D columns of X M `[B, D]`, with M `[W, W]` row by row.
    pub fn multiplied(&self, matrix: &[f32]) -> Vec<f32> {
        let matrix = self.last(MatRef::from_row_major_slice(matrix, self.width, self.width));
        let mut product = vec![0.0; self.images() * self.dim];
        let rows = self.rows_at_once();
        let parts = product.par_chunks_mut(rows * self.dim).zip(self.entries.par_chunks(rows * self.width));
        parts.for_each(|(product, entries)| {
            let x = self.rows(entries);
            let target = MatMut::from_row_major_slice_mut(product, x.nrows(), self.dim);
            matmul(target, Accum::Replace, x, matrix, 1.0, Par::Seq);
        });
        product
    }

    /// So many that the Gram matrices of all parts are no more numbers than X.
    fn rows_at_once(&self) -> usize {
        ROWS.max(self.width)
    }

    fn rows<'a>(&self, entries: &'a [f32]) -> MatRef<'a, f32> {
        MatRef::from_row_major_slice(entries, entries.len() / self.width, self.width)
    }

    /// Of W columns the last D.
    fn last<'a>(&self, wide: MatRef<'a, f32>) -> MatRef<'a, f32> {
        wide.subcols(self.width - self.dim, self.dim)
    }

    /// W.
    pub fn width(&self) -> usize {
        self.width
    }
}
