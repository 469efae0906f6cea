//! Augmentation: random choices that follow torchvision's distributions, and operations in the arithmetic of torchvision
//! and Pillow.

pub mod affine;
pub mod color;
mod color_jitter;
pub mod crop;
mod describe;
pub mod erasing;
mod flip;
pub mod geometric_views;
pub mod hue;
mod normalize;
pub mod on_device;
pub mod padded_crop;
pub mod resize;
mod scratch;
pub mod views;

pub use describe::describe_view;
pub use erasing::RandomErasing;
pub use normalize::Normalization;
pub use scratch::Scratch;
pub use views::{Augmentation, write_view, write_view_of};
