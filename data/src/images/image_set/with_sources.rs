//! The sources of the images of a set.

use super::ImageSet;
use crate::error::DataError;
use crate::images::source_image::SourceImage;
use crate::images::sources::{OwnedSource, Sources};

impl ImageSet {
    /// The same set with the source of each image, see [`source`](Self::source): planar pixels `[3, height, width]`, height and width.
    ///
    /// # Errors
    /// [`DataError::Sources`] if the number of sources is not the number of images, or a source is empty or has another number of bytes.
    pub fn with_sources(self, sources: Vec<(Vec<u8>, (usize, usize))>) -> Result<Self, DataError> {
        let refused = |problem| Err(DataError::Sources { problem });
        if sources.len() != self.len() {
            return refused(format!("{} sources for {} images", sources.len(), self.len()));
        }
        for (image, (pixels, (height, width))) in sources.iter().enumerate() {
            if pixels.is_empty() || pixels.len() != 3 * height * width {
                let bytes = pixels.len();
                return refused(format!(
                    "the source of image {image} is of {height}x{width} pixels, and has {bytes} bytes"
                ));
            }
        }
        let owned = |(pixels, size): (Vec<u8>, _)| OwnedSource { pixels: pixels.into(), size };
        Ok(self.with_stored_sources(Some(Sources::in_memory(sources.into_iter().map(owned).collect()))))
    }

    /// The same set with these sources, one for each image.
    pub(crate) fn with_stored_sources(self, sources: Option<Sources>) -> Self {
        debug_assert!(sources.as_ref().is_none_or(|sources| sources.len() == self.len()));
        Self { sources, ..self }
    }

    /// The same set, without sources if each is the image itself.
    pub(crate) fn without_needless_sources(self) -> Self {
        let square = (self.side, self.side);
        let differs = |sources: &Sources| (0..sources.len()).any(|image| sources.size(image) != square);
        if self.sources.as_ref().is_some_and(differs) { self } else { self.without_sources() }
    }

    /// The same set without sources.
    pub fn without_sources(self) -> Self {
        Self { sources: None, ..self }
    }

    /// The source of an image, from which views with [resized crops](crate::Augmentation::draws_crops) are made: the same picture with more
    /// pixels, and not cropped to a square. `None` if the set has no sources; views are then made of [`pixels`](Self::pixels).
    ///
    /// # Panics
    /// If the set has sources and `index` is not below [`len`](Self::len).
    pub fn source(&self, index: usize) -> Option<SourceImage<'_>> {
        self.sources.as_ref().map(|sources| sources.get(index))
    }

    /// Whether the set has the sources of its images.
    pub fn has_sources(&self) -> bool {
        self.sources.is_some()
    }

    /// The number of bytes of all sources, and whether they are in memory.
    pub(crate) fn bytes_of_sources(&self) -> Option<(usize, bool)> {
        self.sources.as_ref().map(|sources| (sources.bytes(), sources.is_in_memory()))
    }
}
