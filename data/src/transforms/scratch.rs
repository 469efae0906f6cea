//! Buffers for making views.

use super::affine::Warper;
use super::crop::CropBox;
use super::normalize::Normalizer;
use super::resize::Resizer;

/// Buffers and tables that [`write_view`](super::write_view) reuses from one view to the next. Use one per thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) resizer: Resizer,
    pub(crate) warper: Warper,
    pub(crate) pixels: Vec<u8>,
    pub(crate) normalizer: Normalizer,
}

impl Scratch {
    /// Writes a crop of a square image, resized to the size of the image, to `pixels`.
    ///
    /// # Panics
    /// If the length of `image` is not `3 * side * side`, or the crop is empty or exceeds the image.
    pub(super) fn resized_crop(&mut self, image: &[u8], side: usize, crop: &CropBox) {
        self.pixels.resize(image.len(), 0);
        self.resizer.resized_crop(image, (side, side), crop, (side, side), &mut self.pixels);
    }
}
