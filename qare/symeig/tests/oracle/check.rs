//! How far a decomposition is from one in f64, in units of what rounding does.

use faer::{Mat, Side};
use qare_symeig::{Eigen, eigen, eigenvalues};

use crate::matrices::Matrix;

/// Errors in units of √n·ε, with ε = 2⁻²³.
///
/// The reduction to tridiagonal form changes A by n·ε·‖A‖ at most, and by √n·ε·‖A‖ where rounding errors are independent; all that
/// follows is of that size or smaller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Errors {
    /// max |λ − λ'| / ‖A‖ of eigenvalues alone.
    pub values: f64,
    /// The same of eigenvalues with eigenvectors.
    pub values_with_vectors: f64,
    /// max ‖A u − λ u‖ / ‖A‖.
    pub residual: f64,
    /// max |UᵀU − I|.
    pub orthogonality: f64,
    /// ‖U diag(λ) Uᵀ − A‖_F / (√n ‖A‖).
    pub rebuilt: f64,
}

/// Largest errors that the tests allow.
///
/// 1.6 to 2.4 times the largest errors over 40 seeds of every kind of matrix, which were 2.5, 4.0, 4.3, 5.8 and 3.2 with AVX-512
/// (`cargo test --release -p qare-symeig --test oracle -- --ignored --nocapture`).
pub const BOUNDS: Errors =
    Errors { values: 4.0, values_with_vectors: 8.0, residual: 8.0, orthogonality: 14.0, rebuilt: 6.0 };

impl Errors {
    pub fn array(self) -> [f64; 5] {
        [self.values, self.values_with_vectors, self.residual, self.orthogonality, self.rebuilt]
    }

    pub fn max(self, other: Self) -> Self {
        Self {
            values: self.values.max(other.values),
            values_with_vectors: self.values_with_vectors.max(other.values_with_vectors),
            residual: self.residual.max(other.residual),
            orthogonality: self.orthogonality.max(other.orthogonality),
            rebuilt: self.rebuilt.max(other.rebuilt),
        }
    }
}

/// The errors on this matrix.
pub fn errors(matrix: &Matrix) -> Errors {
    let (n, name) = (matrix.order, &matrix.name);
    let largest = matrix.entries.iter().fold(0.0f64, |largest, x| largest.max(f64::from(*x).abs()));
    // faer has absolute tolerances, too.
    let unit = if largest > 0.0 { largest } else { 1.0 };
    let a = Mat::from_fn(n, n, |i, j| f64::from(matrix.entries[i * n + j]) / unit);
    let expected = a.self_adjoint_eigenvalues(Side::Lower).unwrap();
    let norm = expected.iter().fold(0.0f64, |norm, value| norm.max(value.abs()));
    let norm = if norm > 0.0 { norm } else { 1.0 };
    let rounding = f64::from(f32::EPSILON) * (n as f64).sqrt();
    // Eigenvalues near f32's smallest numbers are off by half of the smallest.
    let least = 0.5 * f64::from(f32::from_bits(1)) / unit;
    let error = |values: &[f32]| {
        assert!(values.is_sorted(), "{name}: eigenvalues are not in order");
        let off = |(value, expected): (&f32, &f64)| ((f64::from(*value) / unit - expected).abs() - least).max(0.0);
        values.iter().zip(&expected).map(off).fold(0.0, f64::max) / (norm * rounding)
    };

    let alone = eigenvalues(&matrix.entries, n).unwrap_or_else(|error| panic!("{name}: {error}"));
    let Eigen { values, vectors } = eigen(&matrix.entries, n).unwrap_or_else(|error| panic!("{name}: {error}"));
    let u = Mat::from_fn(n, n, |i, j| f64::from(vectors[j * n + i]));
    let scaled = Mat::from_fn(n, n, |i, j| u[(i, j)] * f64::from(values[j]) / unit);
    let residual = &a * &u - &scaled;
    let residual = residual.col_iter().map(|column| column.norm_l2()).fold(0.0, f64::max);
    let orthogonality = (u.transpose() * &u - Mat::<f64>::identity(n, n)).norm_max();
    let rebuilt = (&scaled * u.transpose() - &a).norm_l2() / (n as f64).sqrt();
    Errors {
        values: error(&alone),
        values_with_vectors: error(&values),
        residual: (residual - least).max(0.0) / (norm * rounding),
        orthogonality: orthogonality / rounding,
        rebuilt: (rebuilt - least).max(0.0) / (norm * rounding),
    }
}

pub fn assert_accurate(matrix: &Matrix) {
    let errors = errors(matrix);
    for (error, bound) in errors.array().into_iter().zip(BOUNDS.array()) {
        // NaN is not within a bound.
        assert!(error <= bound, "{}: {errors:.2?} in units of √n·ε, allowed are {BOUNDS:.2?}", matrix.name);
    }
}
