//! What can go wrong while a dataset is fetched, and what to do about it.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::{ArchiveFormat, beginning};

/// An error of [`fetch`](super::fetch): what, where, what was expected and what to do.
///
/// The message is without that of the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
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
    #[error(
        "cannot download from {url}: {problem}; expected an address that starts with https:// or http:// and leads to \
             the archive"
    )]
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
        "{url}: the server answered {status}{}, expected the archive; {}, or name a mirror, or download it elsewhere to {} and \
         run this again",
        meaning(status, *wait),
        status_advice(status, *wait),
        archive.display()
    )]
    Status {
        /// The address.
        url: String,
        /// The status with its usual name, as in `404 Not Found`.
        status: String,
        /// How long it asks to wait, if it does.
        wait: Option<Duration>,
        /// Where the archive is looked for.
        archive: PathBuf,
    },

    /// Something else came in the archive's place: the page of a login, a message, another file.
    #[error(
        "{url} does not lead to the archive: what came{} is {found}, expected {}; nothing of it is kept. Open the \
         address in a browser: networks ask for a login, sites for a click; then run this again, or name a mirror, or download \
         it there to {}",
        from.as_ref().map(|from| format!(" from {from}, where it leads,")).unwrap_or_default(),
        beginning::name(*expected),
        archive.display()
    )]
    NotArchive {
        /// The address.
        url: String,
        /// The address it leads to, if it leads to another.
        from: Option<String>,
        /// What came, in words, and what the server calls it.
        found: String,
        /// What should have come.
        expected: ArchiveFormat,
        /// Where the archive is looked for.
        archive: PathBuf,
    },

    /// The proxy that the environment names does not do its work.
    #[error(
        "cannot download {url}: {problem}; correct the variable {variable}, or unset it, or list the host in no_proxy to go \
         without the proxy"
    )]
    Proxy {
        /// The address.
        url: String,
        /// What is wrong.
        problem: String,
        /// The variable that names the proxy.
        variable: &'static str,
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
        "the download of {url} has the wrong MD5 checksum {found}, expected {expected}; nothing of it is kept. Run this again, and \
         if that does not help, name a mirror"
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
        "{} has the wrong MD5 checksum {found}, expected {expected}; {guess}: remove it and run this again",
        path.display()
    )]
    ArchiveChecksum {
        /// The archive.
        path: PathBuf,
        /// The published checksum.
        expected: String,
        /// The one found.
        found: String,
        /// What it seems to be.
        guess: String,
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
        "{} is not a complete dataset: {problem}; remove it or move it away and run this again",
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
    #[error("cannot write {} ({})", path.display(), write_advice(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file or folder could not be read.
    #[error("cannot read {} (check its permissions)", path.display())]
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

/// What a status means, where its name does not say it.
fn meaning(status: &str, wait: Option<Duration>) -> String {
    let says = match code(status) {
        401 | 403 => " (it does not give the file to everyone)",
        404 | 410 => " (there is no such file)",
        429 => " (it was asked too often)",
        511 => " (the network asks for a login)",
        451 => " (it may not give the file, by law)",
        _ => "",
    };
    let asks = wait.map(|wait| format!(", and asks to wait {} s", wait.as_secs())).unwrap_or_default();
    format!("{says}{asks}")
}

fn status_advice(status: &str, wait: Option<Duration>) -> &'static str {
    match code(status) {
        _ if wait.is_some() => "run this again then",
        401 | 403 | 451 | 511 => "open the address in a browser to see what it asks for",
        404 | 410 => "check the address",
        429 => "try again in some minutes",
        _ => "try again later",
    }
}

/// The number that a status begins with.
fn code(status: &str) -> u16 {
    status.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0)
}

fn write_advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            "make room or name a folder on another disk, and run this again to go on"
        }
        _ => "name a folder that can be written",
    }
}
