//! An in-memory set of labelled images.

use std::sync::Arc;

use burn_dataset::Dataset;

use crate::error::DataError;

/// Square colour images of one size with their labels, held in memory.
///
/// Pixels are 8-bit, planar: all red values of an image, then all green, then all blue, each plane row by row
/// (`[3, side, side]`). One buffer holds all images one after the other. Clones share it.
#[derive(Clone, Debug)]
pub struct ImageSet {
    pixels: Arc<Vec<u8>>,
    labels: Arc<Vec<u16>>,
    class_names: Arc<Vec<String>>,
    side: usize,
}

/// One image of an [`ImageSet`], as [`Dataset::get`] hands it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageItem {
    /// 8-bit pixels, `[3, side, side]`.
    pub pixels: Vec<u8>,
    /// Height and width in pixels.
    pub side: usize,
    /// The class, from 0.
    pub label: u16,
    /// The image's place in its set.
    pub index: usize,
}

impl ImageSet {
    /// Makes a set from planar pixels (`[labels.len(), 3, side, side]`) and one label an image.
    ///
    /// # Errors
    /// If `side` is zero, the number of bytes does not fit the number of labels, or a label is not below the number
    /// of class names.
    pub fn new(pixels: Vec<u8>, labels: Vec<u16>, side: usize, class_names: Vec<String>) -> Result<Self, DataError> {
        if side == 0 || pixels.len() != labels.len() * 3 * side * side {
            return Err(DataError::PixelCount { pixels: pixels.len(), labels: labels.len(), side });
        }
        let classes = class_names.len();
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes) {
            return Err(DataError::LabelOutOfRange { index, label: labels[index], classes });
        }
        Ok(Self { pixels: Arc::new(pixels), labels: Arc::new(labels), class_names: Arc::new(class_names), side })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Height and width of every image in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// The names of the classes; a label is an index into them.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The pixels of one image, `[3, side, side]`.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = 3 * self.side * self.side;
        &self.pixels[index * size..(index + 1) * size]
    }

    /// The label of one image.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn label(&self, index: usize) -> u16 {
        self.labels[index]
    }

    /// The labels of all images.
    pub fn labels(&self) -> &[u16] {
        &self.labels
    }

    /// A set of its own with copies of the named images, in that order. Image `i` of it is image `indices[i]` here.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * 3 * self.side * self.side);
        for &index in indices {
            pixels.extend_from_slice(self.pixels(index));
        }
        Self {
            pixels: Arc::new(pixels),
            labels: Arc::new(indices.iter().map(|&index| self.label(index)).collect()),
            class_names: self.class_names.clone(),
            side: self.side,
        }
    }
}

impl Dataset<ImageItem> for ImageSet {
    fn get(&self, index: usize) -> Option<ImageItem> {
        (index < self.len()).then(|| ImageItem {
            pixels: self.pixels(index).to_vec(),
            side: self.side,
            label: self.label(index),
            index,
        })
    }

    fn len(&self) -> usize {
        self.labels.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    fn three_images() -> ImageSet {
        let pixels = (0..3 * 12).map(|value| value as u8).collect();
        ImageSet::new(pixels, vec![1, 0, 1], 2, names(2)).unwrap()
    }

    #[test]
    fn hands_out_what_was_put_in() {
        let images = three_images();
        assert_eq!((images.len(), images.side(), images.classes()), (3, 2, 2));
        assert_eq!(images.pixels(1), (12..24).collect::<Vec<u8>>());
        let item = Dataset::get(&images, 2).unwrap();
        assert_eq!((item.label, item.index, item.side), (1, 2, 2));
        assert_eq!(item.pixels, images.pixels(2));
        assert!(Dataset::get(&images, 3).is_none());
    }

    #[test]
    fn select_copies_in_the_given_order() {
        let images = three_images();
        let part = images.select(&[2, 1]);
        assert_eq!(part.labels(), &[1, 0]);
        assert_eq!(part.pixels(0), images.pixels(2));
        assert_eq!(part.pixels(1), images.pixels(1));
        assert!(images.select(&[]).is_empty());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let short = ImageSet::new(vec![0; 11], vec![0], 2, names(1)).unwrap_err();
        assert_eq!(short.to_string(), "1 images of 3x2x2 need 12 bytes of pixels, found 11");
        let label = ImageSet::new(vec![0; 24], vec![0, 7], 2, names(2)).unwrap_err();
        assert!(label.to_string().contains("image 1 has label 7, expected 0 to 1"));
        assert!(ImageSet::new(vec![], vec![], 0, names(1)).is_err());
    }
}
