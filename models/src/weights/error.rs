use std::path::{Path, PathBuf};

/// Why weights could not be read or written.
///
/// The message is without that of the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The system could not read or write a file.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not of its format, cut off or damaged.
    #[error("{}: not a readable {format} file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format expected.
        format: &'static str,
        /// What its reader found.
        reason: String,
    },
    /// The file is of no format that weights are read from.
    #[error("{}: {reason}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What it is or is not.
        reason: &'static str,
    },
    /// The file can be read, but has no weights where they should be.
    #[error("{}: {reason}", path.display())]
    NoWeights {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The tensors of the file are not those of the backbone that is looked for.
    #[error("{}: {reason}", path.display())]
    NoBackbone {
        /// The file.
        path: PathBuf,
        /// What its tensors are closest to, and where they differ.
        reason: String,
    },
    /// The network has a tensor that the file lacks.
    #[error("{}: has no tensor `{name}` of shape {expected:?}, which the network needs; is it of another network?", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Full name of the tensor in the file.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// The file has tensors under the prefix that the network lacks.
    #[error("{}: has tensors that the network lacks: {}; is it of another network?", path.display(), first_of(names))]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// Full names of the tensors in the file.
        names: Vec<String>,
    },
    /// A tensor has another shape than the network's.
    #[error("{}: tensor `{name}` has shape {found:?}, the network needs {expected:?}; is it of another network?", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Full name of the tensor in the file.
        name: String,
        /// The network's shape.
        expected: Vec<usize>,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// A tensor is of a type that weights are not kept in.
    #[error("{}: tensor `{name}` is of type {found}, expected {expected}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// Full name of the tensor in the file.
        name: String,
        /// The types that would do.
        expected: &'static str,
        /// The file's type.
        found: &'static str,
    },
    /// A tensor holds NaN or infinity, a number that is infinite in f32, or, as a running variance, a negative number.
    #[error("{}: tensor `{name}` holds NaN, infinity or a negative variance: its training has diverged or the file is damaged; use weights from before that", path.display())]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Full name of the tensor in the file.
        name: String,
    },
}

impl WeightsError {
    /// A damaged file. `reason` may quote the file at any length and is cut.
    pub(super) fn damaged(path: &Path, format: &'static str, reason: impl ToString) -> Self {
        const LONGEST: usize = 500;
        let mut reason = reason.to_string();
        if reason.len() > LONGEST {
            reason.truncate(reason.floor_char_boundary(LONGEST));
            reason.push('…');
        }
        Self::Damaged { path: path.to_owned(), format, reason }
    }
}

/// The first names of many.
fn first_of(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
