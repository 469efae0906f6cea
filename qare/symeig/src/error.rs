use thiserror::Error;

/// Why a matrix has no eigendecomposition here.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum EigenError {
    /// An entry is NaN or infinite.
    #[error("entry ({row}, {column}), counted from 0, is NaN or infinite")]
    NonFinite {
        /// Its row.
        row: usize,
        /// Its column, at most the row.
        column: usize,
    },
    /// An eigenvalue is beyond the range of f32. [`Decomposition::values`](crate::Decomposition::values) is in f64 and has it.
    #[error("an eigenvalue of {value:e} is beyond the range of f32")]
    Overflow {
        /// The eigenvalue.
        value: f64,
    },
    /// The QR iteration on a leaf of divide and conquer did not converge.
    #[error("the eigendecomposition of the matrix of order {order} did not converge")]
    NoConvergence {
        /// The order of the matrix.
        order: usize,
    },
}
