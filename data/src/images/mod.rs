//! Sets of images, in memory or in a mapped file.

mod image_set;
mod mapped;
pub(crate) mod pixel_file;
mod retrieval_role;
mod source_image;
mod sources;
mod stratified;

pub use image_set::{ImageItem, ImageSet};
pub(crate) use mapped::{MappedPixels, map, transposed};
pub use retrieval_role::RetrievalRole;
pub use source_image::SourceImage;
pub(crate) use sources::{OwnedSource, Sources};
