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

#![warn(missing_docs)]

pub mod affine;
mod catalog;
pub mod check;
mod cifar;
pub mod cifar10;
pub mod cifar100;
mod cifar_pickle;
pub mod color;
pub mod crop;
pub mod dataset;
mod decoder_panics;
mod decoding;
pub mod draw;
mod epoch;
pub mod erasing;
pub mod error;
pub mod fetch;
pub mod folder;
pub mod geometric_views;
pub mod hue;
mod image_format;
pub mod images;
mod jpeg_check;
mod jpeg_file;
mod jpeg_pixels;
mod layout;
pub mod loader;
mod normalize;
mod outlines;
pub mod padded_crop;
mod picture;
mod pixel_file;
mod png_file;
mod prefetch;
mod raster;
pub mod report;
pub mod resize;
pub mod shapes;
mod shard;
mod split_names;
pub mod stl10;
mod stratified;
pub mod tiny;
mod tree;
pub mod views;
mod webp_file;

pub use check::{CheckOptions, check, check_with};
pub use dataset::{DEFAULT_MAX_PIXELS, DatasetName, LoadOptions, Normalization, Progress, Splits, load};
pub use decoder_panics::is_decoding;
pub use draw::{Draw, Purpose};
pub use epoch::EpochCursor;
pub use erasing::RandomErasing;
pub use error::DataError;
pub use images::{ImageItem, ImageSet};
pub use loader::{LoaderConfig, ViewBatch, ViewLoader};
pub use report::{Finding, Report, SplitSummary};
pub use shard::{Shard, Share};
pub use views::{Augmentation, Scratch, write_view};

/// The README's example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
