//! From derivatives by distances to those by rows.

use rayon::prelude::*;

use super::super::vectorized::vectorized;
use super::BLOCK;

/// Which weights pull at row i.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Direction {
    /// Row i of the weights.
    Rows,
    /// Column i.
    Columns,
    /// Row i and column i of a square matrix.
    Both,
}

/// Σ_j w_ij (x_i − y_j) of rows x `[N, D]` and y `[M, D]`. The weights are `[N, M]` in the direction of rows, and `[M, N]` in that of columns.
///
/// Of the differences, not (Σ w) x − Σ w y: those of rows that are nearly alike are small beside either.
pub(super) fn pull(x: &[f32], y: &[f32], dim: usize, weights: &[f32], direction: Direction) -> Vec<f32> {
    let (count, others) = (x.len() / dim, y.len() / dim);
    let mut gradient = vec![0.0; x.len()];
    gradient.par_chunks_mut(BLOCK * dim).enumerate().for_each_init(
        || vec![0.0; BLOCK * others],
        |scratch, (block, gradient)| {
            let first = block * BLOCK;
            let height = gradient.len() / dim;
            let of_block = &mut scratch[..height * others];
            match direction {
                Direction::Rows | Direction::Both => {
                    of_block.copy_from_slice(&weights[first * others..][..height * others])
                }
                Direction::Columns => of_block.fill(0.0),
            }
            if direction != Direction::Rows {
                for (j, row) in weights.chunks_exact(count).enumerate() {
                    for (i, w) in row[first..][..height].iter().enumerate() {
                        of_block[i * others + j] += w;
                    }
                }
            }
            vectorized(
                #[inline(always)]
                || {
                    for (i, gradient) in gradient.chunks_exact_mut(dim).enumerate() {
                        let x = &x[(first + i) * dim..][..dim];
                        for (w, y) in of_block[i * others..][..others].iter().zip(y.chunks_exact(dim)) {
                            // Most pairs of a trained network are far enough apart to weigh nothing.
                            if *w != 0.0 {
                                for ((g, x), y) in gradient.iter_mut().zip(x).zip(y) {
                                    *g += w * (x - y);
                                }
                            }
                        }
                    }
                },
            );
        },
    );
    gradient
}
