//! Buffers for making views.

use super::affine::Warper;
use super::crop::CropBox;
use super::normalize::Normalizer;
use super::resize::Resizer;
use crate::images::SourceImage;

/// Buffers and tables that [`write_view`](super::write_view) reuses from one view to the next. Use one per thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) resizer: Resizer,
    pub(crate) warper: Warper,
    pub(crate) pixels: Vec<u8>,
    pub(crate) normalizer: Normalizer,
}

impl Scratch {
    /// Writes a crop of an image, resized to a square of this side, to `pixels`.
    ///
    /// # Panics
    /// If the crop is empty or exceeds the image.
    pub(crate) fn resized_crop(&mut self, image: SourceImage, side: usize, crop: &CropBox) {
        self.pixels.resize(3 * side * side, 0);
        self.resizer.resized_crop(image.pixels(), image.size(), crop, (side, side), &mut self.pixels);
    }
}
