//! What can be wrong with a dataset on disk, or with a call to this crate.

use std::path::PathBuf;

/// An error of this crate: what went wrong, where, what was expected and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A name that is no dataset's.
    #[error("unknown dataset `{name}`; known datasets: {known}")]
    UnknownDataset {
        /// The name as given.
        name: String,
        /// The names that are understood, separated by commas.
        known: String,
    },

    /// A dataset that lives in files was asked for without a folder.
    #[error("dataset `{dataset}` is read from files: name the folder that holds `{folder}` ({advice})")]
    FolderNeeded {
        /// The dataset's name.
        dataset: &'static str,
        /// The folder its archive unpacks to.
        folder: &'static str,
        /// Where to get it.
        advice: &'static str,
    },

    /// A folder was given, but the dataset is not in it.
    #[error("dataset `{dataset}` is not in {}: expected {expected} ({advice})", dir.display())]
    NotFound {
        /// The dataset's name.
        dataset: &'static str,
        /// The folder that was searched.
        dir: PathBuf,
        /// The files or folders that were looked for.
        expected: &'static str,
        /// Where to get them.
        advice: &'static str,
    },

    /// One of the files of a dataset is not there.
    #[error("{} is missing: {expected}; unpack the archive again", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// The files that belong to the dataset.
        expected: &'static str,
    },

    /// The operating system could not read a file.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file that is too short or too long.
    #[error(
        "{} has the wrong size: {found} bytes, expected {expected} ({form}); {} at byte offset {}; download or unpack it again",
        path.display(),
        if found < expected { "it is cut off" } else { "unexpected data starts" },
        found.min(expected)
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The size it must have, in bytes.
        expected: u64,
        /// How the expected size comes about.
        form: &'static str,
    },

    /// A label that is no class's.
    #[error(
        "{}: bad label {found} at byte offset {offset} (record {record}), expected 0 to {}; the file is damaged, download it again",
        path.display(),
        classes - 1
    )]
    BadLabel {
        /// The file.
        path: PathBuf,
        /// Where the label stands, in bytes from the start of the file.
        offset: u64,
        /// The record's number in the file, from 0.
        record: usize,
        /// The value found.
        found: u64,
        /// The number of classes.
        classes: usize,
    },

    /// A pickle that is damaged, or is not the pickle of a CIFAR-10 batch.
    #[error("{}: {problem}; expected a CIFAR-10 batch as the python version of the archive has it, download it again", path.display())]
    BadPickle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the byte offset or record where there is one.
        problem: String,
    },

    /// Pixels and labels that do not fit each other.
    #[error("{labels} images of 3x{side}x{side} need {} bytes of pixels, found {pixels}", labels * 3 * side * side)]
    PixelCount {
        /// Bytes of pixels given.
        pixels: usize,
        /// Labels given.
        labels: usize,
        /// Side of an image in pixels.
        side: usize,
    },

    /// An image whose label is no class's.
    #[error("image {index} has label {label}, expected 0 to {} (there are {classes} classes)", classes.saturating_sub(1))]
    LabelOutOfRange {
        /// The image.
        index: usize,
        /// Its label.
        label: u16,
        /// The number of classes.
        classes: usize,
    },

    /// A setting of the loader that cannot work.
    #[error("loader setting `{name}` is {value}, expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        expected: String,
    },
}
