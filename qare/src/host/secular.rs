//! The eigenvalues of a diagonal matrix plus one of rank one, D + ρ z zᵀ: the step of divide and conquer.
//!
//! They are the roots of 1/ρ + Σ_k z_k²/(d_k − λ), one in each gap between neighbouring poles d_k. Every sum runs over
//! contiguous slices, in operations that the compiler turns into vector instructions.
//!
//! Source: Bunch, Nielsen, Sorensen, "Rank-one modification of the symmetric eigenproblem" (1978); Gu and Eisenstat, "A
//! stable and efficient algorithm for the rank-one modification of the symmetric eigenproblem" (1994).

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::vectorized::vectorized;

/// D + ρ z zᵀ with its eigenvalues; λ_j = poles[origins[j]] + offsets[j], which keeps λ_j − d_k precise for every k.
pub(super) struct Secular {
    poles: Vec<f32>,
    /// z of the matrix whose exact eigenvalues these λ are, which makes the eigenvectors orthogonal.
    weights: Vec<f32>,
    origins: Vec<usize>,
    offsets: Vec<f32>,
}

/// Roots that one task looks for.
const CHUNK: usize = 64;

impl Secular {
    /// Solves it for `poles` in strictly ascending order, no weight zero, and ρ > 0.
    pub fn new(poles: Vec<f32>, mut weights: Vec<f32>, rho: f32) -> Self {
        let squares: Vec<f32> = weights.iter().map(|z| z * z).collect();
        let starts: Vec<usize> = (0..poles.len()).step_by(CHUNK).collect();
        let roots: Vec<Vec<(usize, f32)>> = starts
            .par_iter()
            .map(|&start| {
                let range = start..poles.len().min(start + CHUNK);
                pulp::Arch::new().dispatch(Roots { poles: &poles, squares: &squares, rho, range })
            })
            .collect();
        let (origins, offsets): (Vec<usize>, Vec<f32>) = roots.into_iter().flatten().unzip();
        let exact: Vec<Vec<f32>> = starts
            .par_iter()
            .map(|&start| {
                let end = poles.len().min(start + CHUNK);
                vectorized(
                    #[inline(always)]
                    || lowner(&poles, &origins, &offsets, start, end),
                )
            })
            .collect();
        for (weight, square) in weights.iter_mut().zip(exact.into_iter().flatten()) {
            *weight = square.abs().sqrt().copysign(*weight);
        }
        Self { poles, weights, origins, offsets }
    }

    /// λ_j.
    pub fn value(&self, j: usize) -> f32 {
        self.poles[self.origins[j]] + self.offsets[j]
    }

    /// The unit eigenvector of λ_j, entry k written to `vector[place[k]]`.
    #[inline(always)]
    pub fn vector(&self, j: usize, scratch: &mut [f32], place: &[usize], vector: &mut [f32]) {
        let (origin, offset) = (self.poles[self.origins[j]], self.offsets[j]);
        for ((x, d), z) in scratch.iter_mut().zip(&self.poles).zip(&self.weights) {
            *x = z / ((d - origin) - offset);
        }
        let inverse = 1.0 / (super::pairwise::sum(scratch, |x| x * x) as f32).sqrt();
        for (x, place) in scratch.iter().zip(place) {
            vector[*place] = x * inverse;
        }
    }
}

/// The roots in a range.
struct Roots<'a> {
    poles: &'a [f32],
    squares: &'a [f32],
    rho: f32,
    range: Range<usize>,
}

impl WithSimd for Roots<'_> {
    type Output = Vec<(usize, f32)>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut roots = Vec::with_capacity(self.range.len());
        for j in self.range {
            roots.push(root(simd, self.poles, self.squares, self.rho, j));
        }
        roots
    }
}

/// Σ z²/(d − λ) and its derivative Σ z²/(d − λ)², with λ = origin + offset.
#[inline(always)]
fn rational<S: Simd>(simd: S, poles: &[f32], squares: &[f32], origin: f32, offset: f32) -> (f32, f32) {
    let ((poles, last_poles), (squares, last_squares)) = (S::as_simd_f32s(poles), S::as_simd_f32s(squares));
    let (one, base, step) = (simd.splat_f32s(1.0), simd.splat_f32s(origin), simd.splat_f32s(offset));
    let (mut sums, mut slopes) = ([simd.splat_f32s(0.0); 2], [simd.splat_f32s(0.0); 2]);
    for (i, (d, z)) in poles.iter().zip(squares).enumerate() {
        let inverse = simd.div_f32s(one, simd.sub_f32s(simd.sub_f32s(*d, base), step));
        let term = simd.mul_f32s(*z, inverse);
        sums[i % 2] = simd.add_f32s(sums[i % 2], term);
        slopes[i % 2] = simd.mul_add_e_f32s(term, inverse, slopes[i % 2]);
    }
    let mut sum = simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]));
    let mut slope = simd.reduce_sum_f32s(simd.add_f32s(slopes[0], slopes[1]));
    for (d, z) in last_poles.iter().zip(last_squares) {
        let inverse = 1.0 / ((d - origin) - offset);
        let term = z * inverse;
        sum += term;
        slope += term * inverse;
    }
    (sum, slope)
}

/// The root between poles j and j + 1 (beyond the last pole, for the last), as a pole and an offset from it.
///
/// Each step takes the poles on either side together as one pole, with the same value and slope here, and goes to the
/// root of that. Where this leaves the bracket, the bracket is halved instead.
#[inline(always)]
fn root<S: Simd>(simd: S, poles: &[f32], squares: &[f32], rho: f32, j: usize) -> (usize, f32) {
    let count = poles.len();
    let last = j + 1 == count;
    let constant = 1.0 / rho;
    let (below, above) = (&poles[..=j], &poles[j + 1..]);
    let (squares_below, squares_above) = squares.split_at(j + 1);
    let evaluate = |origin: f32, offset: f32| {
        let (psi, psi_slope) = rational(simd, below, squares_below, origin, offset);
        let (phi, phi_slope) = rational(simd, above, squares_above, origin, offset);
        (psi, psi_slope, phi, phi_slope)
    };
    let (origin, mut low, mut high) = if last {
        (j, 0.0, rho * super::pairwise::sum(squares, |z| z) as f32)
    } else {
        let half = (poles[j + 1] - poles[j]) * 0.5;
        let (psi, _, phi, _) = evaluate(poles[j], half);
        if constant + psi + phi >= 0.0 { (j, 0.0, half) } else { (j + 1, -half, 0.0) }
    };
    let base = poles[origin];
    let mut offset = (low + high) * 0.5;
    for _ in 0..60 {
        let (psi, psi_slope, phi, phi_slope) = evaluate(base, offset);
        let value = constant + psi + phi;
        let noise = constant + phi - psi + offset.abs() * (psi_slope + phi_slope);
        if value.abs() <= f32::EPSILON * noise {
            break;
        }
        if value < 0.0 {
            low = offset;
        } else {
            high = offset;
        }
        let left = (poles[j] - base) - offset;
        let step = if last {
            // value + slope·(…): c + s/(d − x) = 0
            let c = value - left * psi_slope;
            left + left * left * psi_slope / c
        } else {
            let right = (poles[j + 1] - base) - offset;
            let c = value - left * psi_slope - right * phi_slope;
            let a = (left + right) * value - left * right * (psi_slope + phi_slope);
            let b = left * right * value;
            let root = (a * a - 4.0 * b * c).max(0.0).sqrt();
            if a <= 0.0 { (a - root) / (2.0 * c) } else { 2.0 * b / (a + root) }
        };
        let next = offset + step;
        let next = if next > low && next < high { next } else { (low + high) * 0.5 };
        if next == offset || next == low || next == high {
            break;
        }
        offset = next;
    }
    (origin, offset)
}

/// z_i² up to a common factor, for i from `start` to `end`: Π_j (λ_j − d_i) / Π_{j≠i} (d_j − d_i).
#[inline(always)]
fn lowner(poles: &[f32], origins: &[usize], offsets: &[f32], start: usize, end: usize) -> Vec<f32> {
    let own = &poles[start..end];
    let mut products = vec![1.0; end - start];
    for (j, (origin, offset)) in origins.iter().zip(offsets).enumerate() {
        let (pole, origin) = (poles[j], poles[*origin]);
        let inside = j.clamp(start, end) - start;
        let after = (j + 1).clamp(start, end) - start;
        for part in [0..inside, after..end - start] {
            for (product, d) in products[part.clone()].iter_mut().zip(&own[part]) {
                *product *= ((origin - d) + offset) / (pole - d);
            }
        }
        if (start..end).contains(&j) {
            products[inside] *= (origin - pole) + offset;
        }
    }
    products
}
