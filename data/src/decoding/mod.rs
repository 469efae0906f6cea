//! Decodes image files into square, planar pixels. Damaged files are refused where Pillow refuses them.

mod decoder_errors;
mod decoder_panics;
mod format;
mod jpeg;
mod picture;
mod png;
mod raster;
mod webp;

pub use decoder_panics::is_decoding;
pub(crate) use format::{FileKind, extension_of, kind_of};
pub(crate) use picture::{PictureReader, Wanted};
pub use raster::DEFAULT_MAX_PIXELS;
pub(crate) use raster::ImageBytes;
