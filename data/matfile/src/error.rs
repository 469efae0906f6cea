//! The error of this crate.

/// Why bytes are not a MAT-file of version 5. Offsets are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatError {
    /// The header is that of no MAT-file of version 5.
    #[error("it is not a MAT-file of version 5, whose header has 128 bytes and ends with its version and `IM` or `MI`")]
    Header,
    /// A file of version 7.3.
    #[error("it is a MAT-file of version 7.3, which is HDF5; expected version 5: save it with `-v7`")]
    Hdf5,
    /// An element does not fit into what holds it, or has other contents than its kind.
    #[error("it is damaged at offset {offset}{}: {problem}", inside(*variable))]
    Damaged {
        /// Where the element is: in the file, or in the contents of a compressed variable.
        offset: usize,
        /// Where the compressed variable is in the file, if the element is in one.
        variable: Option<usize>,
        /// What is wrong.
        problem: String,
    },
    /// A compressed variable cannot be inflated.
    #[error("its compressed variable at offset {offset} is damaged: {problem}")]
    Inflate {
        /// Where it is in the file.
        offset: usize,
        /// The message of the decoder.
        problem: String,
    },
    /// The contents of the file are larger than the limit.
    #[error("its contents have more than {limit} bytes")]
    TooLarge {
        /// The limit given to [`MatFile::read`](crate::MatFile::read).
        limit: usize,
    },
}

fn inside(variable: Option<usize>) -> String {
    variable.map(|start| format!(" of the contents of the compressed variable at offset {start}")).unwrap_or_default()
}
