//! Fetching the datasets that can be downloaded.
//!
//! [`source`] says where a dataset comes from, [`fetch`] downloads its archive, compares the checksum and unpacks it. Nothing
//! half-done ever has the dataset's name: what comes in is `ARCHIVE.part`, what is being unpacked `.unpacking-FOLDER`, and
//! the folder gets its name when it is complete. Killed at any time, the next call goes on where this one was.

mod archive;
mod checksum;
mod download;
mod error;
mod folder;
mod options;
mod part;
mod response;
mod run;
mod sources;
mod tarball;
mod zipped;

pub use error::FetchError;
pub use options::{Event, FetchOptions, Fetched, Outcome};
pub use run::fetch;
pub use sources::{ArchiveFormat, DOWNLOADABLE, ExpectedFile, Limits, Source, source};
