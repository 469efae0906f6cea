//! Datasets, augmented views and a deterministic loader for [Burn](https://burn.dev).
//!
//! [`load`] reads or draws a dataset as [`ImageSet`]s. A [`ViewLoader`] makes batches of augmented views
//! of one of them, behind Burn's own [`DataLoader`](burn::data::dataloader::DataLoader). Every random number is a
//! function of (seed, purpose, epoch, image, view), see [`draw`]: the same run gives the same batches with any number of
//! threads, and a resumed one goes on with the very same sequence.
//!
//! An [`Augmentation`] says how views are made: of random choices ([`views`], [`geometric_views`]) that follow
//! torchvision's distributions, and operations in the arithmetic of torchvision and Pillow ([`crop`], [`resize`],
//! [`color`], [`hue`]; [`padded_crop`], [`affine`], [`erasing`]).

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
    DEFAULT_MAX_PIXELS, DatasetName, LoadOptions, Progress, Splits, cifar10, cifar100, folder, load, shapes, stl10,
    tiny,
};
pub use decoding::is_decoding;
pub use draw::{Draw, Purpose};
pub use error::DataError;
pub use images::{ImageItem, ImageSet};
pub use loader::{EpochCursor, LoaderConfig, Shard, Share, ViewBatch, ViewLoader};
pub use report::{Finding, Report, SplitSummary};
pub use transforms::{
    Augmentation, Normalization, RandomErasing, Scratch, affine, color, crop, erasing, geometric_views, hue,
    padded_crop, resize, views, write_view,
};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
