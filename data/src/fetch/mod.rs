//! Fetching the datasets that can be downloaded.
//!
//! [`source`] says where a dataset comes from, [`fetch`] downloads its archive, compares the checksum and unpacks it. Nothing
//! half-done ever has the dataset's name: what comes in is `ARCHIVE.part`, what is being unpacked `.unpacking-FOLDER`, and
//! the folder gets its name when it is complete. Killed at any time, the next call goes on where this one was.
//!
//! What comes in is looked at from its first bytes on: of a page that is sent in the archive's place nothing is kept. Proxies are
//! those of the variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in small letters or capitals.
//!
//! ```no_run
//! use qare_data::fetch::{Event, FetchOptions, fetch, source};
//!
//! let fetched = fetch(&source("cifar10")?, "datasets".as_ref(), &FetchOptions::default(), &|event| match event {
//!     Event::Downloading { done, total: Some(total) } => eprint!("\r{done} of {total} bytes"),
//!     Event::Retrying { reason, .. } => eprintln!("{reason}; trying again"),
//!     _ => {}
//! })?;
//! println!("{}", fetched.folder.display());
//! # Ok::<(), qare_data::fetch::FetchError>(())
//! ```

mod absolute_form;
mod archive;
mod attempt;
mod beginning;
mod checksum;
mod connection;
mod download;
mod error;
mod failure;
mod folder;
mod no_proxy;
mod options;
mod part;
mod proxies;
mod response;
mod run;
mod sources;
mod tarball;
mod zipped;

pub use error::FetchError;
pub use options::{Event, FetchOptions, Fetched, Outcome};
pub use run::fetch;
pub use sources::{ArchiveFormat, DOWNLOADABLE, ExpectedFile, Limits, Source, source};
