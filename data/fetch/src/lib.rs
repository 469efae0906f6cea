//! Archives from the network, as folders on disk.
//!
//! [`fetch`] downloads the archive of a [`Source`], verifies its checksum and unpacks it. An incomplete file or folder never
//! has the final name: the download is `ARCHIVE.part`, the unpacking happens in `.unpacking-FOLDER`, and the folder gets its
//! name once it is complete. After a kill, the next call continues where the killed one stopped.
//!
//! The first bytes of an answer decide whether it is an archive, so no page that a server sends instead is ever kept. The
//! variables `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, in lower or upper case, name the proxies.
//!
//! ```no_run
//! use qare_fetch::{ArchiveFormat, Event, ExpectedFile, FetchOptions, Limits, Source, fetch};
//!
//! let source = Source {
//!     name: "cifar10".to_owned(),
//!     urls: vec!["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz".to_owned()],
//!     file_name: "cifar-10-binary.tar.gz".to_owned(),
//!     format: ArchiveFormat::TarGz,
//!     size: Some(170_052_171),
//!     md5: "c32a1d4ab5d03f1284b67883e8d87530".to_owned(),
//!     folder: "cifar-10-batches-bin".to_owned(),
//!     files: vec![ExpectedFile { path: "test_batch.bin".to_owned(), size: Some(30_730_000) }],
//!     limits: Limits { entries: 100, bytes: 200_000_000 },
//! };
//! let fetched = fetch(&source, "datasets".as_ref(), &FetchOptions::default(), &|event| match event {
//!     Event::Downloading { done, total: Some(total) } => eprint!("\r{done} of {total} bytes"),
//!     Event::Retrying { reason, .. } => eprintln!("{reason}; trying again"),
//!     _ => {}
//! })?;
//! println!("{}", fetched.folder.display());
//! # Ok::<(), qare_fetch::FetchError>(())
//! ```

#![deny(missing_docs)]
#![forbid(unsafe_code)]

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
mod source;
mod tarball;
mod unpacker;
mod zipped;

pub use error::FetchError;
pub use options::{Event, FetchOptions, Fetched, Outcome};
pub use run::fetch;
pub use source::{ArchiveFormat, ExpectedFile, Limits, Source};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
