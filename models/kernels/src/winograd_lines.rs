//! The transforms of Winograd's algorithm F(4, 3) along one line of a tile.
//!
//! Four neighbouring outputs of a convolution with three weights are a product of polynomials, and so six values of it determine
//! them: those at 0, ±a, ±b and ∞ (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016). With g the weights and
//! d the six inputs, the outputs are
//!
//! ```text
//! y = Aᵀ [(G g) ⊙ (Bᵀ d)],    and of weights and inputs, the gradients are    Gᵀ [(A ∂y) ⊙ (Bᵀ d)]
//! ```
//!
//! where row p of G is (1, p, p²) / Π (p − q) over the other finite points q, row p of A is (1, p, p², p³), and row p of Bᵀ has the
//! coefficients of Π (x − q). With a = 5/8 and b = 3/2, all entries of A and B are f32, and the rounding errors are about twice those
//! of the sum of nine products; with 1 and 2, the usual points, four times.

use pulp::Simd;

/// The point a.
const A: f32 = 0.625;
/// The point b.
const B: f32 = 1.5;
const AA: f32 = A * A;
const BB: f32 = B * B;
/// 1 / Π (p − q), for p = 0, ±a and ±b.
const SHARES: [f32; 3] = [1.0 / (AA * BB), 1.0 / (2.0 * AA * (AA - BB)), 1.0 / (2.0 * BB * (BB - AA))];

/// Bᵀ d: inputs to points. Six inputs of one line, 12 operations.
#[inline(always)]
pub(crate) fn inputs<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
    let times = |factor: f32, value, sum| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, sum);
    let ends = |first, middle, last| times(AA * BB, first, times(-(AA + BB), middle, last));
    let (even, odd) = (times(-BB, d[2], d[4]), times(-BB, d[1], d[3]));
    let (far_even, far_odd) = (times(-AA, d[2], d[4]), times(-AA, d[1], d[3]));
    [
        ends(d[0], d[2], d[4]),
        times(A, odd, even),
        times(-A, odd, even),
        times(B, far_odd, far_even),
        times(-B, far_odd, far_even),
        ends(d[1], d[3], d[5]),
    ]
}

/// Aᵀ m: products at the points to outputs.
#[inline(always)]
pub(crate) fn outputs<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
    let times = |factor: f32, value, sum| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, sum);
    let of = |factor: f32, value| simd.mul_f32s(simd.splat_f32s(factor), value);
    let (near, near_odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far, far_odd) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(near, far)),
        times(A, near_odd, of(B, far_odd)),
        times(AA, near, of(BB, far)),
        times(A * AA, near_odd, times(B * BB, far_odd, m[5])),
    ]
}

/// A y: gradients of outputs to points.
#[inline(always)]
pub(crate) fn output_gradients<S: Simd>(simd: S, y: [S::f32s; 4]) -> [S::f32s; 6] {
    let times = |factor: f32, value, sum| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, sum);
    let (even, odd) = (times(AA, y[2], y[0]), times(AA, y[3], y[1]));
    let (far_even, far_odd) = (times(BB, y[2], y[0]), times(BB, y[3], y[1]));
    [y[0], times(A, odd, even), times(-A, odd, even), times(B, far_odd, far_even), times(-B, far_odd, far_even), y[3]]
}

/// G g: weights to points.
#[inline(always)]
pub(crate) fn weights<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; 6] {
    let times = |factor: f32, value, sum| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, sum);
    let of = |factor: f32, value| simd.mul_f32s(simd.splat_f32s(factor), value);
    let [zero, near, far] = SHARES;
    let (even, odd) = (of(near, times(AA, g[2], g[0])), of(near, g[1]));
    let (far_even, far_odd) = (of(far, times(BB, g[2], g[0])), of(far, g[1]));
    [
        of(zero, g[0]),
        times(A, odd, even),
        times(-A, odd, even),
        times(B, far_odd, far_even),
        times(-B, far_odd, far_even),
        g[2],
    ]
}

/// Gᵀ m: sums at the points to gradients of weights.
#[inline(always)]
pub(crate) fn weight_gradients<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 3] {
    let times = |factor: f32, value, sum| simd.mul_add_e_f32s(simd.splat_f32s(factor), value, sum);
    let of = |factor: f32, value| simd.mul_f32s(simd.splat_f32s(factor), value);
    let [zero, near, far] = SHARES;
    let (even, odd) = (of(near, simd.add_f32s(m[1], m[2])), of(near, simd.sub_f32s(m[1], m[2])));
    let (far_even, far_odd) = (of(far, simd.add_f32s(m[3], m[4])), of(far, simd.sub_f32s(m[3], m[4])));
    [
        times(zero, m[0], simd.add_f32s(even, far_even)),
        times(A, odd, of(B, far_odd)),
        times(AA, even, times(BB, far_even, m[5])),
    ]
}
