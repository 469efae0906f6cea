#![doc = include_str!("../README.md")]
#![deny(missing_docs, clippy::undocumented_unsafe_blocks, clippy::missing_safety_doc, unsafe_op_in_unsafe_fn)]

mod activation_gradient;
mod adam;
mod batch_norm_1d;
mod batch_statistics;
mod block;
mod block_gradient;
mod block_inference;
mod buffer;
mod cache_aligned;
mod convolution_tiles;
mod frames;
mod image_tiles;
mod image_weight_gradient;
mod linear;
mod max_pool;
mod normalization;
mod pairs;
mod place_scores;
mod pool;
mod pooling;
mod sizes;
mod vectors;
mod weight_gradient_tiles;
mod weights;
#[cfg(test)]
mod widths_tests;
mod winograd;
#[cfg(test)]
mod winograd_bound;
mod winograd_lines;
mod winograd_points;
mod winograd_products;
#[cfg(test)]
mod winograd_tests;
mod winograd_tiles;
mod winograd_weights;

pub use adam::Adam;
pub use batch_norm_1d::{BatchNorm1d, BatchNorm1dGradients};
pub use batch_statistics::{BatchStatistics, Normalization};
pub use block::ConvBlock;
pub use block_gradient::{BlockGradients, Saved};
pub use buffer::Buffer;
pub use cache_aligned::CacheAligned;
pub use frames::Layout;
pub use linear::{Linear, LinearGradients};
pub use max_pool::{MaxPlaces, MaxPool};
pub use place_scores::{PlaceGradients, PlaceScores, PlaceWeights};
pub use pool::Pool;
pub use sizes::{ConvParams, ConvSizes, SizesError};
pub use weights::Weights;
