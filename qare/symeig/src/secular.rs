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

use crate::EigenParams;
use crate::simd::{sum, sum_of_squares, vectorized};

/// D + ρ z zᵀ with its eigenvalues; λ_j = poles[origins[j]] + offsets[j], which keeps λ_j − d_k precise for every k.
pub(crate) struct Secular {
    poles: Vec<f32>,
    /// z of the matrix whose exact eigenvalues these λ are, which makes the eigenvectors orthogonal.
    weights: Vec<f32>,
    origins: Vec<usize>,
    offsets: Vec<f32>,
}

impl Secular {
    /// Solves it for `poles` in strictly ascending order, no weight zero, and ρ > 0.
    pub fn new(poles: Vec<f32>, mut weights: Vec<f32>, rho: f32, params: &EigenParams) -> Self {
        let chunk = params.roots_per_task.max(1);
        let squares: Vec<f32> = weights.iter().map(|z| z * z).collect();
        let starts: Vec<usize> = (0..poles.len()).step_by(chunk).collect();
        let steps = params.max_root_steps;
        let roots: Vec<Vec<(usize, f32)>> = starts
            .par_iter()
            .map(|&start| {
                let range = start..poles.len().min(start + chunk);
                pulp::Arch::new().dispatch(Roots { poles: &poles, squares: &squares, rho, range, steps })
            })
            .collect();
        let (origins, offsets): (Vec<usize>, Vec<f32>) = roots.into_iter().flatten().unzip();
        let exact: Vec<Vec<f32>> = starts
            .par_iter()
            .map(|&start| {
                let end = poles.len().min(start + chunk);
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
        let inverse = 1.0 / (sum_of_squares(scratch) as f32).sqrt();
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
    /// Steps of interpolation.
    steps: usize,
}

impl WithSimd for Roots<'_> {
    type Output = Vec<(usize, f32)>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let mut roots = Vec::with_capacity(self.range.len());
        for j in self.range {
            roots.push(root(simd, self.poles, self.squares, self.rho, j, self.steps));
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
/// root of that. Where this leaves the bracket, and after `steps`, the bracket is halved instead, which ends with the last bit.
#[inline(always)]
fn root<S: Simd>(simd: S, poles: &[f32], squares: &[f32], rho: f32, j: usize, steps: usize) -> (usize, f32) {
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
        (j, 0.0, rho * sum(squares) as f32)
    } else {
        let half = (poles[j + 1] - poles[j]) * 0.5;
        let (psi, _, phi, _) = evaluate(poles[j], half);
        if constant + psi + phi >= 0.0 { (j, 0.0, half) } else { (j + 1, -half, 0.0) }
    };
    let base = poles[origin];
    let mut offset = (low + high) * 0.5;
    for step in 0.. {
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
        let length = if last {
            // The poles below as one pole at the last: c + s/(d − x) = 0.
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
        let next = offset + length;
        let next = if step < steps && next > low && next < high { next } else { (low + high) * 0.5 };
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

#[cfg(test)]
mod tests {
    use faer::{Mat, Side};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const EPS: f64 = f32::EPSILON as f64;

    /// D + ρ z zᵀ.
    fn dense(poles: &[f32], z: &[f32], rho: f32) -> Mat<f64> {
        let n = poles.len();
        Mat::from_fn(n, n, |i, j| {
            let own = if i == j { f64::from(poles[i]) } else { 0.0 };
            own + f64::from(rho) * f64::from(z[i]) * f64::from(z[j])
        })
    }

    fn assert_solved(poles: &[f32], z: &[f32], rho: f32, params: &EigenParams, case: &str) {
        let n = poles.len();
        let matrix = dense(poles, z, rho);
        let expected = matrix.self_adjoint_eigenvalues(Side::Lower).unwrap();
        let norm = expected.iter().fold(0.0f64, |norm, value| norm.max(value.abs()));
        let secular = Secular::new(poles.to_vec(), z.to_vec(), rho, params);
        for (j, expected) in expected.iter().enumerate() {
            let value = f64::from(secular.poles[secular.origins[j]]) + f64::from(secular.offsets[j]);
            // The sum of n terms is off by n·½ε of their magnitudes, and so is a root relative to ‖D + ρ z zᵀ‖.
            assert!(
                (value - expected).abs() <= (4.0 + n as f64) * EPS * norm,
                "{case}: root {j}, {value} for {expected}"
            );
            assert!(value >= f64::from(poles[j]), "{case}: root {j} is below its pole");
            assert!(j + 1 == n || value <= f64::from(poles[j + 1]), "{case}: root {j} is above the next pole");
        }
        let place: Vec<usize> = (0..n).collect();
        let mut u = Mat::<f64>::zeros(n, n);
        let (mut scratch, mut vector) = (vec![0.0; n], vec![0.0; n]);
        for j in 0..n {
            secular.vector(j, &mut scratch, &place, &mut vector);
            (0..n).for_each(|i| u[(i, j)] = vector[i].into());
        }
        // Löwner's weights make the vectors orthogonal however close the roots are: to the rounding of products of n factors.
        let error = (u.transpose() * &u - Mat::<f64>::identity(n, n)).norm_max();
        assert!(error <= 8.0 * (4.0 + n as f64) * EPS, "{case}: Uᵀ U is off by {error:.1e}");
    }

    fn draw(n: usize, seed: u64) -> (Vec<f32>, Vec<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut poles: Vec<f32> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
        poles.sort_by(f32::total_cmp);
        let z: Vec<f32> = (0..n).map(|_| rng.random_range(0.1..1.0f32).copysign(rng.random_range(-1.0..1.0))).collect();
        let length = z.iter().map(|z| z * z).sum::<f32>().sqrt();
        (poles, z.into_iter().map(|z| z / length).collect())
    }

    #[test]
    fn roots_interlace_with_the_poles_and_vectors_are_orthogonal() {
        let params = EigenParams::default();
        for n in [1, 2, 3, 7, 16, 33, 64, 65, 130, 200] {
            for seed in 0..10 {
                let (poles, z) = draw(n, seed);
                for rho in [1e-3, 0.5, 30.0] {
                    assert_solved(&poles, &z, rho, &params, &format!("order {n}, seed {seed}, ρ = {rho}"));
                }
            }
        }
    }

    #[test]
    fn poles_that_nearly_touch_keep_their_roots_apart() {
        for distance in [1e-3, 1e-5, 3e-7] {
            let poles: Vec<f32> = (0..40).map(|i| (i / 4) as f32 * 0.1 + (i % 4) as f32 * distance).collect();
            let z = vec![1.0 / 40f32.sqrt(); 40];
            assert!(poles.is_sorted_by(|a, b| a < b));
            assert_solved(&poles, &z, 1.0, &EigenParams::default(), &format!("poles {distance:e} apart"));
        }
    }

    #[test]
    fn halving_alone_finds_the_roots() {
        let params = EigenParams { max_root_steps: 0, ..Default::default() };
        for seed in 0..10 {
            let (poles, z) = draw(30, seed);
            assert_solved(&poles, &z, 0.7, &params, &format!("halved, seed {seed}"));
        }
    }
}
