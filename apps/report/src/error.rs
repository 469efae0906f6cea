use thiserror::Error;

/// Why a report cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// An array does not fit the others.
    #[error("{found} {what}: expected {expected}")]
    Size {
        /// What the array holds.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The length that it has to have.
        expected: usize,
    },
    /// A row holds NaN or infinity.
    #[error("row {row} is not finite")]
    NonFinite {
        /// The row.
        row: usize,
    },
    /// There are too few rows.
    #[error("{found} rows: at least {least} are needed")]
    TooFew {
        /// The number of rows.
        found: usize,
        /// The least number.
        least: usize,
    },
    /// A decomposition does not converge.
    #[error("the eigenvalues of {0} cannot be computed")]
    Eigenvalues(&'static str),
    /// A picture cannot be encoded.
    #[error("a picture cannot be encoded: {0}")]
    Picture(String),
}

/// What most functions return.
pub type Result<T> = std::result::Result<T, ReportError>;
