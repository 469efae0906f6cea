//! Sets of images, in memory or in a mapped file.

mod image_set;
mod mapped;
pub(crate) mod pixel_file;
mod retrieval_role;
mod stratified;

pub use image_set::{ImageItem, ImageSet};
pub(crate) use mapped::{MappedPixels, map, transposed};
pub use retrieval_role::RetrievalRole;
