//! What the program tells a person when it cannot go on.

use std::fmt;
use std::path::Path;

/// An error with one clear message, and how the program exits for it.
#[derive(Debug)]
pub enum AppError {
    /// The call was wrong: a flag, a name, a recipe, a path that is not there. Exit code 2.
    Usage(String),
    /// The call was right and the run failed: damaged files, numbers that diverged, a full disk. Exit code 1.
    Failed(String),
    /// A person stopped the run. Exit code 1.
    Interrupted(String),
}

pub type Result<T> = std::result::Result<T, AppError>;

impl AppError {
    pub fn exit_code(&self) -> u8 {
        match self {
            AppError::Usage(_) => 2,
            AppError::Failed(_) | AppError::Interrupted(_) => 1,
        }
    }

    /// A file or folder that the system would not read or write.
    pub fn io(action: &str, path: &Path, error: std::io::Error) -> Self {
        AppError::Failed(format!("cannot {action} {}: {error}", path.display()))
    }
}

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppError::Usage(message) | AppError::Failed(message) | AppError::Interrupted(message) => {
                f.write_str(message)
            }
        }
    }
}

impl From<qare_data::DataError> for AppError {
    fn from(error: qare_data::DataError) -> Self {
        use qare_data::DataError::*;
        match error {
            FolderNeeded { .. } => {
                AppError::Usage(format!("{error}: with --data-dir DIR; --dataset shapes needs none"))
            }
            UnknownDataset { .. } | NotFound { .. } | Setting { .. } => AppError::Usage(error.to_string()),
            _ => AppError::Failed(error.to_string()),
        }
    }
}

impl From<qare_models::WeightsError> for AppError {
    fn from(error: qare_models::WeightsError) -> Self {
        use qare_models::WeightsError::*;
        match error {
            // A sound file, but not the right one.
            Missing { .. } | Unexpected { .. } | Shape { .. } | Type { .. } | NoWeights { .. } | NoBackbone { .. } => {
                AppError::Usage(error.to_string())
            }
            _ => AppError::Failed(error.to_string()),
        }
    }
}
