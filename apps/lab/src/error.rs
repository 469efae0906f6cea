//! What can go wrong, told apart by whose turn it is.

use crate::printable_path::PrintablePath;
use std::fmt;
use std::path::Path;

/// Why something was not done.
#[derive(Debug)]
#[non_exhaustive]
pub enum LabError {
    /// The call was wrong: a setting, a name, a recipe, a path that is not there.
    Usage(String),
    /// The call was right and the work failed: damaged files, numbers that diverged, a full disk.
    Failed(String),
    /// A person stopped the run.
    Interrupted(String),
}

/// What nearly everything here returns.
pub type Result<T> = std::result::Result<T, LabError>;

impl LabError {
    /// What a program that ends with this error returns: 2 for a wrong call, 1 for a failed or interrupted run.
    pub fn exit_code(&self) -> u8 {
        match self {
            LabError::Usage(_) => 2,
            LabError::Failed(_) | LabError::Interrupted(_) => 1,
        }
    }

    /// Work that failed for this reason.
    pub fn failed(reason: impl fmt::Display) -> Self {
        LabError::Failed(reason.to_string())
    }

    /// A file or folder that the system would not read or write.
    pub fn io(action: &str, path: &Path, error: std::io::Error) -> Self {
        LabError::Failed(format!("cannot {action} {}: {error}", path.printable()))
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LabError::Usage(message) | LabError::Failed(message) | LabError::Interrupted(message) => {
                f.write_str(message)
            }
        }
    }
}

impl std::error::Error for LabError {}

/// An error and its causes, each once.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    message
}

/// Returns the advice to download a dataset, if it can be downloaded.
#[cfg(feature = "fetch")]
fn advice_on_fetching(dataset: &str) -> String {
    qare_data::fetch::source(dataset)
        .map_or(String::new(), |_| format!("; `qare data fetch {dataset} --data-dir DIR` downloads it"))
}

#[cfg(not(feature = "fetch"))]
fn advice_on_fetching(_dataset: &str) -> String {
    String::new()
}

impl From<qare_data::DataError> for LabError {
    fn from(error: qare_data::DataError) -> Self {
        use qare_data::DataError::*;
        let message = with_causes(&error);
        match error {
            FolderNeeded { dataset, .. } => {
                let fetch = advice_on_fetching(dataset);
                LabError::Usage(format!("{message} with --data-dir DIR{fetch}; --dataset shapes needs no files"))
            }
            UnknownDataset { .. } | NoSuchFolder { .. } | NoFolder { .. } | NotFound { .. } | Setting { .. } => {
                LabError::Usage(message)
            }
            _ => LabError::Failed(message),
        }
    }
}

impl From<qare_retrieval::RetrievalError> for LabError {
    fn from(error: qare_retrieval::RetrievalError) -> Self {
        LabError::Failed(error.to_string())
    }
}

impl From<qare_models::WeightsError> for LabError {
    fn from(error: qare_models::WeightsError) -> Self {
        use qare_models::WeightsError::*;
        let message = with_causes(&error);
        match error {
            // A sound file, but not the right one.
            Missing { .. } | Unexpected { .. } | Shape { .. } | Type { .. } | NoWeights { .. } | NoBackbone { .. } => {
                LabError::Usage(message)
            }
            _ => LabError::Failed(message),
        }
    }
}

#[cfg(feature = "fetch")]
impl From<qare_data::fetch::FetchError> for LabError {
    fn from(error: qare_data::fetch::FetchError) -> Self {
        use qare_data::fetch::FetchError::*;
        let message = with_causes(&error);
        match error {
            BadAddress { .. } | Incomplete { .. } => LabError::Usage(message),
            _ => LabError::Failed(message),
        }
    }
}

#[cfg(feature = "fetch")]
impl From<qare_data::fetch::SourceError> for LabError {
    fn from(error: qare_data::fetch::SourceError) -> Self {
        LabError::Usage(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::*;

    /// The message of a library's error is without its cause, and this one has it once.
    #[test]
    fn a_cause_is_told_once() {
        const CAUSE: &str = "the disk is on fire";
        let (path, source) = (Path::new("place").to_owned(), || Error::other(CAUSE));
        let data = qare_data::DataError::Read { path: path.clone(), source: source() };
        let read = qare_data::fetch::FetchError::Read { path: path.clone(), source: source() };
        let write = qare_data::fetch::FetchError::Write { path: path.clone(), source: source() };
        let weights = qare_models::WeightsError::Io { path, source: source() };
        for message in [data.to_string(), read.to_string(), write.to_string(), weights.to_string()] {
            assert!(message.contains("place") && !message.contains(CAUSE), "{message}");
        }
        for error in [LabError::from(data), read.into(), write.into(), weights.into()] {
            assert_eq!(error.to_string().matches(CAUSE).count(), 1, "{error}");
        }
    }
}
