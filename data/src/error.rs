//! What can be wrong with a dataset on disk, or with a call to this crate.

use std::path::PathBuf;

/// An error of this crate: what went wrong, where, what was expected and what to do about it.
///
/// The message is without that of the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    #[error("cannot read {}", path.display())]
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
        form: String,
    },

    /// A label that is no class's.
    #[error(
        "{}: bad label {found} at byte offset {offset} (record {record}), expected {first} to {last}; the file is damaged, download it again",
        path.display()
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
        /// The smallest label there is.
        first: u64,
        /// The largest label there is.
        last: u64,
    },

    /// A pickle that is damaged, or is not the pickle that belongs there.
    #[error(
        "{}: {problem}; expected a file of the python version of {dataset} as its archive has it, download it again",
        path.display()
    )]
    BadPickle {
        /// The dataset.
        dataset: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with the byte offset or record where there is one.
        problem: String,
    },

    /// A text file of a dataset (a list of classes, the labels of images) that does not say what it should.
    #[error("{}{}: {problem}; expected {expected}", path.display(), if *line > 0 { format!(", line {line}") } else { String::new() })]
    BadList {
        /// The file.
        path: PathBuf,
        /// The line, from 1, or 0 if it is about the whole file.
        line: usize,
        /// What is wrong.
        problem: String,
        /// What the file should say.
        expected: &'static str,
    },

    /// An image file that cannot be decoded.
    #[error("{}: broken image: {problem}; replace or delete it, or go on without it (--skip-broken)", path.display())]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What the decoder said.
        problem: String,
    },

    /// Several image files that cannot be decoded.
    #[error(
        "{} broken images; replace or delete them, or go on without them (--skip-broken):{}",
        first.len() + more,
        broken_list(first, *more)
    )]
    BadImages {
        /// The first of them, and what the decoder said.
        first: Vec<(PathBuf, String)>,
        /// How many more there are.
        more: usize,
    },

    /// Files and folders that do not make up a dataset.
    #[error("{}: {problem}; expected {expected}", path.display())]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What it should be.
        expected: &'static str,
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

    /// File names that do not fit the images.
    #[error("{names} file names for {images} images")]
    FileNameCount {
        /// File names given.
        names: usize,
        /// Images of the set.
        images: usize,
    },

    /// An image size that a dataset cannot have.
    #[error("dataset `{dataset}` cannot have images of {size}x{size}: expected {expected}")]
    ImageSize {
        /// The dataset's name.
        dataset: &'static str,
        /// The size asked for.
        size: usize,
        /// What it must be.
        expected: String,
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

/// An error and what has caused it, in one line.
pub(crate) fn with_cause(error: &DataError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// One broken image a line.
pub(crate) fn broken_list(first: &[(PathBuf, String)], more: usize) -> String {
    let mut list: String = first.iter().map(|(path, problem)| format!("\n  {}: {problem}", path.display())).collect();
    if more > 0 {
        list += &format!("\n  and {more} more");
    }
    list
}

/// The first few of some names: "a, b, c and 4 more".
pub(crate) fn listed(names: &[String]) -> String {
    const FIRST: usize = 5;
    let first = names.iter().take(FIRST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > FIRST { format!("{first} and {} more", names.len() - FIRST) } else { first }
}

/// A number of things: "1 image", "2 images", "3 classes".
pub(crate) fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') => format!("{number} {what}es"),
        _ => format!("{number} {what}s"),
    }
}
