//! Eigenvectors of a symmetric tridiagonal matrix by twisted factorisation, each made by itself: as many at a time as the
//! machine's vectors hold.
//!
//! T − λ is factored from the top, L D Lᵀ, and from the bottom, U D' Uᵀ. Where both meet, in the row k that leaves the
//! smallest |γ_k| = |D_k + D'_k − (T_kk − λ)|, the vector z with z_k = 1 and all other equations fulfilled has
//! (T − λ) z = γ_k e_k, and |γ_k| / |z| says how far z is from an eigenvector.
//!
//! Source: Dhillon and Parlett, "Multiple representations to compute orthogonal eigenvectors of symmetric tridiagonal
//! matrices" (2004), section 3; Parlett and Dhillon, "Fernando's solution to Wilkinson's problem" (1997).

use pulp::{Simd, WithSimd, bytemuck};

use super::panel::WIDTH;

/// Vectors of shifts worked on side by side, so that one's divisions fill the time another's take.
pub(super) const GROUPS: usize = 4;
/// Shifts of a task: as many as [`GROUPS`] of the longest vectors there are.
pub(super) const BLOCK: usize = WIDTH;
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
    /// Their median.
    pub typical: f32,
    /// Smaller pivots are taken to be this.
    pub least: f32,
}

/// How good a vector is.
#[derive(Clone, Copy, Default)]
pub(super) struct Quality {
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
        let mut matrix = Self { diagonal, below, sums: Vec::new(), typical: 0.0, least: 0.0 };
        matrix.sums = matrix.diagonal.iter().zip(matrix.radii()).map(|(d, radius)| d.abs() + radius).collect();
        let mut sorted = matrix.sums.clone();
        matrix.typical = *sorted.select_nth_unstable_by(matrix.size() / 2, f32::total_cmp).1;
        let largest = matrix.sums.iter().fold(0.0f32, |largest, sum| largest.max(*sum));
        // Far less than rounding does to any pivot, and its inverse still has a square.
        matrix.least = (largest * f32::EPSILON * f32::EPSILON).max(f32::MIN_POSITIVE);
        matrix
    }

    /// The order n.
    pub fn size(&self) -> usize {
        self.diagonal.len()
    }

    /// Σ_{j ≠ i} |T_ij| of each row.
    pub fn radii(&self) -> impl Iterator<Item = f32> {
        let before = std::iter::once(&0.0).chain(&self.below);
        self.below.iter().zip(before).map(|(below, before)| below.abs() + before.abs())
    }

    /// Bounds of the eigenvalues (Gershgorin).
    pub fn bounds(&self) -> [f32; 2] {
        let rows = self.diagonal.iter().zip(self.radii());
        let [low, high] = rows.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], (d, radius)| {
            [low.min(d - radius), high.max(d + radius)]
        });
        let margin = 4.0 * f32::EPSILON * low.abs().max(high.abs());
        [low - margin, high + margin]
    }

    /// For up to [`BLOCK`] eigenvalues their unit eigenvectors, row by row `[n, BLOCK]`.
    pub fn vectors(&self, eigenvalues: &[f32], vectors: &mut [f32]) -> Vec<Quality> {
        let mut qualities = vec![Quality::default(); eigenvalues.len()];
        pulp::Arch::new().dispatch(Factorization { matrix: self, eigenvalues, vectors, qualities: &mut qualities });
        qualities
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
    eigenvalues: &'a [f32],
    vectors: &'a mut [f32],
    qualities: &'a mut [Quality],
}

/// Of a row i: the multiplier that gives z_i from z_{i+1}, and the one that gives it from z_{i−1} (before that is known, the
/// pivot D_i).
type Row<S> = [[<S as Simd>::f32s; 2]; GROUPS];

impl WithSimd for Factorization<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { matrix, eigenvalues, vectors, qualities } = self;
        let width = S::F32_LANES * GROUPS;
        let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
        let mut rows: Vec<Row<S>> = Vec::with_capacity(matrix.size());
        let parts = qualities.chunks_mut(width).zip(eigenvalues.chunks(width)).enumerate();
        for (part, (qualities, eigenvalues)) in parts {
            let shift = shifts_of(simd, eigenvalues);
            descend(simd, matrix, &shift, &mut rows);
            let (gamma, twist) = ascend(simd, matrix, &shift, &mut rows);
            let (squares, magnitudes) = solve(simd, matrix, &twist, &rows, &mut vectors[part * width..]);
            let mut inverse = [zero; GROUPS];
            for (inverse, square) in inverse.iter_mut().zip(&squares) {
                *inverse = simd.div_f32s(one, simd.sqrt_f32s(*square));
            }
            for row in 0..matrix.size() {
                for (entry, inverse) in entries::<S>(&mut vectors[part * width..], row).iter_mut().zip(&inverse) {
                    *entry = simd.mul_f32s(*entry, *inverse);
                }
            }
            let numbers = lanes::<S>(&gamma).iter().zip(lanes::<S>(&magnitudes)).zip(lanes::<S>(&inverse));
            for (quality, ((gamma, magnitude), inverse)) in qualities.iter_mut().zip(numbers) {
                *quality = Quality { residual: gamma.abs() * inverse, magnitude: magnitude.sqrt() * inverse };
            }
        }
    }
}

/// L D Lᵀ = T − shift.
#[inline(always)]
fn descend<S: Simd>(simd: S, matrix: &Matrix, shift: &[S::f32s; GROUPS], rows: &mut Vec<Row<S>>) {
    rows.clear();
    let mut carry = [simd.splat_f32s(0.0); GROUPS];
    for (d, e) in matrix.diagonal.iter().zip(&matrix.below) {
        let mut row = [[carry[0]; 2]; GROUPS];
        let (d, e) = (simd.splat_f32s(*d), simd.splat_f32s(*e));
        for g in 0..GROUPS {
            let pivot = guarded(simd, simd.sub_f32s(simd.sub_f32s(d, shift[g]), carry[g]), matrix.least);
            let multiplier = simd.div_f32s(e, pivot);
            carry[g] = simd.mul_f32s(e, multiplier);
            row[g] = [multiplier, pivot];
        }
        rows.push(row);
    }
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

/// A row of vectors that lie row by row.
#[inline(always)]
fn entries<S: Simd>(vectors: &mut [f32], row: usize) -> &mut [S::f32s; GROUPS] {
    let entries = S::as_mut_simd_f32s(&mut vectors[row * BLOCK..][..S::F32_LANES * GROUPS]).0;
    entries.try_into().expect("as many as there are groups")
}

/// z from the row of the twist up and down, into the first of the `vectors`: Σ z_i², and Σ_i (z_i Σ_j |T_ij|)².
#[inline(always)]
fn solve<S: Simd>(
    simd: S,
    matrix: &Matrix,
    twist: &[S::f32s; GROUPS],
    rows: &[Row<S>],
    vectors: &mut [f32],
) -> ([S::f32s; GROUPS], [S::f32s; GROUPS]) {
    let (zero, one) = (simd.splat_f32s(0.0), simd.splat_f32s(1.0));
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
        }
        *entries::<S>(vectors, i) = z;
    }
    let mut z = [zero; GROUPS];
    for (i, row) in rows.iter().enumerate() {
        let (index, sum) = (simd.splat_f32s(i as f32), simd.splat_f32s(matrix.sums[i]));
        let entries = entries::<S>(vectors, i);
        for g in 0..GROUPS {
            let below = next(simd, row[g][1], z[g]);
            squares[g] = simd.mul_add_e_f32s(below, below, squares[g]);
            magnitudes[g] = add_square(simd, below, sum, magnitudes[g]);
            entries[g] = simd.select_f32s(simd.less_than_f32s(twist[g], index), below, entries[g]);
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

    use super::super::vectorized::in_all_widths;
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

    /// Checks the vectors that this kind of machine makes at the eigenvalues of a random matrix.
    fn assert_eigenvectors<S: Simd>(simd: S, size: usize) {
        let matrix = random(size, size as u64);
        let expected = dense(&matrix).self_adjoint_eigen(Side::Lower).unwrap();
        let values: Vec<f64> = expected.S().column_vector().iter().copied().collect();
        let eigenvalues: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let mut vectors = vec![0.0; size * BLOCK];
        let mut qualities = vec![Quality::default(); size];
        simd.vectorize(Factorization {
            matrix: &matrix,
            eigenvalues: &eigenvalues,
            vectors: &mut vectors,
            qualities: &mut qualities,
        });
        for (rank, quality) in qualities.iter().enumerate() {
            let case = format!("{} numbers at a time, {size} rows, {rank}", S::F32_LANES);
            let gap = (0..size).filter(|i| *i != rank).map(|i| (values[i] - values[rank]).abs()).fold(1.0, f64::min);
            let column = expected.U().col(rank);
            let along: f64 = (0..size).map(|i| column[i] * f64::from(vectors[i * BLOCK + rank])).sum();
            let error: f64 = (0..size)
                .map(|i| (column[i] * along.signum() - f64::from(vectors[i * BLOCK + rank])).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(error < 1e-6 / gap, "{case}: off by {error:.1e}, with the next at {gap:.1e}");
            // What is said of it bounds that.
            let bound = f64::from(quality.residual + f32::EPSILON * quality.magnitude) / gap;
            assert!(error < 2.0 * bound + 1e-6, "{case}: off by {error:.1e}, said to be {bound:.1e}");
        }
    }

    #[test]
    fn vectors_at_eigenvalues_are_eigenvectors_in_all_widths() {
        for size in [1, 2, 3, 15, 16, 17, 31, 33, 63, 64] {
            in_all_widths!(assert_eigenvectors(size));
        }
    }
}
