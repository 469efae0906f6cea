//! Datasets, augmented views and a deterministic loader for [Burn](https://burn.dev).
//!
//! [`load`] reads or draws a dataset as [`ImageSet`]s. A [`ViewLoader`] makes batches of augmented views of one of them, as a
//! [`DataLoader`](burn::data::dataloader::DataLoader) of Burn. Every random number is a function of (seed, purpose, epoch, image,
//! view), see [`draw`]: any number of threads gives the same batches, and a resumed run continues with the same sequence.
//!
//! An [`Augmentation`] selects the kind of view. Views consist of random choices ([`views`], [`geometric_views`]) with
//! torchvision's distributions, and of operations in the arithmetic of torchvision and Pillow ([`crop`], [`resize`], [`color`],
//! [`hue`], [`padded_crop`], [`affine`], [`erasing`]). The device of a loader can compute contrastive views itself
//! ([`ViewLoader::augment_on`], [`on_device`]), with the same bytes.
//!
//! | module | content |
//! |---|---|
//! | [`datasets`] | the datasets, and how they are loaded |
//! | [`transforms`] | augmentation and normalisation |
//! | [`images`] | sets of images |
//! | [`loader`] | batches of views |
//! | [`check`](mod@check) | checks of datasets on disk |
//! | `fetch` (feature `fetch`) | downloads of the datasets |

#![deny(missing_docs)]

pub mod check;
pub mod datasets;
mod decoding;
pub mod draw;
pub mod error;
#[cfg(feature = "fetch")]
pub mod fetch;
pub mod images;
pub mod loader;
pub mod transforms;

pub use check::{CheckOptions, check, check_with, report};
pub use datasets as dataset;
pub use datasets::{
    DEFAULT_MAX_PIXELS, DatasetName, LoadOptions, Progress, Splits, TestClasses, cars196, cifar10, cifar100, cub200,
    cuhk03, expect_folder, folder, load, market1501, omniglot, shapes, sop, stl10, tiny,
};
pub use decoding::is_decoding;
pub use draw::{Draw, Purpose};
pub use error::DataError;
pub use images::{ImageItem, ImageSet, RetrievalRole, SourceImage};
pub use loader::{AugmentOn, EpochCursor, LoaderConfig, Shard, Share, ViewBatch, ViewLoader};
pub use qare_printable::printable;
pub use report::{Finding, Report, SplitSummary};
pub use transforms::{
    Augmentation, Normalization, RandomErasing, Scratch, affine, color, crop, describe_view, erasing, geometric_views,
    hue, on_device, padded_crop, resize, views, write_view, write_view_of,
};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
