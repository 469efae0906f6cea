//! Errors of a fetch, with advice.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use qare_printable::printable;

use crate::{ArchiveFormat, beginning};

/// An error of [`fetch`](crate::fetch). Messages say what is wrong, where, what is expected, and what to do.
///
/// The message leaves out that of the [`source`](std::error::Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is invalid, or leads to an invalid one.
    #[error(
        "cannot download from {url}: {problem}; expected an address that starts with https:// or http:// and leads to \
             the archive",
        url = printable(url)
    )]
    BadAddress {
        /// The address.
        url: String,
        /// The problem.
        problem: String,
    },

    /// No connection delivered any data.
    #[error(
        "cannot download {url}: {problem}; check the network, or download it in a browser to {} and run this again",
        printable(archive),
        url = printable(url)
    )]
    Unreachable {
        /// The address.
        url: String,
        /// The problem.
        problem: String,
        /// The path at which an existing archive is used.
        archive: PathBuf,
    },

    /// The download is incomplete.
    #[error(
        "the download of {url} was cut off after {have} bytes{}: {problem}; they are kept in {}, run this again to go on",
        of(*total),
        printable(part),
        url = printable(url)
    )]
    Cut {
        /// The address.
        url: String,
        /// The last problem.
        problem: String,
        /// Number of bytes on disk.
        have: u64,
        /// Size of the archive in bytes, if known.
        total: Option<u64>,
        /// The file that contains them.
        part: PathBuf,
    },

    /// The server refuses the request.
    #[error(
        "{url}: the server answered {status}{}, expected the archive; {}, or name a mirror, or download it elsewhere to {} and \
         run this again",
        meaning(status, *wait),
        status_advice(status, *wait),
        printable(archive),
        url = printable(url)
    )]
    Status {
        /// The address.
        url: String,
        /// The status with its name, as in `404 Not Found`.
        status: String,
        /// The wait that the server asks for, if any.
        wait: Option<Duration>,
        /// The path at which an existing archive is used.
        archive: PathBuf,
    },

    /// The answer is not the archive, but for example a login page or another file.
    #[error(
        "{url} does not lead to the archive: what came{} is {found}, expected {}; nothing of it is kept. Open the \
         address in a browser: networks ask for a login, sites for a click; then run this again, or name a mirror, or download \
         it there to {}",
        from.as_ref().map(|from| format!(" from {from}, where it leads,")).unwrap_or_default(),
        beginning::name(*expected),
        printable(archive),
        url = printable(url)
    )]
    NotArchive {
        /// The address.
        url: String,
        /// The final address after redirects, if it differs.
        from: Option<String>,
        /// A description of the answer, with its content type.
        found: String,
        /// The expected format.
        expected: ArchiveFormat,
        /// The path at which an existing archive is used.
        archive: PathBuf,
    },

    /// The proxy that the environment names fails.
    #[error(
        "cannot download {url}: {problem}; correct the variable {variable}, or unset it, or list the host in no_proxy to go \
         without the proxy",
        url = printable(url)
    )]
    Proxy {
        /// The address.
        url: String,
        /// The problem.
        problem: String,
        /// The variable that names the proxy.
        variable: &'static str,
    },

    /// The file on the server has another size.
    #[error(
        "{url} is another file: {found} bytes{}, expected {expected}; check the address, or try another mirror",
        if *at_least { " or more" } else { "" },
        url = printable(url)
    )]
    WrongSize {
        /// The address.
        url: String,
        /// The size of the archive in bytes.
        expected: u64,
        /// The size that was announced or received.
        found: u64,
        /// Whether the file is at least this large.
        at_least: bool,
    },

    /// The downloaded file has another checksum than the archive.
    #[error(
        "the download of {url} has the wrong MD5 checksum {found}, expected {expected}; nothing of it is kept. Run this again, and \
         if that does not help, name a mirror",
        url = printable(url)
    )]
    Checksum {
        /// The address.
        url: String,
        /// The published checksum.
        expected: String,
        /// The checksum found.
        found: String,
    },

    /// The archive in the folder has the wrong checksum.
    #[error(
        "{} has the wrong MD5 checksum {found}, expected {expected}; {guess}: remove it and run this again",
        printable(path)
    )]
    ArchiveChecksum {
        /// The archive.
        path: PathBuf,
        /// The published checksum.
        expected: String,
        /// The checksum found.
        found: String,
        /// A guess at what the file is.
        guess: String,
    },

    /// The archive is damaged, or lacks expected files.
    #[error(
        "{archive} cannot be unpacked: {problem}; remove it if it is still there, and download it again or try a mirror"
    )]
    BadArchive {
        /// Name of the archive.
        archive: String,
        /// The problem.
        problem: String,
    },

    /// An entry of the archive could write outside of the folder or is not a file or folder.
    #[error("{archive} is not unpacked, its entry `{entry}` is not safe: {problem}; do not trust where it came from")]
    UnsafeArchive {
        /// Name of the archive.
        archive: String,
        /// Name of the entry.
        entry: String,
        /// Why the entry is refused.
        problem: &'static str,
    },

    /// The archive exceeds [`Limits`](crate::Limits).
    #[error("{archive} is not unpacked, it holds more than {limit} {what}; do not trust where it came from")]
    TooLarge {
        /// Name of the archive.
        archive: String,
        /// The limit.
        limit: u64,
        /// The unit of the limit.
        what: &'static str,
    },

    /// The folder exists, but is incomplete.
    #[error("{} is not a complete dataset: {problem}; remove it or move it away and run this again", printable(folder))]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        problem: String,
    },

    /// Another process downloads the same archive to the same folder.
    #[error("{} is being downloaded by another process; wait for it, or stop it", printable(part))]
    Busy {
        /// The file that it writes.
        part: PathBuf,
    },

    /// A file or folder cannot be written.
    #[error("cannot write {} ({})", printable(path), write_advice(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },

    /// A file or folder cannot be read.
    #[error("cannot read {} (check its permissions)", printable(path))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
}

fn of(total: Option<u64>) -> String {
    total.map(|total| format!(" of {total}")).unwrap_or_default()
}

/// Explains a status.
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

/// The number of a status.
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
