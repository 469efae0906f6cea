//! A symmetric matrix in tridiagonal form, A = Q T Qᵀ, and the way back from eigenvectors of T to those of A.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par};

use super::householder::Reduction;
use super::panel::{Factor, WIDTH, add_product, subtract_product};

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
    /// Of each block of reflections the upper triangular F with which their product is I − V F Vᵀ, column by column.
    factors: Vec<Vec<f32>>,
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

    /// Multiplies a panel `[n, WIDTH]` by Q from the left.
    pub fn rotate_back(&self, panel: &mut [f32]) {
        let size = self.size();
        let mut along = [0.0; TOGETHER * WIDTH];
        let mut turned = [0.0; TOGETHER * WIDTH];
        for (block, factor) in self.factors.iter().enumerate().rev() {
            let first = block * TOGETHER;
            let width = TOGETHER.min(size - 1 - first);
            let panel = &mut panel[(first + 1) * WIDTH..];
            let (along, turned) = (&mut along[..width * WIDTH], &mut turned[..width * WIDTH]);
            along.fill(0.0);
            turned.fill(0.0);
            // V, from the first row on that is not zero.
            let vectors = &self.vectors[first * size + first + 1..];
            add_product(along, Factor { entries: vectors, by_row: size, by_column: 1 }, panel);
            add_product(turned, Factor { entries: factor, by_row: 1, by_column: width }, along);
            subtract_product(panel, Factor { entries: vectors, by_row: 1, by_column: size }, turned);
        }
    }
}

/// V of a block, from the first row on that is not zero.
fn reflections(vectors: &[f32], size: usize, block: usize) -> MatRef<'_, f32> {
    let first = block * TOGETHER;
    let width = TOGETHER.min(size - 1 - first);
    MatRef::from_column_major_slice(vectors, size, size - 1).submatrix(first + 1, first, size - 1 - first, width)
}

/// F of each block: f_jj = τ_j, and above it −τ_j F Vᵀ v_j of the columns before.
///
/// Source: Schreiber and Van Loan, "A storage-efficient WY representation for products of Householder transformations" (1989).
fn block_factors(vectors: &[f32], size: usize, taus: &[f32]) -> Vec<Vec<f32>> {
    let blocks = taus.chunks(TOGETHER).enumerate();
    blocks
        .map(|(block, taus)| {
            let reflections = reflections(vectors, size, block);
            let width = taus.len();
            let mut products = Mat::<f32>::zeros(width, width);
            matmul(products.as_mut(), Accum::Replace, reflections.transpose(), reflections, 1.0, Par::Seq);
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
        })
        .collect()
}
