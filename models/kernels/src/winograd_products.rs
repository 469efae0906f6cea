//! The products of Winograd's algorithm: at each of the 36 points, a matrix product of tiles and weights, or of tiles and gradients.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use crate::vectors::{load, store, vectorize};
use crate::weights::panel_width;
use crate::winograd_points::{POINTS, Points, tile_len};

/// Writes Σ_i points[p, t, i] · weights[p, i, o] for every point p and tile t, given weights `[C_out / w, 36, C_in, w]`.
///
/// # Panics
///
/// If tiles or weights are of other numbers.
pub(crate) fn multiply(points: &Points, weights: &[f32], products: &mut Points) {
    assert_eq!(points.tiles(), products.tiles());
    assert_eq!(weights.len(), POINTS * points.channels() * products.channels());
    vectorize(products.channels(), Multiply { points, weights, products });
}

/// Made by [`multiply`] alone: the tiles are as many, and the lanes of a vector divide C_out.
struct Multiply<'a> {
    points: &'a Points,
    weights: &'a [f32],
    products: &'a mut Points,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A step that the compiler knows becomes an offset in an address.
        match self.points.channels() {
            16 => self.rows::<S, 16>(simd),
            32 => self.rows::<S, 32>(simd),
            64 => self.rows::<S, 64>(simd),
            128 => self.rows::<S, 128>(simd),
            _ => self.rows::<S, 0>(simd),
        }
    }
}

impl Multiply<'_> {
    /// Chooses tiles of the product that fit into the registers. STEP is the number of channels, or 0 for any.
    #[inline(always)]
    fn rows<S: Simd, const STEP: usize>(self, simd: S) {
        let blocks = panel_width(self.products.channels()) / S::F32_LANES;
        let many_registers = S::REGISTER_COUNT >= 32;
        match (many_registers, blocks) {
            (true, blocks) if S::F32_LANES == 4 && blocks.is_multiple_of(4) => self.all::<S, STEP, 4, 4>(simd),
            (true, blocks) if blocks.is_multiple_of(2) => self.all::<S, STEP, 8, 2>(simd),
            (true, _) => self.all::<S, STEP, 16, 1>(simd),
            (false, blocks) if blocks.is_multiple_of(2) => self.all::<S, STEP, 4, 2>(simd),
            (false, _) => self.all::<S, STEP, 8, 1>(simd),
        }
    }

    /// All products, P tiles × N vectors of channels at a time.
    #[inline(always)]
    fn all<S: Simd, const STEP: usize, const P: usize, const N: usize>(self, simd: S) {
        let (c_in, c_out, tiles) = (self.points.channels(), self.products.channels(), self.points.tiles());
        let (from_step, to_step) = (tile_len(if STEP == 0 { c_in } else { STEP }), tile_len(c_out));
        let panel = panel_width(c_out);
        let (from, to) = (self.points.values().as_ptr(), self.products.values_mut().as_mut_ptr());
        for point in 0..POINTS {
            for channel in (0..c_out).step_by(N * S::F32_LANES) {
                let weights = (channel / panel * POINTS + point) * c_in * panel + channel % panel;
                let mut tile = 0;
                while tile < tiles {
                    // SAFETY: the points have values of each tile, and the rows have no tile from `tiles` on; N vectors divide a
                    // panel, so that all of them are in the panel of weights and in the products of a tile.
                    unsafe {
                        let rows = Rows {
                            from: from.add(tile * from_step + point * c_in),
                            step: from_step,
                            len: c_in,
                            weights: self.weights.as_ptr().add(weights),
                            panel,
                            to: to.add(tile * to_step + point * c_out + channel),
                            to_step,
                        };
                        if tile + P <= tiles {
                            rows.multiply::<S, P, N>(simd);
                            tile += P;
                        } else if P > 8 && tile + 8 <= tiles {
                            rows.multiply::<S, 8, N>(simd);
                            tile += 8;
                        } else if P > 4 && tile + 4 <= tiles {
                            rows.multiply::<S, 4, N>(simd);
                            tile += 4;
                        } else {
                            rows.multiply::<S, 1, N>(simd);
                            tile += 1;
                        }
                    }
                }
            }
        }
    }
}

/// Neighbouring tiles at one point, and the weights of some channels.
struct Rows {
    from: *const f32,
    /// Values from a tile to the next.
    step: usize,
    /// Input channels.
    len: usize,
    weights: *const f32,
    /// Values of the weights from an input channel to the next.
    panel: usize,
    to: *mut f32,
    to_step: usize,
}

impl Rows {
    /// P tiles × N vectors of channels.
    ///
    /// # Safety
    ///
    /// For p < P, j < len and c < N·lanes, `from[p·step + j]` and `weights[j·panel + c]` can be read, and `to[p·to_step + c]` can be
    /// written.
    #[inline(always)]
    unsafe fn multiply<S: Simd, const P: usize, const N: usize>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); N]; P];
        // SAFETY: the loops run over the indices that the caller promises.
        unsafe {
            for j in 0..self.len {
                let weights = self.weights.add(j * self.panel);
                let mut weight = [simd.splat_f32s(0.0); N];
                for n in 0..N {
                    weight[n] = load::<S>(weights.add(n * S::F32_LANES));
                }
                for p in 0..P {
                    let value = simd.splat_f32s(*self.from.add(p * self.step + j));
                    for n in 0..N {
                        sums[p][n] = simd.mul_add_e_f32s(value, weight[n], sums[p][n]);
                    }
                }
            }
            for p in 0..P {
                for n in 0..N {
                    store::<S>(self.to.add(p * self.to_step + n * S::F32_LANES), sums[p][n]);
                }
            }
        }
    }
}

/// Adds Σ_t points[p, t, i] · gradients[p, t, o] to the sums `[36, C_in, C_out]` for every point p, or writes it if they are to `start`.
///
/// # Panics
///
/// If tiles or sums are of other numbers, or C_in is no multiple of eight.
pub(crate) fn add_products(points: &Points, gradients: &Points, start: bool, sums: &mut [f32]) {
    assert_eq!(points.tiles(), gradients.tiles());
    assert!(points.channels().is_multiple_of(8));
    assert_eq!(sums.len(), POINTS * points.channels() * gradients.channels());
    vectorize(gradients.channels(), AddProducts { points, gradients, start, sums });
}

/// Made by [`add_products`] alone: the tiles are as many, the lanes of a vector divide C_out, and eight divides C_in.
struct AddProducts<'a> {
    points: &'a Points,
    gradients: &'a Points,
    start: bool,
    sums: &'a mut [f32],
}

impl WithSimd for AddProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let blocks = self.gradients.channels() / S::F32_LANES;
        let many_registers = S::REGISTER_COUNT >= 32;
        let sixteen = self.points.channels().is_multiple_of(16);
        match (many_registers, blocks) {
            (true, blocks) if S::F32_LANES == 4 && blocks.is_multiple_of(4) => self.all::<S, 4, 4>(simd),
            (true, blocks) if blocks.is_multiple_of(2) => self.all::<S, 8, 2>(simd),
            (true, _) if sixteen => self.all::<S, 16, 1>(simd),
            (false, blocks) if blocks.is_multiple_of(2) => self.all::<S, 4, 2>(simd),
            _ => self.all::<S, 8, 1>(simd),
        }
    }
}

impl AddProducts<'_> {
    /// All sums, Q input channels × N vectors of output channels at a time. Q divides C_in.
    #[inline(always)]
    fn all<S: Simd, const Q: usize, const N: usize>(self, simd: S) {
        let (c_in, c_out, tiles) = (self.points.channels(), self.gradients.channels(), self.points.tiles());
        let (points, gradients) = (self.points.values().as_ptr(), self.gradients.values().as_ptr());
        let (from_step, of_step) = (tile_len(c_in), tile_len(c_out));
        for point in 0..POINTS {
            for i in (0..c_in).step_by(Q) {
                for channel in (0..c_out).step_by(N * S::F32_LANES) {
                    // SAFETY: points and gradients have values of each tile and channel, and the sums have one of each pair of
                    // channels; Q divides C_in, and N vectors C_out.
                    unsafe {
                        let mut from = points.add(point * c_in + i);
                        let mut of = gradients.add(point * c_out + channel);
                        let to = self.sums.as_mut_ptr().add((point * c_in + i) * c_out + channel);
                        let mut sums = [[simd.splat_f32s(0.0); N]; Q];
                        for _ in 0..tiles {
                            let mut gradient = [simd.splat_f32s(0.0); N];
                            for n in 0..N {
                                gradient[n] = load::<S>(of.add(n * S::F32_LANES));
                            }
                            for q in 0..Q {
                                let value = simd.splat_f32s(*from.add(q));
                                for n in 0..N {
                                    sums[q][n] = simd.mul_add_e_f32s(value, gradient[n], sums[q][n]);
                                }
                            }
                            // After the last tile these may point past the end of their arrays, which `add` must not.
                            from = from.wrapping_add(from_step);
                            of = of.wrapping_add(of_step);
                        }
                        for q in 0..Q {
                            for n in 0..N {
                                let at = to.add(q * c_out + n * S::F32_LANES);
                                let sum =
                                    if self.start { sums[q][n] } else { simd.add_f32s(load::<S>(at), sums[q][n]) };
                                store::<S>(at, sum);
                            }
                        }
                    }
                }
            }
        }
    }
}
