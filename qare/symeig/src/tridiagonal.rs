//! Symmetric tridiagonal matrices, and what both their eigenvalues and their eigenvectors are made with: pivots of T − σ at
//! several shifts σ at once, one in each lane of the processor's vectors.

use pulp::{Simd, bytemuck};

use crate::microkernel::WIDTH;

/// Vectors of shifts interleaved, so that the divisions of one fill the time that those of another take.
pub(crate) const INTERLEAVED: usize = 4;
/// Shifts of a task: as many as [`INTERLEAVED`] of the longest vectors hold.
pub(crate) const SHIFTS: usize = WIDTH;

/// A symmetric tridiagonal matrix T.
pub(crate) struct Tridiagonal {
    /// Diagonal `[n]`.
    pub diagonal: Vec<f32>,
    /// Diagonal below it, and a zero `[n]`.
    pub below: Vec<f32>,
    /// Σ_j |T_ij| `[n]`.
    pub row_sums: Vec<f32>,
    /// Their median.
    pub typical: f32,
    /// Floor under the magnitude of pivots.
    pub pivot_floor: f32,
}

impl Tridiagonal {
    /// With this diagonal `[n]`, and `below` below it `[n − 1]`.
    pub fn new(diagonal: Vec<f32>, below: &[f32]) -> Self {
        let mut below = below.to_vec();
        below.resize(diagonal.len(), 0.0);
        let mut matrix = Self { diagonal, below, row_sums: Vec::new(), typical: 0.0, pivot_floor: 0.0 };
        matrix.row_sums = matrix.diagonal.iter().zip(matrix.radii()).map(|(d, radius)| d.abs() + radius).collect();
        let mut sorted = matrix.row_sums.clone();
        if !sorted.is_empty() {
            matrix.typical = *sorted.select_nth_unstable_by(matrix.order() / 2, f32::total_cmp).1;
        }
        let largest = matrix.row_sums.iter().fold(0.0f32, |largest, sum| largest.max(*sum));
        // Far less than rounding does to any pivot, and its inverse still has a square.
        matrix.pivot_floor = (largest * f32::EPSILON * f32::EPSILON).max(f32::MIN_POSITIVE);
        matrix
    }

    /// The order n.
    pub fn order(&self) -> usize {
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
        // Rounding of the radius, of the bound, and of a Sturm count.
        let margin = 4.0 * f32::EPSILON * low.abs().max(high.abs());
        [low - margin, high + margin]
    }
}

/// A pivot that can be divided by.
#[inline(always)]
pub(crate) fn guarded<S: Simd>(simd: S, pivot: S::f32s, floor: f32) -> S::f32s {
    let small = simd.less_than_f32s(simd.abs_f32s(pivot), simd.splat_f32s(floor));
    simd.select_f32s(small, simd.splat_f32s(-floor), pivot)
}

/// Shifts in vectors; the last one fills lanes left over.
#[inline(always)]
pub(crate) fn shift_vectors<S: Simd>(simd: S, shifts: &[f32]) -> [S::f32s; INTERLEAVED] {
    let last = shifts.last().copied().unwrap_or_default();
    let mut vectors = [simd.splat_f32s(last); INTERLEAVED];
    let numbers: &mut [f32] = bytemuck::cast_slice_mut(&mut vectors);
    numbers[..shifts.len()].copy_from_slice(shifts);
    vectors
}

/// The numbers in vectors.
pub(crate) fn lanes<S: Simd>(vectors: &[S::f32s; INTERLEAVED]) -> &[f32] {
    bytemuck::cast_slice(vectors)
}

#[cfg(test)]
pub(crate) mod tests {
    use faer::Mat;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    pub fn dense(matrix: &Tridiagonal) -> Mat<f64> {
        Mat::from_fn(matrix.order(), matrix.order(), |i, j| match i.abs_diff(j) {
            0 => matrix.diagonal[i].into(),
            1 => matrix.below[i.min(j)].into(),
            _ => 0.0,
        })
    }

    pub fn random(order: usize, seed: u64) -> Tridiagonal {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |count| -> Vec<f32> { (0..count).map(|_| rng.random_range(-1.0..1.0)).collect() };
        let diagonal = draw(order);
        Tridiagonal::new(diagonal, &draw(order - 1))
    }

    /// Wilkinson's matrix W⁺ of order 2m + 1, `copies` of it, joined by entries `glue`.
    pub fn wilkinson(m: i32, copies: usize, glue: f32) -> Tridiagonal {
        let one: Vec<f32> = (-m..=m).map(|i| i.abs() as f32).collect();
        let mut below = Vec::new();
        for copy in 0..copies {
            below.extend(vec![1.0; one.len() - 1]);
            if copy + 1 < copies {
                below.push(glue);
            }
        }
        Tridiagonal::new(one.repeat(copies), &below)
    }

    /// Close eigenvalues, equal ones, halves that do not touch, entries of every magnitude.
    pub fn adversarial() -> Vec<(String, Tridiagonal)> {
        let mut split = random(40, 1);
        split.below[19] = 0.0;
        let twice: Vec<f32> = split.diagonal[..20].repeat(2);
        let mut below = [&split.below[..19], &[0.0], &split.below[..19]].concat();
        let twice = Tridiagonal::new(twice, &below);
        below[19] = 1e-6;
        let graded: Vec<f32> = (0..30).map(|i| 10f32.powi(-i / 3)).collect();
        let below_graded: Vec<f32> = graded[1..].iter().map(|d| 0.3 * d).collect();
        vec![
            ("Wilkinson's".into(), wilkinson(10, 1, 0.0)),
            ("five of Wilkinson's, glued".into(), wilkinson(10, 5, 1e-4)),
            ("split".into(), Tridiagonal::new(split.diagonal.clone(), &split.below[..39])),
            ("twice".into(), Tridiagonal::new(twice.diagonal.clone(), &below)),
            ("twice and split".into(), twice),
            ("graded".into(), Tridiagonal::new(graded, &below_graded)),
            ("zeros".into(), Tridiagonal::new(vec![0.0; 20], &[0.0; 19])),
            ("identity".into(), Tridiagonal::new(vec![1.0; 70], &[0.0; 69])),
            ("second differences".into(), Tridiagonal::new(vec![2.0; 90], &[-1.0; 89])),
            ("large".into(), Tridiagonal::new(vec![1e12, -3e12, 2e12], &[1e12, 5e11])),
            ("small".into(), Tridiagonal::new(vec![1e-12, -3e-12, 2e-12], &[1e-12, 5e-13])),
        ]
    }

    #[test]
    fn bounds_hold_the_eigenvalues() {
        for (case, matrix) in adversarial() {
            let [low, high] = matrix.bounds();
            for value in dense(&matrix).self_adjoint_eigenvalues(faer::Side::Lower).unwrap() {
                assert!(f64::from(low) <= value && value <= f64::from(high), "{case}: {value} in {low}..{high}");
            }
        }
    }
}
