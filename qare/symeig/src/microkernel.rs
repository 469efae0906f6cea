//! Products with panels: matrices of [`WIDTH`] columns, row by row.
//!
//! A few rows of the outcome are kept in registers while the panel is read, as many of its rows at a time as stay in the
//! nearest cache. A library's product has to bring its factors into such a form first, which for factors as small as
//! these takes as long again.

use pulp::{Simd, WithSimd};

/// Columns of a panel: four vectors of the longest kind, so that the rows of a tile fill half of the registers.
pub(crate) const WIDTH: usize = 64;
/// Entries of a panel as high as it is wide.
pub(crate) const SQUARE: usize = WIDTH * WIDTH;
/// Rows of the outcome in registers: with four vectors of columns 16 sums, which hide the latency of a fused multiply-add.
pub(crate) const ROWS: usize = 4;
/// Rows of a panel read at a time: 16 KiB, half of the smallest first-level cache.
const DEPTH: usize = 64;

/// A matrix whose entry (i, k) is `entries[i * by_row + k * by_column]`.
#[derive(Clone, Copy)]
pub(crate) struct Factor<'a> {
    pub entries: &'a [f32],
    pub by_row: usize,
    pub by_column: usize,
}

/// target ← target + factor · panel.
pub(crate) fn add_product(target: &mut [f32], factor: Factor<'_>, panel: &[f32]) {
    pulp::Arch::new().dispatch(Product::<false> { target, factor, panel });
}

/// target ← target − factor · panel.
pub(crate) fn subtract_product(target: &mut [f32], factor: Factor<'_>, panel: &[f32]) {
    pulp::Arch::new().dispatch(Product::<true> { target, factor, panel });
}

struct Product<'a, const SUBTRACT: bool> {
    target: &'a mut [f32],
    factor: Factor<'a>,
    panel: &'a [f32],
}

impl<const SUBTRACT: bool> WithSimd for Product<'_, SUBTRACT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // As many vectors of columns as there are registers for.
        match S::F32_LANES {
            16 => self.run::<S, 4>(simd),
            _ => self.run::<S, 2>(simd),
        }
    }
}

impl<const SUBTRACT: bool> Product<'_, SUBTRACT> {
    #[inline(always)]
    fn run<S: Simd, const VECTORS: usize>(self, simd: S) {
        let Factor { by_row, by_column, .. } = self.factor;
        for (part, panel) in self.panel.chunks(DEPTH * WIDTH).enumerate() {
            for (group, target) in self.target.chunks_mut(ROWS * WIDTH).enumerate() {
                let entries = &self.factor.entries[group * ROWS * by_row + part * DEPTH * by_column..];
                let factor = Factor { entries, by_row, by_column };
                match target.len() / WIDTH {
                    1 => Self::tile::<S, VECTORS, 1>(simd, target, factor, panel),
                    2 => Self::tile::<S, VECTORS, 2>(simd, target, factor, panel),
                    3 => Self::tile::<S, VECTORS, 3>(simd, target, factor, panel),
                    _ => Self::tile::<S, VECTORS, ROWS>(simd, target, factor, panel),
                }
            }
        }
    }

    /// `R` rows of the outcome.
    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize, const R: usize>(
        simd: S,
        target: &mut [f32],
        factor: Factor<'_>,
        panel: &[f32],
    ) {
        let width = VECTORS * S::F32_LANES;
        for first in (0..WIDTH).step_by(width) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; R];
            for (k, row) in panel.chunks_exact(WIDTH).enumerate() {
                let row: &[S::f32s; VECTORS] = vectors(S::as_simd_f32s(&row[first..first + width]).0);
                for (r, sums) in sums.iter_mut().enumerate() {
                    let entry = simd.splat_f32s(factor.entries[r * factor.by_row + k * factor.by_column]);
                    for (sum, x) in sums.iter_mut().zip(row) {
                        *sum = simd.mul_add_e_f32s(entry, *x, *sum);
                    }
                }
            }
            for (row, sums) in target.chunks_exact_mut(WIDTH).zip(sums) {
                let row = S::as_mut_simd_f32s(&mut row[first..first + width]).0;
                for (target, sum) in row.iter_mut().zip(sums) {
                    *target = if SUBTRACT { simd.sub_f32s(*target, sum) } else { simd.add_f32s(*target, sum) };
                }
            }
        }
    }
}

/// All of them.
#[inline(always)]
fn vectors<V, const N: usize>(vectors: &[V]) -> &[V; N] {
    vectors.try_into().expect("a whole number of vectors")
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::simd::in_all_widths;

    fn assert_product(product: &[f32], sign: f64, target: &[f32], factor: Factor<'_>, panel: &[f32], case: &str) {
        let depth = panel.len() / WIDTH;
        for (at, product) in product.iter().enumerate() {
            let (i, j) = (at / WIDTH, at % WIDTH);
            let entry = |k: usize| factor.entries[i * factor.by_row + k * factor.by_column];
            let part = |k: usize| f64::from(entry(k) * panel[k * WIDTH + j]);
            let expected = f64::from(target[at]) + sign * (0..depth).map(part).sum::<f64>();
            assert!((f64::from(*product) - expected).abs() < 1e-5, "{case}, {} × {depth}", target.len() / WIDTH);
        }
    }

    fn assert_products<S: Simd>(simd: S, target: &[f32], factor: Factor<'_>, panel: &[f32]) {
        let case = format!("{} numbers at a time", S::F32_LANES);
        let (mut sum, mut difference) = (target.to_vec(), target.to_vec());
        simd.vectorize(Product::<false> { target: &mut sum, factor, panel });
        assert_product(&sum, 1.0, target, factor, panel, &case);
        simd.vectorize(Product::<true> { target: &mut difference, factor, panel });
        assert_product(&difference, -1.0, target, factor, panel, &case);
    }

    #[test]
    fn products_are_those_of_literal_sums_in_all_widths() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut draw = |count: usize| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        for (rows, depth) in [(1, 1), (2, 3), (3, 64), (4, 65), (5, 31), (7, 200), (64, 130)] {
            let (target, entries, panel) = (draw(rows * WIDTH), draw(rows * depth), draw(depth * WIDTH));
            for (by_row, by_column) in [(depth, 1), (1, rows)] {
                let factor = Factor { entries: &entries, by_row, by_column };
                in_all_widths!(assert_products(&target, factor, &panel));
                let (mut sum, mut difference) = (target.clone(), target.clone());
                add_product(&mut sum, factor, &panel);
                assert_product(&sum, 1.0, &target, factor, &panel, "this machine's");
                subtract_product(&mut difference, factor, &panel);
                assert_product(&difference, -1.0, &target, factor, &panel, "this machine's");
            }
        }
    }
}
