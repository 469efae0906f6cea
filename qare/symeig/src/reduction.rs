//! A symmetric matrix in tridiagonal form, A = Q T Qᵀ, and the way back from eigenvectors of T to those of A.

use pulp::{Simd, WithSimd};

use crate::aligned::AlignedArray;
use crate::householder::{NotFinite, REFLECTORS, Tridiagonalization};
use crate::microkernel::{Factor, ROWS, WIDTH, add_product, subtract_product};
use crate::packed::PackedSymmetric;
use crate::scaling::Scaling;

/// T, and Q as a product of reflections.
pub(crate) struct Reduction {
    /// Diagonal of T `[n]`.
    pub diagonal: Vec<f32>,
    /// Diagonal below it `[n − 1]`.
    pub below: Vec<f32>,
    /// V of each block of reflections, whose product is I − V F Vᵀ: from the first row on that is not zero, column by
    /// column.
    vectors: Vec<f32>,
    /// How A was scaled.
    pub scaling: Option<Scaling>,
    /// The upper triangular F of each `[REFLECTORS, REFLECTORS]`, column by column.
    factors: Vec<Vec<f32>>,
}

impl Reduction {
    /// Reduces the matrix that has `entry(x)` where `matrix` has x.
    pub fn new(matrix: &PackedSymmetric, entry: impl Fn(f32) -> f32) -> Result<Self, NotFinite> {
        let size = matrix.order();
        let mut diagonal = vec![0.0; size];
        let mut below = vec![0.0; size.saturating_sub(1)];
        let mut taus = below.clone();
        let mut vectors = Vec::with_capacity(size * (size + REFLECTORS) / 2);
        let arch = pulp::Arch::new();
        let scaling = arch.dispatch(Tridiagonalization {
            matrix,
            entry,
            vectors: &mut vectors,
            diagonal: &mut diagonal,
            below: &mut below,
            taus: &mut taus,
        })?;
        let mut rest = &vectors[..];
        let factor = |(block, taus): (usize, &[f32])| {
            let height = size - 1 - block * REFLECTORS;
            let (own, after) = rest.split_at(height * taus.len());
            rest = after;
            arch.dispatch(CompactWy { vectors: own, taus })
        };
        let factors = taus.chunks(REFLECTORS).enumerate().map(factor).collect();
        Ok(Self { diagonal, below, vectors, scaling, factors })
    }

    /// Multiplies a panel `[n, WIDTH]` by Q from the left.
    pub fn back_transform(&self, panel: &mut [f32]) {
        let size = self.diagonal.len();
        let mut before = &self.vectors[..];
        for (block, factor) in self.factors.iter().enumerate().rev() {
            let first = block * REFLECTORS + 1;
            let height = size - first;
            let width = REFLECTORS.min(height);
            let (rest, vectors) = before.split_at(before.len() - height * width);
            before = rest;
            apply_block(vectors, factor, &mut panel[first * WIDTH..], width);
        }
    }
}

/// Multiplies a panel by I − V F Vᵀ, with V `[rows of the panel, width]` lower and F upper triangular.
fn apply_block(vectors: &[f32], factor: &[f32], panel: &mut [f32], width: usize) {
    let height = vectors.len() / width;
    let [mut along, mut turned] = [0.0; 2].map(|zero| AlignedArray([zero; REFLECTORS * WIDTH]));
    let (along, turned) = (&mut along.0[..width * WIDTH], &mut turned.0[..width * WIDTH]);
    add_product(along, Factor { entries: vectors, by_row: height, by_column: 1 }, panel);
    // Of a triangle no more than the tiles with something in them.
    for (tile, turned) in turned.chunks_mut(ROWS * WIDTH).enumerate() {
        let first = tile * ROWS;
        let entries = &factor[first * REFLECTORS + first..];
        add_product(turned, Factor { entries, by_row: 1, by_column: REFLECTORS }, &along[first * WIDTH..]);
    }
    let (top, rest) = panel.split_at_mut(width * WIDTH);
    for (tile, top) in top.chunks_mut(ROWS * WIDTH).enumerate() {
        let entries = &vectors[tile * ROWS..];
        let turned = &turned[..width.min((tile + 1) * ROWS) * WIDTH];
        subtract_product(top, Factor { entries, by_row: 1, by_column: height }, turned);
    }
    subtract_product(rest, Factor { entries: &vectors[width..], by_row: 1, by_column: height }, turned);
}

/// F `[REFLECTORS, REFLECTORS]`, column by column, of the reflections I − τ_j v_j v_jᵀ: f_jj = τ_j, and above it −τ_j F Vᵀ v_j of
/// the columns before.
///
/// Source: Schreiber and Van Loan, "A storage-efficient WY representation for products of Householder transformations" (1989).
struct CompactWy<'a> {
    /// V, column by column.
    vectors: &'a [f32],
    taus: &'a [f32],
}

/// Vectors of which all products with as many others are taken in one pass: their 16 sums fill half of the registers.
const SIDE: usize = 4;

impl WithSimd for CompactWy<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let products = pairwise_products(simd, self.vectors, self.taus.len());
        let mut factor = vec![0.0; REFLECTORS * REFLECTORS];
        for (j, tau) in self.taus.iter().enumerate() {
            let (before, rest) = factor.split_at_mut(j * REFLECTORS);
            let mut column = [0.0; REFLECTORS];
            for (l, before) in before.as_chunks::<REFLECTORS>().0.iter().enumerate() {
                let along = -tau * products[j][l];
                for i in 0..REFLECTORS {
                    column[i] += before[i] * along;
                }
            }
            column[j] = *tau;
            rest[..REFLECTORS].copy_from_slice(&column);
        }
        factor
    }
}

/// v_jᵀ v_l of each pair l ≤ j of `count` vectors.
#[inline(always)]
fn pairwise_products<S: Simd>(simd: S, vectors: &[f32], count: usize) -> [[f32; REFLECTORS]; REFLECTORS] {
    let height = vectors.len() / count;
    let mut products = [[0.0; REFLECTORS]; REFLECTORS];
    for j in (0..count).step_by(SIDE) {
        for l in (0..=j).step_by(SIDE) {
            // Where there are not as many, the last is taken again.
            let [mut own, mut others] = [&vectors[..0]; 2].map(|none| [none; SIDE]);
            for i in 0..SIDE {
                own[i] = &vectors[(j + i).min(count - 1) * height..][..height];
                others[i] = &vectors[(l + i).min(count - 1) * height..][..height];
            }
            let sums = inner_products(simd, own, others);
            for i in 0..SIDE {
                products[j + i][l..l + SIDE].copy_from_slice(&sums[i]);
            }
        }
    }
    products
}

/// The products of each vector with each of the others.
#[inline(always)]
fn inner_products<S: Simd>(simd: S, own: [&[f32]; SIDE], others: [&[f32]; SIDE]) -> [[f32; SIDE]; SIDE] {
    let mut sums = [[simd.splat_f32s(0.0); SIDE]; SIDE];
    let whole = own[0].len() / S::F32_LANES;
    for at in 0..whole {
        let [mut x, mut y] = [[simd.splat_f32s(0.0); SIDE]; 2];
        for i in 0..SIDE {
            x[i] = S::as_simd_f32s(own[i]).0[at];
            y[i] = S::as_simd_f32s(others[i]).0[at];
        }
        add_products(simd, x, y, &mut sums);
    }
    let [mut x, mut y] = [[simd.splat_f32s(0.0); SIDE]; 2];
    for i in 0..SIDE {
        x[i] = simd.partial_load_f32s(S::as_simd_f32s(own[i]).1);
        y[i] = simd.partial_load_f32s(S::as_simd_f32s(others[i]).1);
    }
    add_products(simd, x, y, &mut sums);
    let mut products = [[0.0; SIDE]; SIDE];
    for i in 0..SIDE {
        for j in 0..SIDE {
            products[i][j] = simd.reduce_sum_f32s(sums[i][j]);
        }
    }
    products
}

#[inline(always)]
fn add_products<S: Simd>(simd: S, x: [S::f32s; SIDE], y: [S::f32s; SIDE], sums: &mut [[S::f32s; SIDE]; SIDE]) {
    for i in 0..SIDE {
        for j in 0..SIDE {
            sums[i][j] = simd.mul_add_e_f32s(x[i], y[j], sums[i][j]);
        }
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::simd::in_all_widths;

    /// Checks I − V F Vᵀ against the reflections one after the other.
    fn assert_composes<S: Simd>(simd: S, vectors: &[f32], taus: &[f32]) {
        let height = vectors.len() / taus.len();
        let columns = Mat::from_fn(height, taus.len(), |i, j| f64::from(vectors[j * height + i]));
        let mut expected = Mat::<f64>::identity(height, height);
        for (j, tau) in taus.iter().enumerate() {
            let v = columns.subcols(j, 1);
            expected = &expected - (&expected * v) * v.transpose() * f64::from(*tau);
        }
        let factor = simd.vectorize(CompactWy { vectors, taus });
        let factor = Mat::from_fn(taus.len(), taus.len(), |i, j| f64::from(factor[j * REFLECTORS + i]));
        let composed = Mat::<f64>::identity(height, height) - &columns * factor * columns.transpose();
        let error = (composed - expected).norm_l2();
        let case = format!("{} numbers at a time, {} reflections of {height}", S::F32_LANES, taus.len());
        assert!(error < 1e-5, "{case}: off by {error:.1e}");
    }

    #[test]
    fn factors_compose_reflections_in_all_widths() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for (height, count) in [(1, 1), (2, 2), (7, 3), (16, 5), (40, REFLECTORS), (REFLECTORS, REFLECTORS), (100, 31)]
        {
            let mut vectors = vec![0.0; height * count];
            let mut taus = vec![0.0; count];
            for (j, (vector, tau)) in vectors.chunks_exact_mut(height).zip(&mut taus).enumerate() {
                vector[j..].iter_mut().for_each(|x| *x = rng.random_range(-1.0..1.0));
                // One reflection that does nothing.
                *tau = if j == 2 { 0.0 } else { 2.0 / vector.iter().map(|x| x * x).sum::<f32>() };
            }
            in_all_widths!(assert_composes(&vectors, &taus));
        }
    }
}
