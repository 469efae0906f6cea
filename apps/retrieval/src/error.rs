use thiserror::Error;

/// Why figures cannot be computed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RetrievalError {
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
    /// Rows without numbers.
    #[error("embeddings of dimension 0 have no direction")]
    NoDimensions,
    /// More rows than a rank in u32 counts.
    #[error("{found} rows: {most} are the most that can be ranked", most = u32::MAX)]
    TooMany {
        /// The number of rows.
        found: usize,
    },
    /// An embedding holds NaN or infinity.
    #[error("embedding {row} is not finite")]
    NonFinite {
        /// Its row.
        row: usize,
    },
    /// Queries and references come from different networks.
    #[error("queries have {queries} dimensions and references have {references}")]
    Dimensions {
        /// The dimension of the queries.
        queries: usize,
        /// The dimension of the references.
        references: usize,
    },
    /// The camera rule needs the camera of every image.
    #[error("the {0} have no cameras")]
    NoCameras(&'static str),
    /// There is nothing to average over.
    #[error("none of the {queries} queries has a reference of its label")]
    NothingRelevant {
        /// The number of queries.
        queries: usize,
    },
}
