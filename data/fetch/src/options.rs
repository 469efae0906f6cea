//! What a caller of `fetch` can choose, is told on the way and gets in the end.

use std::path::PathBuf;
use std::time::Duration;

/// How a dataset is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// An address to download from instead of the source's own: a mirror. Size and checksum must be the same.
    pub url: Option<String>,
    /// Fetches even if the folder is there, and puts the new one in its place.
    pub overwrite: bool,
    /// Keeps the archive beside the folder.
    pub keep_archive: bool,
    /// Tries in a row, at each address, that bring nothing new before giving up; at least 1.
    pub tries: u32,
    /// The wait before the second try; it doubles with each one that brings nothing, up to half a minute.
    pub backoff: Duration,
    /// Time to reach a server.
    pub connect_timeout: Duration,
    /// Time without a single byte after which a connection counts as cut.
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

/// What `fetch` is doing. Amounts are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A server is asked for the archive.
    Connecting {
        /// Its address.
        url: &'a str,
    },
    /// A part of the archive came in. The first such event has what an earlier call left.
    Downloading {
        /// Bytes on disk.
        done: u64,
        /// Bytes of the archive, if known.
        total: Option<u64>,
    },
    /// The checksum is computed.
    Verifying {
        /// Bytes read.
        done: u64,
        /// Bytes of the archive.
        total: u64,
    },
    /// The archive is unpacked.
    Unpacking {
        /// Bytes of the archive that were unpacked.
        done: u64,
        /// Bytes of the archive.
        total: u64,
    },
    /// What an earlier call left, or what came in so far, is of no use.
    StartingAnew {
        /// Why.
        reason: &'a str,
    },
    /// Something went wrong that may pass.
    Retrying {
        /// What went wrong.
        reason: &'a str,
        /// Number of the try that follows, counted from the last one that brought something.
        attempt: u32,
        /// The wait before it.
        wait: Duration,
    },
}

/// A dataset that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its folder.
    pub folder: PathBuf,
    /// What was done for it.
    pub outcome: Outcome,
}

/// What `fetch` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing: the folder was there, complete.
    AlreadyThere,
    /// The folder was unpacked.
    Unpacked {
        /// Bytes that came over the network in this call.
        downloaded: u64,
        /// Files in the folder.
        files: u64,
        /// Bytes in them.
        bytes: u64,
        /// The archive, where it was kept.
        archive: Option<PathBuf>,
    },
}
