//! A symmetric matrix in tridiagonal form, A = Q T Qᵀ, and the way back from eigenvectors of T to those of A.

use faer::linalg::matmul::matmul;
use faer::reborrow::{Reborrow, ReborrowMut};
use faer::{Accum, Mat, MatMut, MatRef, Par};

use super::householder::Reduction;

/// Reflections brought back together.
const TOGETHER: usize = 32;

/// T, and Q as a product of reflections.
pub(super) struct Reduced {
    /// Diagonal of T `[n]`.
    pub diagonal: Vec<f32>,
    /// Diagonal below it `[n − 1]`.
    pub below: Vec<f32>,
    /// Column k holds v_k from row k + 1 on, and zeros above.
    vectors: Vec<f32>,
    /// Of each block of reflections the upper triangular F with which their product is I − V F Vᵀ.
    factors: Vec<Mat<f32>>,
}

impl Reduced {
    /// Reduces the matrix `[n, n]` that has `entry(x)` where the lower triangle of `matrix`, given column by column, has x.
    pub fn new(matrix: &[f32], size: usize, entry: impl Fn(f32) -> f32) -> Self {
        let mut diagonal = vec![0.0; size];
        let mut below = vec![0.0; size.saturating_sub(1)];
        let mut taus = below.clone();
        let mut vectors = Vec::with_capacity(size * size);
        pulp::Arch::new().dispatch(Reduction {
            matrix,
            entry,
            vectors: &mut vectors,
            diagonal: &mut diagonal,
            below: &mut below,
            taus: &mut taus,
        });
        let factors = block_factors(&vectors, size, &taus);
        Self { diagonal, below, vectors, factors }
    }

    /// The order n.
    pub fn size(&self) -> usize {
        self.diagonal.len()
    }

    /// Multiplies the columns `[n]` of `vectors` by Q.
    pub fn rotate_back(&self, vectors: MatMut<'_, f32>) {
        let mut rows = vectors.transpose_mut();
        let mut along = Mat::zeros(rows.nrows(), TOGETHER);
        let mut turned = along.clone();
        for (block, factor) in self.factors.iter().enumerate().rev() {
            let reflections = reflections(&self.vectors, self.size(), block);
            let (height, width) = (reflections.nrows(), reflections.ncols());
            let mut rows = rows.rb_mut().subcols_mut(self.size() - height, height);
            let (mut along, mut turned) = (along.as_mut().subcols_mut(0, width), turned.as_mut().subcols_mut(0, width));
            matmul(along.rb_mut(), Accum::Replace, rows.rb(), reflections, 1.0, Par::Seq);
            matmul(turned.rb_mut(), Accum::Replace, along.rb(), factor.transpose(), 1.0, Par::Seq);
            matmul(rows.rb_mut(), Accum::Add, turned.rb(), reflections.transpose(), -1.0, Par::Seq);
        }
    }
}

/// V of a block, from the first row on that is not zero.
fn reflections(vectors: &[f32], size: usize, block: usize) -> MatRef<'_, f32> {
    let first = block * TOGETHER;
    let width = TOGETHER.min(size - 1 - first);
    MatRef::from_column_major_slice(vectors, size, size - 1).submatrix(first + 1, first, size - 1 - first, width)
}

/// F of each block, column by column: f_jj = τ_j, and above it −τ_j F Vᵀ v_j of the columns before.
///
/// Source: Schreiber and Van Loan, "A storage-efficient WY representation for products of Householder transformations" (1989).
fn block_factors(vectors: &[f32], size: usize, taus: &[f32]) -> Vec<Mat<f32>> {
    let blocks = taus.chunks(TOGETHER).enumerate();
    blocks
        .map(|(block, taus)| {
            let reflections = reflections(vectors, size, block);
            let mut products = Mat::<f32>::zeros(taus.len(), taus.len());
            matmul(products.as_mut(), Accum::Replace, reflections.transpose(), reflections, 1.0, Par::Seq);
            let mut factor = Mat::zeros(taus.len(), taus.len());
            for (j, tau) in taus.iter().enumerate() {
                for l in 0..j {
                    let along = -tau * products[(l, j)];
                    for i in 0..=l {
                        factor[(i, j)] += factor[(i, l)] * along;
                    }
                }
                factor[(j, j)] = *tau;
            }
            factor
        })
        .collect()
}
