//! A symmetric matrix brought into tridiagonal form by Householder reflections, A = Q T Qᵀ.
//!
//! Reflection k needs A v_k, and changes A by −v_k w_kᵀ − w_k v_kᵀ. Both are bound by memory: here the change of one
//! reflection and the product of the next are one sweep over the lower triangle, four columns at a time.
//!
//! Source: Golub and Van Loan, "Matrix Computations", section 8.3.1.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::householder::{
    apply_block_householder_sequence_on_the_left_in_place_scratch as reflection_scratch,
    apply_block_householder_sequence_on_the_left_in_place_with_conj as reflect,
};
use faer::linalg::matmul::matmul;
use faer::linalg::qr::no_pivoting::factor::recommended_block_size;
use faer::{Accum, Conj, Mat, MatMut, MatRef, Par};
use pulp::{Simd, WithSimd};

use super::pairwise::sum;

/// Columns of a sweep's step.
const COLUMNS: usize = 4;

/// T, and Q as a product of reflections.
pub(super) struct Reduced {
    /// Diagonal of T `[n]`.
    pub diagonal: Vec<f32>,
    /// Diagonal below it `[n − 1]`.
    pub below: Vec<f32>,
    /// Column k holds v_k from row k + 2 on; its entry in row k + 1 is 1.
    vectors: Vec<f32>,
    /// Of each block of reflections, the upper triangle of VᵀV with 1/τ on its diagonal.
    factors: Mat<f32>,
}

impl Reduced {
    /// Reduces the matrix `[n, n]` whose lower triangle is given column by column.
    pub fn new(mut matrix: Vec<f32>, size: usize) -> Self {
        let mut diagonal = vec![0.0; size];
        let mut below = vec![0.0; size.saturating_sub(1)];
        let mut taus = below.clone();
        pulp::Arch::new().dispatch(Reduction {
            matrix: &mut matrix,
            diagonal: &mut diagonal,
            below: &mut below,
            taus: &mut taus,
        });
        let factors = block_factors(&matrix, &taus);
        Self { diagonal, below, vectors: matrix, factors }
    }

    /// The order n.
    pub fn size(&self) -> usize {
        self.diagonal.len()
    }

    /// Multiplies the vectors `[n]` that stand one after the other in `vectors` by Q.
    pub fn rotate_back(&self, vectors: &mut [f32]) {
        let size = self.size();
        if size < 2 {
            return;
        }
        let columns = vectors.len() / size;
        let reflections = MatRef::from_column_major_slice(&self.vectors, size, size);
        let scratch = reflection_scratch::<f32>(size - 1, self.factors.nrows(), columns);
        reflect(
            reflections.submatrix(1, 0, size - 1, size - 1),
            self.factors.as_ref(),
            Conj::No,
            MatMut::from_column_major_slice_mut(vectors, size, columns).subrows_mut(1, size - 1),
            Par::Seq,
            MemStack::new(&mut MemBuffer::new(scratch)),
        );
    }
}

/// The factors of the blocks of reflections, side by side.
fn block_factors(vectors: &[f32], taus: &[f32]) -> Mat<f32> {
    let (count, size) = (taus.len(), taus.len() + 1);
    let block = recommended_block_size::<f32>(count.max(1), count.max(1));
    let mut factors = Mat::zeros(block, count);
    for first in (0..count).step_by(block) {
        let width = block.min(count - first);
        let height = count - first;
        let reflections = Mat::from_fn(height, width, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => 1.0,
            std::cmp::Ordering::Greater => vectors[(first + j) * size + first + i + 1],
        });
        let mut factor = factors.as_mut().submatrix_mut(0, first, width, width);
        matmul(factor.as_mut(), Accum::Replace, reflections.transpose(), reflections.as_ref(), 1.0, Par::Seq);
        for k in 0..width {
            factor[(k, k)] = 1.0 / taus[first + k];
        }
    }
    factors
}

struct Reduction<'a> {
    matrix: &'a mut [f32],
    diagonal: &'a mut [f32],
    below: &'a mut [f32],
    taus: &'a mut [f32],
}

impl WithSimd for Reduction<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { matrix, diagonal, below, taus } = self;
        let size = diagonal.len();
        // v and w of the reflection before, from row k on; v and A v of this one, from row k + 1 on.
        let (mut v, mut w) = (vec![0.0; size], vec![0.0; size]);
        let (mut next_v, mut product) = (vec![0.0; size], vec![0.0; size]);
        for k in 0..size {
            let column = &mut matrix[k * size + k..(k + 1) * size];
            let (v_k, w_k) = (v[k], w[k]);
            for ((a, v), w) in column.iter_mut().zip(&v[k..]).zip(&w[k..]) {
                *a -= v * w_k + w * v_k;
            }
            diagonal[k] = column[0];
            if k + 1 == size {
                break;
            }
            let column = &mut column[1..];
            let tail = sum(&column[1..], |x| x * x);
            let norm = (column[0] * column[0] + tail).sqrt();
            // Where there is nothing to reflect, none is done: τ = 0.
            let (tau, inverse) = if tail == 0.0 {
                below[k] = column[0];
                (0.0, 0.0)
            } else {
                below[k] = -norm.copysign(column[0]);
                let inverse = 1.0 / (column[0] - below[k]);
                (2.0 / (1.0 + tail * inverse * inverse), inverse)
            };
            taus[k] = tau;
            column[0] = 1.0;
            column[1..].iter_mut().for_each(|x| *x *= inverse);
            next_v[k + 1..].copy_from_slice(column);

            product[k + 1..].fill(0.0);
            let trailing = &mut matrix[(k + 1) * size..];
            sweep(simd, trailing, size, k + 1, &v[k + 1..], &w[k + 1..], &next_v[k + 1..], &mut product[k + 1..]);
            std::mem::swap(&mut v, &mut next_v);
            std::mem::swap(&mut w, &mut product);
            let (v, w) = (&v[k + 1..], &mut w[k + 1..]);
            let mut lanes = [0.0f32; 16];
            for (v, w) in v.chunks(16).zip(w.chunks(16)) {
                for ((lane, v), w) in lanes.iter_mut().zip(v).zip(w) {
                    *lane += v * w;
                }
            }
            let along = 0.5 * tau * tau * lanes.iter().sum::<f32>();
            for (v, w) in v.iter().zip(w) {
                *w = tau * *w - along * v;
            }
        }
    }
}

/// A ← A − v wᵀ − w vᵀ and y ← y + A x, for the lower triangle of A: column j starts at `matrix[j·stride + first + j]`.
#[inline(always)]
#[allow(clippy::too_many_arguments)] // a kernel's operands
fn sweep<S: Simd>(
    simd: S,
    matrix: &mut [f32],
    stride: usize,
    first: usize,
    v: &[f32],
    w: &[f32],
    x: &[f32],
    y: &mut [f32],
) {
    let size = v.len();
    let mut j = 0;
    while j < size {
        let width = COLUMNS.min(size - j);
        // The triangle at the head of these columns.
        for column in j..j + width {
            let entries = &mut matrix[column * stride + first..][..size];
            for row in column..j + width {
                let a = entries[row] - v[row] * w[column] - w[row] * v[column];
                entries[row] = a;
                y[row] += a * x[column];
                if row > column {
                    y[column] += a * x[row];
                }
            }
        }
        let end = j + width;
        if width == COLUMNS && end < size {
            let (_, rest) = matrix.split_at_mut(j * stride);
            let (a, rest) = rest.split_at_mut(stride);
            let (b, rest) = rest.split_at_mut(stride);
            let (c, d) = rest.split_at_mut(stride);
            let rows = first + end..first + size;
            let columns = [&mut a[rows.clone()], &mut b[rows.clone()], &mut c[rows.clone()], &mut d[rows]];
            let mut factors = [[0.0; 3]; COLUMNS];
            for (i, factors) in factors.iter_mut().enumerate() {
                *factors = [v[j + i], w[j + i], x[j + i]];
            }
            let sums = below_head(simd, columns, &factors, &v[end..], &w[end..], &x[end..], &mut y[end..]);
            for (y, sum) in y[j..end].iter_mut().zip(sums) {
                *y += sum;
            }
        }
        j = end;
    }
}

/// The same for the rows below, of four columns with these entries of v, w and x; what it adds to their entries of y.
#[inline(always)]
fn below_head<S: Simd>(
    simd: S,
    columns: [&mut [f32]; COLUMNS],
    factors: &[[f32; 3]; COLUMNS],
    v: &[f32],
    w: &[f32],
    x: &[f32],
    y: &mut [f32],
) -> [f32; COLUMNS] {
    let zero = simd.splat_f32s(0.0);
    let mut splats = [[zero; 3]; COLUMNS];
    for (splats, [v, w, x]) in splats.iter_mut().zip(factors) {
        *splats = [simd.splat_f32s(-v), simd.splat_f32s(-w), simd.splat_f32s(*x)];
    }
    let mut sums = [zero; COLUMNS];
    let mut scalar_sums = [0.0; COLUMNS];
    let [a, b, c, d] = columns;
    let ((a, a_rest), (b, b_rest)) = (S::as_mut_simd_f32s(a), S::as_mut_simd_f32s(b));
    let ((c, c_rest), (d, d_rest)) = (S::as_mut_simd_f32s(c), S::as_mut_simd_f32s(d));
    let ((v, v_rest), (w, w_rest), (x, x_rest)) = (S::as_simd_f32s(v), S::as_simd_f32s(w), S::as_simd_f32s(x));
    let (y, y_rest) = S::as_mut_simd_f32s(y);
    let length = v.len();
    let (w, x, y) = (&w[..length], &x[..length], &mut y[..length]);
    let (a, b, c, d) = (&mut a[..length], &mut b[..length], &mut c[..length], &mut d[..length]);
    for i in 0..length {
        let (v, w, x) = (v[i], w[i], x[i]);
        let mut total = y[i];
        for ((entry, [v_j, w_j, x_j]), sum) in
            [&mut a[i], &mut b[i], &mut c[i], &mut d[i]].into_iter().zip(&splats).zip(&mut sums)
        {
            let changed = simd.mul_add_e_f32s(w, *v_j, simd.mul_add_e_f32s(v, *w_j, *entry));
            *entry = changed;
            total = simd.mul_add_e_f32s(changed, *x_j, total);
            *sum = simd.mul_add_e_f32s(changed, x, *sum);
        }
        y[i] = total;
    }
    for i in 0..v_rest.len() {
        let rest = [&mut a_rest[i], &mut b_rest[i], &mut c_rest[i], &mut d_rest[i]];
        for ((entry, [v_j, w_j, x_j]), sum) in rest.into_iter().zip(factors).zip(&mut scalar_sums) {
            let changed = *entry - v_rest[i] * w_j - w_rest[i] * v_j;
            *entry = changed;
            y_rest[i] += changed * x_j;
            *sum += changed * x_rest[i];
        }
    }
    for (scalar, sum) in scalar_sums.iter_mut().zip(sums) {
        *scalar += simd.reduce_sum_f32s(sum);
    }
    scalar_sums
}
