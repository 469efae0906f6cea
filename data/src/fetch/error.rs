//! What can go wrong while a dataset is fetched, and what to do about it.

use std::io::ErrorKind;
use std::path::PathBuf;

/// An error of [`fetch`](super::fetch): what, where, what was expected and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A name that is no dataset's.
    #[error("unknown dataset `{name}`; these can be fetched: {known}")]
    UnknownDataset {
        /// The name as given.
        name: String,
        /// The names that are understood.
        known: String,
    },

    /// A dataset that is not to be fetched.
    #[error("dataset `{dataset}` cannot be fetched: {advice}")]
    NotDownloadable {
        /// Its name.
        dataset: String,
        /// How to get it.
        advice: &'static str,
    },

    /// An address that cannot be downloaded from.
    #[error("cannot download from {url}: {problem}; expected an address that starts with https:// or http://")]
    BadAddress {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: String,
    },

    /// No connection, or none that brought anything.
    #[error(
        "cannot download {url}: {problem}; check the network, or download it in a browser to {} and run this again",
        archive.display()
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
        /// Where the archive is looked for.
        archive: PathBuf,
    },

    /// The download began but did not end.
    #[error(
        "the download of {url} was cut off after {have} bytes{}: {problem}; they are kept in {}, run this again to go on",
        of(*total),
        part.display()
    )]
    Cut {
        /// The address.
        url: String,
        /// What went wrong last.
        problem: String,
        /// Bytes on disk.
        have: u64,
        /// Bytes of the archive, if known.
        total: Option<u64>,
        /// The file that has them.
        part: PathBuf,
    },

    /// The server refused.
    #[error(
        "{url}: the server answered {status}, expected the archive; try again later, or name a mirror, or download it \
         elsewhere to {} and run this again",
        archive.display()
    )]
    Status {
        /// The address.
        url: String,
        /// The status with its usual name, as in `404 Not Found`.
        status: String,
        /// Where the archive is looked for.
        archive: PathBuf,
    },

    /// The server has a file of another size.
    #[error(
        "{url} is another file: {found} bytes{}, expected {expected}; check the address, or try another mirror",
        if *at_least { " or more" } else { "" }
    )]
    WrongSize {
        /// The address.
        url: String,
        /// The archive's size in bytes.
        expected: u64,
        /// The size announced or received.
        found: u64,
        /// Whether more was to come.
        at_least: bool,
    },

    /// What was downloaded is not the archive.
    #[error(
        "the download of {url} has the wrong MD5 checksum {found}, expected {expected}; it was removed, run this again, and if \
         that does not help, try a mirror"
    )]
    Checksum {
        /// The address.
        url: String,
        /// The published checksum.
        expected: String,
        /// The one found.
        found: String,
    },

    /// An archive that was there before is not the right one.
    #[error(
        "{} has the wrong MD5 checksum {found}, expected {expected}; it may be an unfinished download: remove it and run this again",
        path.display()
    )]
    ArchiveChecksum {
        /// The archive.
        path: PathBuf,
        /// The published checksum.
        expected: String,
        /// The one found.
        found: String,
    },

    /// An archive that is damaged, or not the one it should be.
    #[error(
        "{archive} cannot be unpacked: {problem}; remove it if it is still there, and download it again or try a mirror"
    )]
    BadArchive {
        /// Name of the archive.
        archive: String,
        /// What is wrong with it.
        problem: String,
    },

    /// An archive with an entry that could do harm.
    #[error("{archive} is not unpacked, its entry `{entry}` is not safe: {problem}; do not trust where it came from")]
    UnsafeArchive {
        /// Name of the archive.
        archive: String,
        /// Name of the entry.
        entry: String,
        /// Why it is refused.
        problem: &'static str,
    },

    /// An archive that unpacks to more than its dataset has.
    #[error("{archive} is not unpacked, it holds more than {limit} {what}; do not trust where it came from")]
    TooLarge {
        /// Name of the archive.
        archive: String,
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },

    /// The dataset's folder is there, but not all of it.
    #[error(
        "{} is not a complete dataset: {problem}; remove it or move it away and run this again, or have it overwritten",
        folder.display()
    )]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What it lacks.
        problem: String,
    },

    /// Another process fetches the same archive to the same place.
    #[error("{} is being downloaded by another process; wait for it, or stop it", part.display())]
    Busy {
        /// The file it writes.
        part: PathBuf,
    },

    /// A file or folder could not be written.
    #[error("cannot write {}: {source}; {}", path.display(), write_advice(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file or folder could not be read.
    #[error("cannot read {}: {source}; check its permissions", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

fn of(total: Option<u64>) -> String {
    total.map(|total| format!(" of {total}")).unwrap_or_default()
}

fn write_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room or name a folder on another disk, and run this again to go on"
        }
        _ => "name a folder that can be written",
    }
}
