//! With a floor: the matrix of a view set a block of rows at a time, never held whole.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::super::pairwise::{sum, unless_floored};
use super::super::vectorized::vectorized;
use super::Sets;
use super::norms::Set;
use crate::SIMILARITY_FLOOR;

/// Rows of a block of B columns. Its product with Ẑ prepares all of Ẑ anew, which the more rows are worth the fewer columns there are; a
/// block of 8,192 columns takes 1 MiB.
fn block_rows(images: usize) -> usize {
    ((1 << 15) / images).clamp(32, 128)
}

pub(in super::super) const FLOOR: f32 = SIMILARITY_FLOOR as f32;

/// S = 1 + max(s, floor).
pub(super) fn frobenius(sets: &Sets, set: usize, differentiate: bool) -> Set {
    let (square, product) = weighed(
        sets,
        set,
        differentiate,
        #[inline(always)]
        |i, row| {
            let square = sum(row, |s| (1.0 + raised(s)) * (1.0 + raised(s)));
            row.iter_mut().for_each(|s| *s = unless_floored(1.0 + *s, *s, FLOOR));
            row[i] = 0.0;
            square
        },
    );
    Set { square, product }
}

/// J S J = J max(s, floor) J.
pub(super) fn centred(sets: &Sets, set: usize, differentiate: bool) -> Set {
    // Means are of similarities less one of them: where all are nearly alike, they would be off by as much as those differ.
    let two = sets.matrix(set).subrows(0, 2);
    let mut origin = [0.0];
    let target = MatMut::from_row_major_slice_mut(&mut origin, 1, 1);
    matmul(target, Accum::Replace, two.subrows(0, 1), two.subrows(1, 1).transpose(), 1.0, Par::Seq);
    let origin = raised(origin[0]);
    let means = map_blocks(sets, set, |_, block| {
        vectorized(
            #[inline(always)]
            || {
                let mut means = Vec::new();
                for row in block.chunks_exact(sets.images) {
                    means.push(sum(row, |s| raised(s) - origin) / sets.images as f64);
                }
                means
            },
        )
    });
    let means: Vec<f64> = means.into_iter().flatten().collect();
    let mean = means.iter().sum::<f64>() / sets.images as f64;
    let of_columns: Vec<f32> = means.iter().map(|own| (own - mean) as f32).collect();
    let blocks = map_blocks(sets, set, |first, block| {
        let square = vectorized(
            #[inline(always)]
            || {
                let mut square = 0.0;
                let mut centred = vec![0.0; sets.images];
                for (i, row) in block.chunks_exact_mut(sets.images).enumerate() {
                    let of_row = means[first + i] as f32;
                    for ((c, s), of_column) in centred.iter_mut().zip(row.iter()).zip(&of_columns) {
                        *c = ((raised(*s) - origin) - of_row) - of_column;
                    }
                    square += sum(&centred, |c| c * c);
                    for (s, c) in row.iter_mut().zip(&centred) {
                        *s = unless_floored(*c, *s, FLOOR);
                    }
                    row[first + i] = 0.0;
                }
                square
            },
        );
        (square, product(sets, set, block, differentiate))
    });
    let (square, product) = joined(blocks);
    Set { square, product }
}

/// max(s, floor).
#[inline(always)]
pub(in super::super) fn raised(s: f32) -> f32 {
    if s < FLOOR { FLOOR } else { s }
}

/// Σ `weigh(i, s_i)` over the rows s_i of the similarities of a view set, and if a gradient is wanted W Ẑ `[B, D]`, where W is what
/// `weigh` leaves in the place of the similarities.
pub(super) fn weighed(
    sets: &Sets,
    set: usize,
    differentiate: bool,
    weigh: impl Fn(usize, &mut [f32]) -> f64 + Sync,
) -> (f64, Vec<f32>) {
    joined(map_blocks(sets, set, |first, block| {
        let total = vectorized(
            #[inline(always)]
            || {
                let rows = block.chunks_exact_mut(sets.images).enumerate();
                rows.map(
                    #[inline(always)]
                    |(i, row)| weigh(first + i, row),
                )
                .sum()
            },
        );
        (total, product(sets, set, block, differentiate))
    }))
}

/// Calls `of(i, s)` for each block of rows of the similarities s of a view set, from row i on, and gathers what it returns.
fn map_blocks<T: Send>(sets: &Sets, set: usize, of: impl Fn(usize, &mut [f32]) -> T + Sync) -> Vec<T> {
    let unit = sets.matrix(set);
    let rows = block_rows(sets.images);
    let block = |scratch: &mut Vec<f32>, block: usize| {
        let first = block * rows;
        let height = rows.min(sets.images - first);
        let similarities = &mut scratch[..height * sets.images];
        let target = MatMut::from_row_major_slice_mut(similarities, height, sets.images);
        matmul(target, Accum::Replace, unit.subrows(first, height), unit.transpose(), 1.0, Par::Seq);
        of(first, similarities)
    };
    let blocks = (0..sets.images.div_ceil(rows)).into_par_iter();
    blocks.map_init(|| vec![0.0; rows * sets.images], block).collect()
}

/// Rows of a matrix `[…, B]` times Ẑ, if a gradient is wanted.
fn product(sets: &Sets, set: usize, weights: &[f32], differentiate: bool) -> Vec<f32> {
    if !differentiate {
        return Vec::new();
    }
    let (height, dim) = (weights.len() / sets.images, sets.rows.dim);
    let mut product = vec![0.0; height * dim];
    let target = MatMut::from_row_major_slice_mut(&mut product, height, dim);
    let weights = MatRef::from_row_major_slice(weights, height, sets.images);
    matmul(target, Accum::Replace, weights, sets.matrix(set), 1.0, Par::Seq);
    product
}

/// The sums and the rows of products of all blocks of a set.
fn joined(blocks: Vec<(f64, Vec<f32>)>) -> (f64, Vec<f32>) {
    let total = blocks.iter().map(|(total, _)| total).sum();
    (total, blocks.into_iter().flat_map(|(_, product)| product).collect())
}
