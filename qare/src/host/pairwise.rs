//! What the pairwise terms have in common: two passes over the similarity matrix, a block of rows at a time.
//!
//! The first pass reduces each row of similarities to a few numbers (a sum, a threshold). With those of all rows known, the
//! derivative h_ij = ∂L/∂s_ij + ∂L/∂s_ji follows from s_ij alone, entry by entry, and ∂L/∂ẑ = h·ẑ. Computing the
//! similarities twice costs less than writing them to memory and reading them back.
//!
//! A set term that is a function of the same similarities is computed along with them: see [`NormTerm`].

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::UnitRows;
use super::alongside::NormTerm;
use super::vectorized::vectorized;

/// Rows of a block: a block of 8,192 columns then takes 1 MiB.
const BLOCK: usize = 32;

/// The two passes of one pairwise term.
pub(super) struct Passes<'a> {
    pub rows: &'a UnitRows,
    /// The set term that is computed along, unless the first pass [turns it down](NormTerm::finish).
    pub set_term: Option<NormTerm>,
}

impl Passes<'_> {
    /// The first pass: calls `row(i, s_i, before)` for each row of similarities ẑ_i·ẑ_j (no floor applied), and gathers what it returns;
    /// `before` is what it returned for the row before, if that is in the same block.
    pub fn reduce<T: Send>(&mut self, row: impl Fn(usize, &mut [f32], Option<&T>) -> T + Sync) -> Vec<T> {
        let Self { rows, set_term } = self;
        let count = rows.count();
        let block = |scratch: &mut Vec<f32>, block: usize| {
            let (first, similarities) = similarities(rows, block, scratch);
            vectorized(
                #[inline(always)]
                || {
                    // Loops, not iterators' methods, which the compiler may leave outside.
                    let mut results = Vec::with_capacity(BLOCK);
                    let mut of_set_term = Vec::new();
                    for (i, s) in similarities.chunks_exact_mut(count).enumerate() {
                        if let Some(term) = set_term.as_ref() {
                            of_set_term.push(term.sums(first + i, s));
                        }
                        let result = row(first + i, s, results.last());
                        results.push(result);
                    }
                    (results, of_set_term)
                },
            )
        };
        let blocks = (0..count.div_ceil(BLOCK)).into_par_iter();
        let blocks: Vec<(Vec<T>, Vec<[f64; 2]>)> = blocks.map_init(|| vec![0.0; BLOCK * count], block).collect();
        let (results, of_set_term): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        *set_term = set_term.take().and_then(|term| term.finish(of_set_term.into_iter().flatten()));
        results.into_iter().flatten().collect()
    }

    /// The second pass: h·ẑ `[N, D]`, where `row(i, s_i)` turns row i of the similarities into row i of the symmetric h. With a set term
    /// h is the weighted sum of both terms' derivatives.
    pub fn gradient(&self, row: impl Fn(usize, &mut [f32]) + Sync) -> Vec<f32> {
        let (count, dim) = (self.rows.count(), self.rows.dim);
        let unit = MatRef::from_row_major_slice(&self.rows.unit, count, dim);
        let mut gradient = vec![0.0; count * dim];
        gradient.par_chunks_mut(BLOCK * dim).enumerate().for_each_init(
            || vec![0.0; BLOCK * count],
            |scratch, (block, gradient)| {
                let (first, similarities) = similarities(self.rows, block, scratch);
                vectorized(
                    #[inline(always)]
                    || {
                        let mut of_row = Vec::new();
                        for (i, s) in similarities.chunks_exact_mut(count).enumerate() {
                            let Some(term) = self.set_term.as_ref() else {
                                row(first + i, s);
                                continue;
                            };
                            of_row.clear();
                            of_row.extend_from_slice(s);
                            row(first + i, s);
                            term.add(first + i, &of_row, s);
                        }
                    },
                );
                let height = similarities.len() / count;
                let weights = MatRef::from_row_major_slice(similarities, height, count);
                let gradient = MatMut::from_row_major_slice_mut(gradient, height, dim);
                matmul(gradient, Accum::Replace, weights, unit, 1.0, Par::Seq);
            },
        );
        gradient
    }
}

/// The rows of a block of the similarity matrix, and the index of the first.
fn similarities<'a>(rows: &UnitRows, block: usize, scratch: &'a mut [f32]) -> (usize, &'a mut [f32]) {
    let (count, dim) = (rows.count(), rows.dim);
    let first = block * BLOCK;
    let height = BLOCK.min(count - first);
    let similarities = &mut scratch[..height * count];
    let unit = MatRef::from_row_major_slice(&rows.unit, count, dim);
    let product = MatMut::from_row_major_slice_mut(similarities, height, count);
    matmul(product, Accum::Replace, unit.subrows(first, height), unit.transpose(), 1.0, Par::Seq);
    (first, similarities)
}

/// s_ij ← max(s_ij, floor) in a row.
#[inline(always)]
pub(super) fn raise(row: &mut [f32], floor: f32) {
    for s in row {
        *s = if *s < floor { floor } else { *s };
    }
}

/// x, or 0 where the similarity s is below the floor. Without a branch: it would be guessed wrong half of the time.
#[inline(always)]
pub(super) fn unless_floored(x: f32, s: f32, floor: f32) -> f32 {
    let mask = if s < floor { 0 } else { u32::MAX };
    f32::from_bits(x.to_bits() & mask)
}

/// Numbers summed in single precision; the sums of as many are summed in double.
const SPAN: usize = 4096;

/// Σ f(x) over a row.
#[inline(always)]
pub(super) fn sum(row: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let [sum] = sums([row], |[x]| [f(x)]);
    sum
}

/// Σ_j f(a_j, b_j, …) of several functions over rows of one length.
#[inline(always)]
pub(super) fn sums<const M: usize, const N: usize>(rows: [&[f32]; M], f: impl Fn([f32; M]) -> [f32; N]) -> [f64; N] {
    let mut total = [0.0; N];
    let count = rows[0].len();
    for first in (0..count).step_by(SPAN) {
        let mut spans = rows;
        for span in &mut spans {
            *span = &span[first..count.min(first + SPAN)];
        }
        let sums = short_sums(spans, &f);
        for n in 0..N {
            total[n] += f64::from(sums[n]);
        }
    }
    total
}

/// In 32 partial sums, which the compiler keeps in vector registers.
#[inline(always)]
fn short_sums<const M: usize, const N: usize>(rows: [&[f32]; M], f: impl Fn([f32; M]) -> [f32; N]) -> [f32; N] {
    let mut lanes = [[0.0; 32]; N];
    let (mut chunks, mut rest): ([&[[f32; 32]]; M], [&[f32]; M]) = ([&[]; M], [&[]; M]);
    for m in 0..M {
        (chunks[m], rest[m]) = rows[m].as_chunks();
    }
    let mut x = [0.0; M];
    for at in 0..chunks[0].len() {
        let chunk = chunks.map(|chunks| &chunks[at]);
        for lane in 0..32 {
            for m in 0..M {
                x[m] = chunk[m][lane];
            }
            let parts = f(x);
            for n in 0..N {
                lanes[n][lane] += parts[n];
            }
        }
    }
    for lane in 0..rest[0].len() {
        for m in 0..M {
            x[m] = rest[m][lane];
        }
        let parts = f(x);
        for n in 0..N {
            lanes[n][lane] += parts[n];
        }
    }
    lanes.map(|lanes| fold(lanes, |a, b| a + b))
}

/// Σ a b of two rows.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let [sum] = short_sums([a, b], |[a, b]| [a * b]);
    sum
}

/// Σ (a − b)² of two rows.
#[inline(always)]
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let [sum] = short_sums([a, b], |[a, b]| [(a - b) * (a - b)]);
    sum
}

/// The largest number of a row.
#[inline(always)]
pub(super) fn largest(row: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; 32];
    let (chunks, rest) = row.as_chunks::<32>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane = larger(*lane, *x);
    }
    fold(lanes, larger)
}

/// Combines the partial results pairwise.
#[inline(always)]
fn fold(mut lanes: [f32; 32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = lanes.len();
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = f(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}
