//! The errors of this crate.

use std::path::PathBuf;

use qare_printable::printable;

/// An error of this crate. Messages say what is wrong, where, what is expected, and what to do.
///
/// The message leaves out that of the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The name of no dataset.
    #[error("unknown dataset `{}`; known datasets: {known}", printable(name))]
    UnknownDataset {
        /// The name as given.
        name: String,
        /// The known names, separated by commas.
        known: String,
    },

    /// [`LoadOptions::dir`](crate::LoadOptions::dir) is missing for a dataset that is read from files.
    #[error("dataset `{dataset}` is read from files: name the folder that holds `{folder}` ({advice})")]
    FolderNeeded {
        /// The dataset's name.
        dataset: &'static str,
        /// The folder that its archive unpacks to.
        folder: &'static str,
        /// Advice on where to get it.
        advice: &'static str,
    },

    /// The folder of the dataset does not exist.
    #[error("{}: there is no such folder; expected the folder of a dataset", printable(path))]
    NoSuchFolder {
        /// The path as given.
        path: PathBuf,
    },

    /// The folder of the dataset is no folder.
    #[error(
        "{} is a file, expected the folder of a dataset: {}",
        printable(path),
        if *is_archive {
            "it is an archive, unpack it and name the folder that it unpacks to"
        } else {
            "name the folder that the files of the dataset are in"
        }
    )]
    NoFolder {
        /// The path as given.
        path: PathBuf,
        /// Whether it is an archive.
        is_archive: bool,
    },

    /// The folder does not contain the dataset.
    #[error("dataset `{dataset}` is not in {}: expected {expected} ({advice})", printable(dir))]
    NotFound {
        /// The dataset's name.
        dataset: &'static str,
        /// The folder that was searched.
        dir: PathBuf,
        /// The files or folders that are expected.
        expected: &'static str,
        /// Advice on where to get them.
        advice: &'static str,
    },

    /// A file of a dataset is missing.
    #[error("{} is missing: {expected}; unpack the archive again", printable(path))]
    MissingFile {
        /// The file.
        path: PathBuf,
        /// The files that belong to the dataset.
        expected: &'static str,
    },

    /// A file cannot be read.
    #[error("cannot read {}", printable(path))]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },

    /// A file has the wrong size.
    #[error(
        "{} has the wrong size: {found} bytes, expected {expected} ({form}); {} at byte offset {}; download or unpack it again",
        printable(path),
        if found < expected { "it is cut off" } else { "unexpected data starts" },
        found.min(expected)
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The expected size in bytes.
        expected: u64,
        /// The content that the expected size follows from.
        form: String,
    },

    /// A label in a file is out of range.
    #[error(
        "{}: bad label {found} at byte offset {offset} (record {record}), expected {first} to {last}; the file is damaged, download it again",
        printable(path)
    )]
    BadLabel {
        /// The file.
        path: PathBuf,
        /// Byte offset of the label in the file.
        offset: u64,
        /// Index of the record in the file, from 0.
        record: usize,
        /// The value found.
        found: u64,
        /// The smallest valid label.
        first: u64,
        /// The largest valid label.
        last: u64,
    },

    /// A pickle is damaged, or has other content than the archive's.
    #[error(
        "{}: {problem}; expected a file of the python version of {dataset} as its archive has it, download it again",
        printable(path)
    )]
    BadPickle {
        /// The dataset.
        dataset: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, with the byte offset or the record if there is one.
        problem: String,
    },

    /// A text file of a dataset, such as a list of classes or labels, has the wrong content.
    #[error("{}{}: {problem}; expected {expected}", printable(path), if *line > 0 { format!(", line {line}") } else { String::new() })]
    BadList {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 stands for the whole file.
        line: usize,
        /// What is wrong.
        problem: String,
        /// The expected content.
        expected: &'static str,
    },

    /// An image file cannot be decoded.
    #[error("{}: broken image: {problem}; replace or delete it, or go on without it (--skip-broken)", printable(path))]
    BadImage {
        /// The file.
        path: PathBuf,
        /// The message of the decoder.
        problem: String,
    },

    /// Several image files cannot be decoded.
    #[error(
        "{} broken images; replace or delete them, or go on without them (--skip-broken):{}",
        first.len() + more,
        broken_list(first, *more)
    )]
    BadImages {
        /// The first files, and the message of the decoder for each.
        first: Vec<(PathBuf, String)>,
        /// The number of further files.
        more: usize,
    },

    /// The files and folders do not form a dataset.
    #[error("{}: {problem}; expected {expected}", printable(path))]
    Layout {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// The expected form.
        expected: &'static str,
    },

    /// The numbers of pixels and labels do not match.
    #[error("{labels} images of 3x{side}x{side} need {} bytes of pixels, found {pixels}", labels * 3 * side * side)]
    PixelCount {
        /// Number of bytes of pixels.
        pixels: usize,
        /// Number of labels.
        labels: usize,
        /// Height and width of an image in pixels.
        side: usize,
    },

    /// The label of an image is out of range.
    #[error("image {index} has label {label}, expected 0 to {} (there are {classes} classes)", classes.saturating_sub(1))]
    LabelOutOfRange {
        /// Index of the image.
        index: usize,
        /// Its label.
        label: u16,
        /// The number of classes.
        classes: usize,
    },

    /// The numbers of file names and images do not match.
    #[error("{names} file names for {images} images")]
    FileNameCount {
        /// Number of file names.
        names: usize,
        /// Number of images in the set.
        images: usize,
    },

    /// The numbers of cameras and images do not match.
    #[error("{cameras} cameras for {images} images")]
    CameraCount {
        /// Number of cameras given.
        cameras: usize,
        /// Number of images in the set.
        images: usize,
    },

    /// The numbers of roles in a retrieval test and images do not match.
    #[error("{roles} roles (query or gallery) for {images} images")]
    RoleCount {
        /// Number of roles given.
        roles: usize,
        /// Number of images in the set.
        images: usize,
    },

    /// The sources do not match the images.
    #[error("{problem}")]
    Sources {
        /// What is wrong.
        problem: String,
    },

    /// The dataset does not support [`LoadOptions::source_size`](crate::LoadOptions::source_size), or not this one.
    #[error("dataset `{dataset}` cannot have sources of {size} pixels: expected {expected}")]
    SourceSize {
        /// The dataset's name.
        dataset: &'static str,
        /// The requested length of the short side.
        size: usize,
        /// What is expected.
        expected: String,
    },

    /// The sources of the images do not fit into memory, and no file can hold them.
    #[error(
        "the images that crops are drawn from take more than the {limit} bytes that are kept in memory, and no file can hold them: neither {} nor one in \
         {} can be written; make room there, or take smaller ones (--source-size)",
        printable(path),
        printable(temporary)
    )]
    SourcesDoNotFit {
        /// The most bytes in memory.
        limit: usize,
        /// The file in the dataset's folder.
        path: PathBuf,
        /// The folder for temporary files.
        temporary: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },

    /// The setting of the test classes is invalid, or does not fit the dataset's classes.
    #[error("test_classes is {value}: {problem}")]
    TestClasses {
        /// The setting.
        value: String,
        /// What is wrong, and what is expected.
        problem: String,
    },

    /// The dataset does not support the size of images.
    #[error("dataset `{dataset}` cannot have images of {size}x{size}: expected {expected}")]
    ImageSize {
        /// The dataset's name.
        dataset: &'static str,
        /// The requested height and width.
        size: usize,
        /// The expected value.
        expected: String,
    },

    /// A setting of the loader is invalid.
    #[error("loader setting `{name}` is {value}, expected {expected}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// The expected value.
        expected: String,
    },
}

/// Returns the message of an error and that of its cause, in one line.
pub(crate) fn with_cause(error: &DataError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// A list of broken images, one per line.
pub(crate) fn broken_list(first: &[(PathBuf, String)], more: usize) -> String {
    let mut list: String = first.iter().map(|(path, problem)| format!("\n  {}: {problem}", printable(path))).collect();
    if more > 0 {
        list += &format!("\n  and {more} more");
    }
    list
}

/// The first names of a list, for a message: "a, b, c, d, e and 4 more".
pub(crate) fn listed(names: &[String]) -> String {
    const FIRST: usize = 5;
    let first = names.iter().take(FIRST).map(printable).collect::<Vec<_>>().join(", ");
    if names.len() > FIRST { format!("{first} and {} more", names.len() - FIRST) } else { first }
}

/// A number with its noun: "1 image", "2 images", "3 classes".
pub(crate) fn counted(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') => format!("{number} {what}es"),
        _ => format!("{number} {what}s"),
    }
}

/// The first problem, for errors that have room for one.
pub(crate) fn first_of(problems: Vec<DataError>) -> DataError {
    problems.into_iter().next().expect("a damaged file has a problem")
}
