//! Eigenvectors of a symmetric tridiagonal matrix by twisted factorisation, each made by itself: as many at a time as the
//! machine's vectors hold.
//!
//! T − λ is factored from the top, L D Lᵀ, and from the bottom, U D' Uᵀ. Where both meet, in the row k that leaves the smallest
//! |γ_k| = |D_k + D'_k − (T_kk − λ)|, the vector z with z_k = 1 and all other equations fulfilled has (T − λ) z = γ_k e_k:
//! Rayleigh's quotient is λ + γ_k / |z|², and |γ_k| / |z| is how far z is from an eigenvector.
//!
//! Source: Dhillon and Parlett, "Multiple representations to compute orthogonal eigenvectors of symmetric tridiagonal
//! matrices" (2004), section 3; Parlett and Dhillon, "Fernando's solution to Wilkinson's problem" (1997).

use pulp::{Simd, WithSimd, bytemuck};
use rayon::prelude::*;

/// Vectors of shifts worked on side by side, so that one's divisions fill the time another's take.
pub(super) const GROUPS: usize = 4;
/// Shifts of a task: as many as [`GROUPS`] of the longest vectors there are.
pub(super) const BLOCK: usize = 64;
/// Entries of a vector below this are none: their squares would leave the range of f32.
const FAINTEST: f32 = 1e-18;

/// A symmetric tridiagonal matrix.
pub(super) struct Matrix {
    /// Diagonal `[n]`.
    pub diagonal: Vec<f32>,
    /// Diagonal below it, and a zero `[n]`.
    pub below: Vec<f32>,
    /// Σ_j |T_ij| `[n]`.
    sums: Vec<f32>,
    /// Smaller pivots are taken to be this.
    pub least: f32,
}

/// What is found at a shift.
#[derive(Clone, Copy, Default)]
pub(super) struct Step {
    /// How many eigenvalues are below it.
    pub below: usize,
    /// From it to Rayleigh's quotient of the vector.
    pub length: f32,
    /// |(T − λ) z| of the unit vector.
    pub residual: f32,
    /// Norm of what |T| makes of the unit vector's magnitudes: times f32's ε, what rounding does to its eigenvalue.
    pub magnitude: f32,
}

impl Matrix {
    /// With this diagonal `[n]`, and `below` below it `[n − 1]`.
    pub fn new(diagonal: Vec<f32>, below: &[f32]) -> Self {
        let mut below = below.to_vec();
        below.push(0.0);
        let before = |i: usize| if i == 0 { 0.0 } else { below[i - 1].abs() };
        let sums = (0..diagonal.len()).map(|i| diagonal[i].abs() + below[i].abs() + before(i)).collect();
        let most = below.iter().fold(1.0f32, |most, e| most.max(e * e));
        Self { diagonal, below, sums, least: f32::MIN_POSITIVE * most }
    }

    /// The order n.
    pub fn size(&self) -> usize {
        self.diagonal.len()
    }

    /// Bounds of the eigenvalues (Gershgorin), and the root of their mean square.
    pub fn bounds(&self) -> (f32, f32, f32) {
        let (mut low, mut high, mut squares) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
        for ((d, e), sum) in self.diagonal.iter().zip(&self.below).zip(&self.sums) {
            low = low.min(d - (sum - d.abs()));
            high = high.max(d + (sum - d.abs()));
            squares += d * d + 2.0 * e * e;
        }
        let margin = 4.0 * f32::EPSILON * low.abs().max(high.abs());
        (low - margin, high + margin, (squares / self.size() as f32).sqrt())
    }

    /// What is found at each shift.
    pub fn steps(&self, shifts: &[f32]) -> Vec<Step> {
        let mut steps = vec![Step::default(); shifts.len()];
        let arch = pulp::Arch::new();
        steps.par_chunks_mut(BLOCK).zip(shifts.par_chunks(BLOCK)).for_each(|(steps, shifts)| {
            arch.dispatch(Factorization { matrix: self, shifts, steps, vectors: None });
        });
        steps
    }

    /// The same for up to [`BLOCK`] shifts, with the unit vectors row by row `[n, BLOCK]`.
    pub fn vectors(&self, shifts: &[f32], vectors: &mut [f32]) -> Vec<Step> {
        let mut steps = vec![Step::default(); shifts.len()];
        let vectors = Some(vectors);
        pulp::Arch::new().dispatch(Factorization { matrix: self, shifts, steps: &mut steps, vectors });
        steps
    }
}

/// A pivot that can be divided by.
#[inline(always)]
pub(super) fn guarded<S: Simd>(simd: S, pivot: S::f32s, least: f32) -> S::f32s {
    let small = simd.less_than_f32s(simd.abs_f32s(pivot), simd.splat_f32s(least));
    simd.select_f32s(small, simd.splat_f32s(-least), pivot)
}

/// Up to [`GROUPS`] vectors of shifts; the last is repeated in what is left over.
#[inline(always)]
pub(super) fn shifts_of<S: Simd>(simd: S, shifts: &[f32]) -> [S::f32s; GROUPS] {
    let last = shifts.last().copied().unwrap_or_default();
    let mut vectors = [simd.splat_f32s(last); GROUPS];
    let numbers: &mut [f32] = bytemuck::cast_slice_mut(&mut vectors);
    numbers[..shifts.len()].copy_from_slice(shifts);
    vectors
}

/// The numbers in vectors.
pub(super) fn lanes<S: Simd>(vectors: &[S::f32s; GROUPS]) -> &[f32] {
    bytemuck::cast_slice(vectors)
}

struct Factorization<'a> {
    matrix: &'a Matrix,
    shifts: &'a [f32],
    steps: &'a mut [Step],
    vectors: Option<&'a mut [f32]>,
}

/// Of a row i: the multiplier that gives z_i from z_{i+1}, and what gives it from z_{i−1} (before that is known, the pivot D_i).
type Row<S> = [[<S as Simd>::f32s; 2]; GROUPS];

impl WithSimd for Factorization<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { matrix, shifts, steps, mut vectors } = self;
        let width = S::F32_LANES * GROUPS;
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let mut rows: Vec<Row<S>> = vec![[[zero; 2]; GROUPS]; matrix.size()];
        let mut entries = vec![[zero; GROUPS]; if vectors.is_some() { matrix.size() } else { 0 }];
        for (part, (steps, shifts)) in steps.chunks_mut(width).zip(shifts.chunks(width)).enumerate() {
            let shift = shifts_of(simd, shifts);
            let below = descend(simd, matrix, &shift, &mut rows);
            let (gamma, twist) = ascend(simd, matrix, &shift, &mut rows);
            let (squares, magnitudes) = solve(simd, matrix, &twist, &rows, &mut entries);
            let mut inverse = [zero; GROUPS];
            for (inverse, square) in inverse.iter_mut().zip(&squares) {
                *inverse = simd.div_f32s(one, simd.sqrt_f32s(*square));
            }
            if let Some(vectors) = &mut vectors {
                for (row, entries) in vectors.chunks_exact_mut(BLOCK).zip(&entries) {
                    let row = S::as_mut_simd_f32s(&mut row[part * width..][..width]).0;
                    for ((row, z), inverse) in row.iter_mut().zip(entries).zip(&inverse) {
                        *row = simd.mul_f32s(*z, *inverse);
                    }
                }
            }
            let (below, gamma, inverse) = (lanes::<S>(&below), lanes::<S>(&gamma), lanes::<S>(&inverse));
            let magnitudes = lanes::<S>(&magnitudes);
            for (lane, step) in steps.iter_mut().enumerate() {
                *step = Step {
                    below: below[lane] as usize,
                    length: gamma[lane] * inverse[lane] * inverse[lane],
                    residual: gamma[lane].abs() * inverse[lane],
                    magnitude: magnitudes[lane].sqrt() * inverse[lane],
                };
            }
        }
    }
}

/// L D Lᵀ = T − shift; how many pivots are negative.
#[inline(always)]
fn descend<S: Simd>(simd: S, matrix: &Matrix, shift: &[S::f32s; GROUPS], rows: &mut [Row<S>]) -> [S::f32s; GROUPS] {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let (mut carry, mut below) = ([zero; GROUPS], [zero; GROUPS]);
    for ((d, e), row) in matrix.diagonal.iter().zip(&matrix.below).zip(rows) {
        let (d, e) = (simd.splat_f32s(*d), simd.splat_f32s(*e));
        for g in 0..GROUPS {
            let pivot = guarded(simd, simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]), matrix.least);
            below[g] = simd.add_f32s(below[g], simd.select_f32s(simd.less_than_f32s(pivot, zero), one, zero));
            let multiplier = simd.div_f32s(e, pivot);
            carry[g] = simd.mul_f32s(e, multiplier);
            row[g] = [multiplier, pivot];
        }
    }
    below
}

/// U D' Uᵀ = T − shift; the γ of the smallest magnitude, and the row it is in.
#[inline(always)]
fn ascend<S: Simd>(
    simd: S,
    matrix: &Matrix,
    shift: &[S::f32s; GROUPS],
    rows: &mut [Row<S>],
) -> ([S::f32s; GROUPS], [S::f32s; GROUPS]) {
    let zero = simd.splat_f32s(0.0);
    let (mut carry, mut gamma, mut twist) = ([zero; GROUPS], [zero; GROUPS], [zero; GROUPS]);
    let mut smallest = [simd.splat_f32s(f32::INFINITY); GROUPS];
    for (i, row) in rows.iter_mut().enumerate().rev() {
        let e = simd.splat_f32s(if i == 0 { 0.0 } else { matrix.below[i - 1] });
        let (d, index) = (simd.splat_f32s(matrix.diagonal[i]), simd.splat_f32s(i as f32));
        for g in 0..GROUPS {
            let here = simd.sub_f32s(row[g][1], carry[g]);
            let magnitude = simd.abs_f32s(here);
            let smaller = simd.less_than_f32s(magnitude, smallest[g]);
            smallest[g] = simd.select_f32s(smaller, magnitude, smallest[g]);
            gamma[g] = simd.select_f32s(smaller, here, gamma[g]);
            twist[g] = simd.select_f32s(smaller, index, twist[g]);
            let pivot = guarded(simd, simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]), matrix.least);
            row[g][1] = simd.div_f32s(e, pivot);
            carry[g] = simd.mul_f32s(e, row[g][1]);
        }
    }
    (gamma, twist)
}

/// z from the row of the twist up and down, into `entries` unless those are empty: Σ z_i², and Σ_i (z_i Σ_j |T_ij|)².
#[inline(always)]
fn solve<S: Simd>(
    simd: S,
    matrix: &Matrix,
    twist: &[S::f32s; GROUPS],
    rows: &[Row<S>],
    entries: &mut [[S::f32s; GROUPS]],
) -> ([S::f32s; GROUPS], [S::f32s; GROUPS]) {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
    let keep = !entries.is_empty();
    let (mut squares, mut magnitudes) = ([zero; GROUPS], [zero; GROUPS]);
    let mut z = [zero; GROUPS];
    for (i, row) in rows.iter().enumerate().rev() {
        let (index, sum) = (simd.splat_f32s(i as f32), simd.splat_f32s(matrix.sums[i]));
        for g in 0..GROUPS {
            // Zero below the twist, where it has not begun.
            let above = next(simd, row[g][0], z[g]);
            z[g] = simd.select_f32s(simd.equal_f32s(index, twist[g]), one, above);
            squares[g] = simd.mul_add_e_f32s(z[g], z[g], squares[g]);
            magnitudes[g] = add_square(simd, z[g], sum, magnitudes[g]);
            if keep {
                entries[i][g] = z[g];
            }
        }
    }
    let mut z = [zero; GROUPS];
    for (i, row) in rows.iter().enumerate() {
        let (index, sum) = (simd.splat_f32s(i as f32), simd.splat_f32s(matrix.sums[i]));
        for g in 0..GROUPS {
            let below = next(simd, row[g][1], z[g]);
            squares[g] = simd.mul_add_e_f32s(below, below, squares[g]);
            magnitudes[g] = add_square(simd, below, sum, magnitudes[g]);
            if keep {
                entries[i][g] = simd.select_f32s(simd.less_than_f32s(twist[g], index), below, entries[i][g]);
            }
            z[g] = simd.select_f32s(simd.equal_f32s(index, twist[g]), one, below);
        }
    }
    (squares, magnitudes)
}

/// −multiplier · z, or 0 where that is too little.
#[inline(always)]
fn next<S: Simd>(simd: S, multiplier: S::f32s, z: S::f32s) -> S::f32s {
    let next = simd.mul_f32s(simd.neg_f32s(multiplier), z);
    let faint = simd.less_than_f32s(simd.abs_f32s(next), simd.splat_f32s(FAINTEST));
    simd.select_f32s(faint, simd.splat_f32s(0.0), next)
}

/// sum + (z · factor)².
#[inline(always)]
fn add_square<S: Simd>(simd: S, z: S::f32s, factor: S::f32s, sum: S::f32s) -> S::f32s {
    let scaled = simd.mul_f32s(z, factor);
    simd.mul_add_e_f32s(scaled, scaled, sum)
}

#[cfg(test)]
pub(super) mod tests {
    use faer::{Mat, Side};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    pub fn dense(matrix: &Matrix) -> Mat<f64> {
        Mat::from_fn(matrix.size(), matrix.size(), |i, j| match i.abs_diff(j) {
            0 => matrix.diagonal[i].into(),
            1 => matrix.below[i.min(j)].into(),
            _ => 0.0,
        })
    }

    pub fn random(size: usize, seed: u64) -> Matrix {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let diagonal = draw(size);
        Matrix::new(diagonal, &draw(size - 1))
    }

    /// Close eigenvalues, equal ones, halves that do not touch, entries of every magnitude.
    pub fn awkward() -> Vec<(String, Matrix)> {
        let wilkinson = (0..21).map(|i| (10i32 - i).abs() as f32).collect();
        let mut torn = random(40, 1);
        torn.below[19] = 0.0;
        let twice: Vec<f32> = torn.diagonal[..20].repeat(2);
        let mut below = [&torn.below[..19], &[0.0], &torn.below[..19]].concat();
        let twice = Matrix::new(twice, &below);
        below[19] = 1e-6;
        let graded: Vec<f32> = (0..30).map(|i| 10f32.powi(-i / 3)).collect();
        let below_graded: Vec<f32> = graded[1..].iter().map(|d| 0.3 * d).collect();
        vec![
            ("Wilkinson's".into(), Matrix::new(wilkinson, &[1.0; 20])),
            ("torn".into(), Matrix::new(torn.diagonal.clone(), &torn.below[..39])),
            ("twice".into(), Matrix::new(twice.diagonal.clone(), &below)),
            ("twice and torn".into(), twice),
            ("graded".into(), Matrix::new(graded, &below_graded)),
            ("zeros".into(), Matrix::new(vec![0.0; 20], &[0.0; 19])),
            ("identity".into(), Matrix::new(vec![1.0; 70], &[0.0; 69])),
            ("second differences".into(), Matrix::new(vec![2.0; 90], &[-1.0; 89])),
            ("large".into(), Matrix::new(vec![1e12, -3e12, 2e12], &[1e12, 5e11])),
            ("small".into(), Matrix::new(vec![1e-12, -3e-12, 2e-12], &[1e-12, 5e-13])),
        ]
    }

    #[test]
    fn vectors_at_eigenvalues_are_eigenvectors() {
        for size in [1, 2, 3, 15, 16, 17, 63, 64] {
            let matrix = random(size, size as u64);
            let expected = dense(&matrix).self_adjoint_eigen(Side::Lower).unwrap();
            let values: Vec<f64> = expected.S().column_vector().iter().copied().collect();
            let shifts: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            let mut vectors = vec![0.0; size * BLOCK];
            let steps = matrix.vectors(&shifts, &mut vectors);
            for (rank, step) in steps.iter().enumerate() {
                let gap =
                    (0..size).filter(|i| *i != rank).map(|i| (values[i] - values[rank]).abs()).fold(1.0, f64::min);
                let column = expected.U().col(rank);
                let along: f64 = (0..size).map(|i| column[i] * f64::from(vectors[i * BLOCK + rank])).sum();
                let error: f64 = (0..size)
                    .map(|i| (column[i] * along.signum() - f64::from(vectors[i * BLOCK + rank])).powi(2))
                    .sum::<f64>()
                    .sqrt();
                assert!(error < 1e-6 / gap, "{size}, {rank}: off by {error:.1e}, with the next at {gap:.1e}");
                // What is said of it bounds that.
                let bound = f64::from(step.residual + f32::EPSILON * step.magnitude) / gap;
                assert!(error < 2.0 * bound + 1e-6, "{size}, {rank}: off by {error:.1e}, said to be {bound:.1e}");
            }
        }
    }

    #[test]
    fn steps_lead_to_eigenvalues_and_count_those_below() {
        for size in [1, 2, 17, 100] {
            let matrix = random(size, 100 + size as u64);
            let values = dense(&matrix).self_adjoint_eigenvalues(Side::Lower).unwrap();
            // More than a task has; off by a part of the distance of the next.
            let shifts: Vec<f32> = values
                .iter()
                .enumerate()
                .flat_map(|(rank, value)| {
                    let gap = (0..size).filter(|i| *i != rank).map(|i| (values[i] - value).abs()).fold(1.0, f64::min);
                    [-1e-3, 1e-3].map(|part| (value + part * gap) as f32)
                })
                .collect();
            for (at, (shift, step)) in shifts.iter().zip(matrix.steps(&shifts)).enumerate() {
                let shift = f64::from(*shift);
                let value = values[at / 2];
                if (shift - value).abs() > 1e-5 {
                    assert_eq!(step.below, values.iter().filter(|value| **value < shift).count());
                }
                let error = (shift + f64::from(step.length) - value).abs();
                assert!(
                    error < 1e-5 * (shift - value).abs() + 1e-6,
                    "{size}, {value}: off by {error:.1e} after a step"
                );
            }
        }
    }
}
