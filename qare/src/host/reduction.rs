//! A symmetric matrix in tridiagonal form, A = Q T Qᵀ, and the way back from eigenvectors of T to those of A.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::householder::{Reduction, TOGETHER};
use super::panel::{Factor, ROWS, WIDTH, add_product, subtract_product};

/// T, and Q as a product of reflections.
pub(super) struct Reduced {
    /// Diagonal of T `[n]`.
    pub diagonal: Vec<f32>,
    /// Diagonal below it `[n − 1]`.
    pub below: Vec<f32>,
    /// V of each block of reflections, whose product is I − V F Vᵀ: from the first row on that is not zero, column by
    /// column.
    vectors: Vec<f32>,
    /// The upper triangular F of each, column by column.
    factors: Vec<Vec<f32>>,
}

impl Reduced {
    /// Reduces the matrix `[n, n]` that has `entry(x)` where the lower triangle of `matrix`, column by column, has x.
    pub fn new(matrix: &[f32], size: usize, entry: impl Fn(f32) -> f32) -> Self {
        let mut diagonal = vec![0.0; size];
        let mut below = vec![0.0; size.saturating_sub(1)];
        let mut taus = below.clone();
        let mut vectors = Vec::with_capacity(size * (size + TOGETHER) / 2);
        pulp::Arch::new().dispatch(Reduction {
            matrix,
            entry,
            vectors: &mut vectors,
            diagonal: &mut diagonal,
            below: &mut below,
            taus: &mut taus,
        });
        let mut rest = &vectors[..];
        let factor = |(block, taus): (usize, &[f32])| {
            let height = size - 1 - block * TOGETHER;
            let (own, after) = rest.split_at(height * taus.len());
            rest = after;
            factor(MatRef::from_column_major_slice(own, height, taus.len()), taus)
        };
        let factors = taus.chunks(TOGETHER).enumerate().map(factor).collect();
        Self { diagonal, below, vectors, factors }
    }

    /// Multiplies a panel `[n, WIDTH]` by Q from the left.
    pub fn rotate_back(&self, panel: &mut [f32]) {
        let size = self.diagonal.len();
        let mut before = &self.vectors[..];
        for (block, factor) in self.factors.iter().enumerate().rev() {
            let first = block * TOGETHER + 1;
            let height = size - first;
            let width = TOGETHER.min(height);
            let (rest, vectors) = before.split_at(before.len() - height * width);
            before = rest;
            rotate(vectors, factor, &mut panel[first * WIDTH..], width);
        }
    }
}

/// Multiplies a panel by I − V F Vᵀ, with V `[rows of the panel, width]` lower and F upper triangular.
fn rotate(vectors: &[f32], factor: &[f32], panel: &mut [f32], width: usize) {
    let height = vectors.len() / width;
    let mut along = [0.0; TOGETHER * WIDTH];
    let mut turned = [0.0; TOGETHER * WIDTH];
    let (along, turned) = (&mut along[..width * WIDTH], &mut turned[..width * WIDTH]);
    add_product(along, Factor { entries: vectors, by_row: height, by_column: 1 }, panel);
    // Of a triangle no more than the tiles with something in them.
    for (tile, turned) in turned.chunks_mut(ROWS * WIDTH).enumerate() {
        let first = tile * ROWS;
        let entries = &factor[first * width + first..];
        add_product(turned, Factor { entries, by_row: 1, by_column: width }, &along[first * WIDTH..]);
    }
    let (top, rest) = panel.split_at_mut(width * WIDTH);
    for (tile, top) in top.chunks_mut(ROWS * WIDTH).enumerate() {
        let entries = &vectors[tile * ROWS..];
        let turned = &turned[..width.min((tile + 1) * ROWS) * WIDTH];
        subtract_product(top, Factor { entries, by_row: 1, by_column: height }, turned);
    }
    subtract_product(rest, Factor { entries: &vectors[width..], by_row: 1, by_column: height }, turned);
}

/// F of the reflections I − τ_j v_j v_jᵀ: f_jj = τ_j, and above it −τ_j F Vᵀ v_j of the columns before.
///
/// Source: Schreiber and Van Loan, "A storage-efficient WY representation for products of Householder transformations" (1989).
fn factor(vectors: MatRef<'_, f32>, taus: &[f32]) -> Vec<f32> {
    let width = taus.len();
    let mut products = Mat::<f32>::zeros(width, width);
    matmul(products.as_mut(), Accum::Replace, vectors.transpose(), vectors, 1.0, Par::Seq);
    let mut factor = vec![0.0; width * width];
    for (j, tau) in taus.iter().enumerate() {
        for l in 0..j {
            let along = -tau * products[(l, j)];
            for i in 0..=l {
                factor[j * width + i] += factor[l * width + i] * along;
            }
        }
        factor[j * width + j] = *tau;
    }
    factor
}
