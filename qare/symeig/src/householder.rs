//! Householder reflections that bring a symmetric matrix into tridiagonal form.
//!
//! Reflection k needs A v_k, and changes A by −v_k w_kᵀ − w_k v_kᵀ. The updates of [`BLOCK`] reflections are made together,
//! in registers; until then a product with A is one with what A was, less V Wᵀ v and W Vᵀ v. The lower triangle lies in
//! square tiles as wide as a vector of the processor, so that a product reads it once, in the order of memory, and uses
//! each entry for its row and for its column.
//!
//! Source: Golub and Van Loan, "Matrix Computations", section 8.3.1; Dongarra, Hammarling, Sorensen, "Block reduction of
//! matrices to condensed forms for eigenvalue computations" (1989).

use pulp::{Simd, WithSimd, bytemuck};

use crate::aligned::Aligned;
use crate::microkernel::WIDTH;
use crate::packed::PackedSymmetric;
use crate::scaling::Scaling;

/// Reflections between two updates of the matrix: a multiple of every vector's length, and few enough that a tile stays in
/// registers while all of them are applied.
const BLOCK: usize = 16;
/// Reflections of a block of Q: two products of rank 32 instead of 32 of rank one.
pub(crate) const REFLECTORS: usize = 32;
/// Pairs of inner products taken in one pass: their 16 sums fill half of the registers.
const PRODUCTS: usize = 8;
/// Squared length of a column below which it counts as zero: the squares of its entries would be subnormal, and the reflection not
/// orthogonal. A matrix whose largest entry is at least ½ changes by 6e-16 of that, far less than ε.
const NEGLIGIBLE: f32 = f32::MIN_POSITIVE / f32::EPSILON;

/// An entry is NaN or infinite.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotFinite;

/// What is reduced, and where the outcome goes.
pub(crate) struct Tridiagonalization<'a, F> {
    pub matrix: &'a PackedSymmetric,
    /// What an entry of A is, by that of `matrix`.
    pub entry: F,
    /// Gets the v_k in blocks of [`REFLECTORS`], each column by column, without the rows in which a whole block is zero: the
    /// block of v_k, v_{k+1}, … starts with row k + 1.
    pub vectors: &'a mut Vec<f32>,
    /// Diagonal of T `[n]`.
    pub diagonal: &'a mut [f32],
    /// Diagonal below it `[n − 1]`.
    pub below: &'a mut [f32],
    /// τ of each reflection I − τ v vᵀ `[n − 1]`.
    pub taus: &'a mut [f32],
}

impl<F: Fn(f32) -> f32> WithSimd for Tridiagonalization<'_, F> {
    /// How the matrix was scaled, or [`NotFinite`].
    type Output = Result<Option<Scaling>, NotFinite>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        match S::F32_LANES {
            16 => self.run::<S, 16>(simd),
            8 => self.run::<S, 8>(simd),
            4 => self.run::<S, 4>(simd),
            2 => self.run::<S, 2>(simd),
            _ => self.run::<S, 1>(simd),
        }
    }
}

impl<F: Fn(f32) -> f32> Tridiagonalization<'_, F> {
    /// With vectors, and tiles, of `T` numbers.
    #[inline(always)]
    fn run<S: Simd, const T: usize>(self, simd: S) -> Result<Option<Scaling>, NotFinite> {
        let Self { matrix, entry, vectors, diagonal, below, taus } = self;
        let size = diagonal.len();
        // Tiles on a side. All rows beyond the matrix are zero.
        let count = size.next_multiple_of(BLOCK) / T;
        let start = |column: usize| (column * count - column * column.saturating_sub(1) / 2) * T * T;
        let mut tiles = Aligned::zeros(start(count));
        let tiles = &mut tiles[..];
        let largest = pack::<T>(matrix, entry, count, tiles);
        if !largest.is_finite() {
            return Err(NotFinite);
        }
        let scaling = Scaling::of(largest);
        if let Some(Scaling { factors: [a, b], .. }) = scaling {
            tiles.iter_mut().for_each(|x| *x *= a);
            tiles.iter_mut().for_each(|x| *x *= b);
        }

        // Of each vector of rows, those of all the block's reflections one after the other.
        let [mut v, mut w] = [0; 2].map(|_| Aligned::zeros(count * T * BLOCK));
        let (v, w) = (&mut v[..], &mut w[..]);
        let [mut x, mut y] = [0; 2].map(|_| Aligned::zeros(count * T));
        let (x, y) = (&mut x[..], &mut y[..]);
        for k in 0..size {
            let (done, j, c) = (k % BLOCK, k / T, k % T);
            let (v, w) = (&mut v[j * T * BLOCK..], &mut w[j * T * BLOCK..]);
            // From row k − c on, where its tile starts.
            updated_column::<S, T>(simd, &tiles[start(j)..start(j + 1)], c, done, v, w, &mut x[j * T..]);
            diagonal[k] = x[k];
            if k + 1 == size {
                break;
            }
            x[j * T..=k].fill(0.0);
            let first = std::mem::replace(&mut x[k + 1], 0.0);
            let tail = sum_of_squares::<S>(simd, &x[j * T..]);
            let norm = (first * first + tail).sqrt();
            // Where there is nothing to reflect, none is done: τ = 0.
            let (tau, inverse) = if tail <= NEGLIGIBLE {
                below[k] = first;
                (0.0, 0.0)
            } else {
                below[k] = -norm.copysign(first);
                let inverse = 1.0 / (first - below[k]);
                (2.0 / (1.0 + tail * inverse * inverse), inverse)
            };
            taus[k] = tau;
            x[j * T..].iter_mut().for_each(|x| *x *= inverse);
            x[k + 1] = 1.0;
            vectors.resize(vectors.len() + k % REFLECTORS, 0.0);
            vectors.extend_from_slice(&x[k + 1..size]);

            let (x, y) = (&x[j * T..], &mut y[j * T..]);
            symmetric_product::<S, T>(simd, &tiles[start(j)..], x, y);
            append_reflection::<S>(simd, done, tau, v, w, x, y);
            if done + 1 == BLOCK {
                let skipped = (k + 1) / T - j;
                let (v, w) = (&v[skipped * T * BLOCK..], &w[skipped * T * BLOCK..]);
                rank_two_updates::<S, T>(simd, &mut tiles[start(j + skipped)..], v, w);
            }
        }
        Ok(scaling)
    }
}

/// The lower triangle in tiles: those of a column of tiles from the diagonal down one after the other, a tile's columns
/// one after the other. Tiles on the diagonal are whole.
///
/// Returns the largest magnitude; NaN or infinity if one of the entries is.
#[inline(always)]
fn pack<const T: usize>(matrix: &PackedSymmetric, entry: impl Fn(f32) -> f32, count: usize, tiles: &mut [f32]) -> f32 {
    let size = matrix.order();
    // As bits, magnitudes are in order, and NaN is above all numbers.
    let mut largest = 0u32;
    let mut tiles = tiles.chunks_exact_mut(T * T);
    for j in 0..count {
        for i in j..count {
            let tile = tiles.next().expect("one for each");
            let height = T.min(size.saturating_sub(i * T));
            let (strip, row) = (matrix.strip(i * T / WIDTH), i * T % WIDTH);
            let columns = strip.chunks_exact(WIDTH).skip(j * T);
            for (tile, column) in tile.chunks_exact_mut(T).zip(columns) {
                for (target, x) in tile[..height].iter_mut().zip(&column[row..]) {
                    *target = entry(*x);
                    largest = largest.max(target.to_bits() & !(1 << 31));
                }
            }
        }
    }
    f32::from_bits(largest)
}

/// Column c of a column of tiles, with the updates of the block's reflections `done`.
#[inline(always)]
fn updated_column<S: Simd, const T: usize>(
    simd: S,
    tiles: &[f32],
    c: usize,
    done: usize,
    v: &[f32],
    w: &[f32],
    x: &mut [f32],
) {
    let own = |panel: &[f32]| -> [f32; BLOCK] { std::array::from_fn(|i| panel[i * T + c]) };
    let (own_v, own_w) = (own(v), own(w));
    let rows = vectors::<S, T>(tiles).iter().zip(vectors::<S, BLOCK>(v)).zip(vectors::<S, BLOCK>(w));
    for (x, ((tile, v), w)) in S::as_mut_simd_f32s(x).0.iter_mut().zip(rows) {
        let (mut sum, mut other) = (tile[c], simd.splat_f32s(0.0));
        for i in 0..done {
            sum = simd.negate_mul_add_e_f32s(v[i], simd.splat_f32s(own_w[i]), sum);
            other = simd.mul_add_e_f32s(w[i], simd.splat_f32s(own_v[i]), other);
        }
        *x = simd.sub_f32s(sum, other);
    }
}

/// Σ x².
#[inline(always)]
fn sum_of_squares<S: Simd>(simd: S, x: &[f32]) -> f32 {
    let mut sums = [simd.splat_f32s(0.0); 2];
    for (i, x) in S::as_simd_f32s(x).0.iter().enumerate() {
        sums[i % 2] = simd.mul_add_e_f32s(*x, *x, sums[i % 2]);
    }
    simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]))
}

/// y = A x.
#[inline(always)]
fn symmetric_product<S: Simd, const T: usize>(simd: S, tiles: &[f32], x: &[f32], y: &mut [f32]) {
    y.fill(0.0);
    let zero = simd.splat_f32s(0.0);
    let mut tiles = vectors::<S, T>(tiles);
    let count = x.len() / T;
    for j in 0..count {
        let (column, rest) = tiles.split_at(count - j);
        tiles = rest;
        let (own_x, x) = x[j * T..].split_at(T);
        let (own_y, y) = y[j * T..].split_at_mut(T);
        let own_x: &[f32; T] = own_x.try_into().expect("T numbers");
        let mut sums = [zero; T];
        let mut total = [zero; 2];
        for c in 0..T {
            total[c % 2] = simd.mul_add_e_f32s(column[0][c], simd.splat_f32s(own_x[c]), total[c % 2]);
        }
        for ((tile, x), y) in column[1..].iter().zip(S::as_simd_f32s(x).0).zip(S::as_mut_simd_f32s(y).0) {
            let mut total = [*y, zero];
            for c in 0..T {
                total[c % 2] = simd.mul_add_e_f32s(tile[c], simd.splat_f32s(own_x[c]), total[c % 2]);
                sums[c] = simd.mul_add_e_f32s(tile[c], *x, sums[c]);
            }
            *y = simd.add_f32s(total[0], total[1]);
        }
        let total = simd.add_f32s(total[0], total[1]);
        let total: &[f32] = bytemuck::cast_slice(std::slice::from_ref(&total));
        for ((y, total), sum) in own_y.iter_mut().zip(total).zip(sums) {
            *y += total + simd.reduce_sum_f32s(sum);
        }
    }
}

/// The next reflection of a block that has `done` of them: v = x, and w = τ A x − ½ τ² (xᵀ A x) x where y is the product of
/// x and the matrix before the block.
#[inline(always)]
fn append_reflection<S: Simd>(simd: S, done: usize, tau: f32, v: &mut [f32], w: &mut [f32], x: &[f32], y: &mut [f32]) {
    let (v, w) = (vectors_mut::<S, BLOCK>(v), vectors_mut::<S, BLOCK>(w));
    let (x, y) = (S::as_simd_f32s(x).0, S::as_mut_simd_f32s(y).0);
    let zero = simd.splat_f32s(0.0);
    let (mut along_v, mut along_w) = ([0.0; BLOCK], [0.0; BLOCK]);
    for first in (0..done).step_by(PRODUCTS) {
        let mut sums = [[zero; 2]; PRODUCTS];
        for ((v, w), x) in v.iter().zip(w.iter()).zip(x) {
            for i in 0..PRODUCTS {
                sums[i][0] = simd.mul_add_e_f32s(v[first + i], *x, sums[i][0]);
                sums[i][1] = simd.mul_add_e_f32s(w[first + i], *x, sums[i][1]);
            }
        }
        for i in 0..PRODUCTS.min(done - first) {
            along_v[first + i] = simd.reduce_sum_f32s(sums[i][0]);
            along_w[first + i] = simd.reduce_sum_f32s(sums[i][1]);
        }
    }
    let mut product = zero;
    for (((v, w), x), y) in v.iter().zip(w.iter()).zip(x).zip(y.iter_mut()) {
        let (mut sum, mut other) = (*y, zero);
        for i in 0..done {
            sum = simd.negate_mul_add_e_f32s(v[i], simd.splat_f32s(along_w[i]), sum);
            other = simd.mul_add_e_f32s(w[i], simd.splat_f32s(along_v[i]), other);
        }
        *y = simd.sub_f32s(sum, other);
        product = simd.mul_add_e_f32s(*y, *x, product);
    }
    let along = simd.splat_f32s(-0.5 * tau * tau * simd.reduce_sum_f32s(product));
    let tau = simd.splat_f32s(tau);
    for (((v, w), x), y) in v.iter_mut().zip(w).zip(x).zip(y) {
        v[done] = *x;
        w[done] = simd.mul_add_e_f32s(along, *x, simd.mul_f32s(tau, *y));
    }
}

/// A ← A − V Wᵀ − W Vᵀ, of a whole block.
#[inline(always)]
fn rank_two_updates<S: Simd, const T: usize>(simd: S, tiles: &mut [f32], v: &[f32], w: &[f32]) {
    let mut tiles = vectors_mut::<S, T>(tiles);
    let count = v.len() / (BLOCK * T);
    for j in 0..count {
        let (column, rest) = tiles.split_at_mut(count - j);
        tiles = rest;
        let (v, w) = (&v[j * BLOCK * T..], &w[j * BLOCK * T..]);
        for ((tile, rows_v), rows_w) in column.iter_mut().zip(vectors::<S, BLOCK>(v)).zip(vectors::<S, BLOCK>(w)) {
            let mut entries = *tile;
            let own = v.chunks_exact(T).zip(w.chunks_exact(T));
            for ((row_v, row_w), (own_v, own_w)) in rows_v.iter().zip(rows_w).zip(own) {
                for c in 0..T {
                    entries[c] = simd.negate_mul_add_e_f32s(*row_v, simd.splat_f32s(own_w[c]), entries[c]);
                    entries[c] = simd.negate_mul_add_e_f32s(*row_w, simd.splat_f32s(own_v[c]), entries[c]);
                }
            }
            *tile = entries;
        }
    }
}

/// As vectors, `N` at a time.
#[inline(always)]
fn vectors<S: Simd, const N: usize>(numbers: &[f32]) -> &[[S::f32s; N]] {
    S::as_simd_f32s(numbers).0.as_chunks().0
}

/// The same, to write to.
#[inline(always)]
fn vectors_mut<S: Simd, const N: usize>(numbers: &mut [f32]) -> &mut [[S::f32s; N]] {
    S::as_mut_simd_f32s(numbers).0.as_chunks_mut().0
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::simd::in_all_widths;

    /// Checks A = Q T Qᵀ and Qᵀ Q = I, with every reflection done literally.
    fn assert_reduces<S: Simd>(simd: S, matrix: &Mat<f64>, case: &str) {
        let case = format!("{case}, {} numbers at a time", S::F32_LANES);
        let size = matrix.nrows();
        let halves = PackedSymmetric::from_fn(size, |i, j| matrix[(i, j)] as f32 / 2.0);
        let (mut diagonal, mut below, mut taus) = (vec![0.0; size], vec![0.0; size - 1], vec![0.0; size - 1]);
        let mut vectors = Vec::new();
        let scaling = simd
            .vectorize(Tridiagonalization {
                matrix: &halves,
                entry: |x| 2.0 * x,
                vectors: &mut vectors,
                diagonal: &mut diagonal,
                below: &mut below,
                taus: &mut taus,
            })
            .unwrap();
        let unit = scaling.map_or(1.0, |scaling| scaling.unit);

        let mut q = Mat::<f64>::identity(size, size);
        let mut vectors = vectors.into_iter();
        for (k, tau) in taus.iter().enumerate() {
            let mut v = Mat::zeros(size, 1);
            for i in k - k % REFLECTORS + 1..size {
                v[(i, 0)] = f64::from(vectors.next().unwrap());
            }
            assert!((0..=k).all(|i| v[(i, 0)] == 0.0), "{case}: reflection {k} begins too early");
            q = &q - (&q * &v) * v.transpose() * f64::from(*tau);
        }
        let tridiagonal = Mat::from_fn(size, size, |i, j| match i.abs_diff(j) {
            0 => f64::from(diagonal[i]) * unit,
            1 => f64::from(below[i.min(j)]) * unit,
            _ => 0.0,
        });
        let error = (&q * tridiagonal * q.transpose() - matrix).norm_l2() / matrix.norm_l2().max(1.0);
        assert!(error < 2e-6, "{case}: Q T Qᵀ is off by {error:.1e}");
        let error = (q.transpose() * &q - Mat::<f64>::identity(size, size)).norm_l2();
        assert!(error < 2e-6 * (size as f64).sqrt(), "{case}: Qᵀ Q is off by {error:.1e}");
    }

    #[test]
    fn matrices_of_every_order_are_reduced_in_all_widths() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for size in [1, 2, 3, 4, 7, 15, 16, 17, 18, 31, 32, 33, 47, 64, 65, 100, 130] {
            let half = Mat::<f64>::from_fn(size, size, |_, _| rng.random_range(-1.0..1.0f32).into());
            in_all_widths!(assert_reduces(&(&half + half.transpose()), &format!("{size} rows")));
        }
    }

    #[test]
    fn matrices_with_nothing_to_reflect_are_reduced() {
        let blocks = |i: usize, j: usize| if i / 5 == j / 5 { 1.0 + (i * j % 3) as f64 } else { 0.0 };
        for size in [3, 16, 40] {
            in_all_widths!(assert_reduces(&Mat::zeros(size, size), "zeros"));
            in_all_widths!(assert_reduces(&Mat::identity(size, size), "identity"));
            in_all_widths!(assert_reduces(&Mat::full(size, size, 1.0), "ones"));
            in_all_widths!(assert_reduces(&Mat::from_fn(size, size, blocks), "blocks"));
            in_all_widths!(assert_reduces(&Mat::from_fn(size, size, |i, j| 1.0 / (1 + i + j) as f64), "Hilbert's"));
        }
    }
}
