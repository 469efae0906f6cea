//! Downloads of the datasets, see [`qare_fetch`].
//!
//! [`source`] says where a dataset comes from, and [`fetch`] downloads its archive, verifies the checksum and unpacks it.
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
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod sources;

pub use qare_fetch::{
    ArchiveFormat, Event, ExpectedFile, FetchError, FetchOptions, Fetched, Limits, Outcome, Source, fetch,
};
pub use sources::{DOWNLOADABLE, SourceError, source};
