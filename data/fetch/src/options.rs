//! Options, events and results of a fetch.

use std::path::PathBuf;
use std::time::Duration;

/// Options of [`fetch`](crate::fetch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// The address of a mirror, used instead of the source's addresses. Size and checksum must be the same.
    pub url: Option<String>,
    /// Whether to fetch although the folder exists, and to replace it.
    pub overwrite: bool,
    /// Whether to keep the archive, beside the folder.
    pub keep_archive: bool,
    /// Number of consecutive tries without progress after which an address is given up; at least 1.
    pub tries: u32,
    /// The wait before the second try. It doubles with each try without progress, up to 30 seconds.
    pub backoff: Duration,
    /// Timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Time without data after which a connection counts as lost.
    pub read_timeout: Duration,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            url: None,
            overwrite: false,
            keep_archive: false,
            tries: 5,
            backoff: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(20),
            read_timeout: Duration::from_secs(60),
        }
    }
}

/// The progress of [`fetch`](crate::fetch). Amounts are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A request for the archive starts.
    Connecting {
        /// Its address.
        url: &'a str,
    },
    /// A part of the archive arrived. The first such event reports what an earlier call downloaded.
    Downloading {
        /// Bytes on disk.
        done: u64,
        /// Size of the archive, if known.
        total: Option<u64>,
    },
    /// The checksum is being computed.
    Verifying {
        /// Bytes read.
        done: u64,
        /// Size of the archive.
        total: u64,
    },
    /// The archive is being unpacked.
    Unpacking {
        /// Bytes of the archive that are unpacked.
        done: u64,
        /// Size of the archive.
        total: u64,
    },
    /// The download starts from the beginning, because the bytes on disk are unusable.
    StartingAnew {
        /// Why.
        reason: &'a str,
    },
    /// A try failed, and another one follows.
    Retrying {
        /// What went wrong.
        reason: &'a str,
        /// Number of the next try, counted from the last one with progress.
        attempt: u32,
        /// The wait before it.
        wait: Duration,
    },
}

/// The result of [`fetch`](crate::fetch).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The folder of the archive's content.
    pub folder: PathBuf,
    /// What was done.
    pub outcome: Outcome,
}

/// What [`fetch`](crate::fetch) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the complete folder existed.
    AlreadyThere,
    /// It unpacked the folder.
    Unpacked {
        /// Number of bytes downloaded by this call.
        downloaded: u64,
        /// Number of files in the folder.
        files: u64,
        /// Number of bytes in the files.
        bytes: u64,
        /// The archive, if it is kept.
        archive: Option<PathBuf>,
    },
}
