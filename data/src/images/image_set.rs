//! A set of labelled images.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use burn_dataset::Dataset;

use super::mapped::{MappedPixels, transposed};
use crate::error::DataError;

/// Square colour images of one size with their labels.
///
/// Pixels are 8-bit, planar: all red values of an image, then all green, then all blue, each plane row by row
/// (`[3, side, side]`). They are in memory in one buffer, one image after the other, or, for a set that is too large, in a
/// file mapped into memory, of which the system keeps as much as it has room for. Clones share them.
#[derive(Clone, Debug)]
pub struct ImageSet {
    pixels: Pixels,
    labels: Arc<Vec<u16>>,
    class_names: Arc<Vec<String>>,
    file_names: Option<Arc<Vec<String>>>,
    side: usize,
    labeled: bool,
}

#[derive(Clone, Debug)]
enum Pixels {
    Memory(Arc<Vec<u8>>),
    File {
        file: MappedPixels,
        /// Where in the file each image stands, counted in images, if not in its own place.
        places: Option<Arc<Vec<usize>>>,
    },
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
        let bytes = pixels.len();
        Self::checked(Pixels::Memory(Arc::new(pixels)), bytes, labels, side, class_names)
    }

    /// Makes a set whose pixels stay in their file until they are asked for.
    pub(crate) fn mapped(
        file: MappedPixels,
        labels: Vec<u16>,
        side: usize,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let bytes = file.bytes.min(file.map.len().saturating_sub(file.start));
        Self::checked(Pixels::File { file, places: None }, bytes, labels, side, class_names)
    }

    fn checked(
        pixels: Pixels,
        bytes: usize,
        labels: Vec<u16>,
        side: usize,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        if side == 0 || bytes != labels.len() * 3 * side * side {
            return Err(DataError::PixelCount { pixels: bytes, labels: labels.len(), side });
        }
        let classes = class_names.len();
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes) {
            return Err(DataError::LabelOutOfRange { index, label: labels[index], classes });
        }
        Ok(Self {
            pixels,
            labels: Arc::new(labels),
            class_names: Arc::new(class_names),
            file_names: None,
            side,
            labeled: true,
        })
    }

    /// The same set with the name of each image's file.
    ///
    /// # Errors
    /// If there is not one name for each image.
    pub fn with_file_names(self, names: Vec<String>) -> Result<Self, DataError> {
        if names.len() != self.len() {
            return Err(DataError::FileNameCount { names: names.len(), images: self.len() });
        }
        Ok(Self { file_names: Some(Arc::new(names)), ..self })
    }

    /// The same set of images whose classes nobody knows: what their labels say means nothing.
    pub fn with_labels_unknown(self) -> Self {
        Self { labeled: false, ..self }
    }

    /// Whether the labels say what class each image is of. Otherwise all of them are 0.
    pub fn is_labeled(&self) -> bool {
        self.labeled
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

    /// Whether all pixels are in this process's own memory; otherwise they are in a file mapped into it.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.pixels, Pixels::Memory(_))
    }

    /// The pixels of one image, `[3, side, side]`. They are copied only if their file has them in another order.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn pixels(&self, index: usize) -> Cow<'_, [u8]> {
        match &self.pixels {
            Pixels::Memory(pixels) => Cow::Borrowed(&pixels[self.bytes_of(index)]),
            Pixels::File { file, places } => {
                let place = places.as_ref().map_or(index, |places| places[index]);
                let stored = &file.map[file.start..][self.bytes_of(place)];
                if file.by_columns { Cow::Owned(transposed(stored, self.side)) } else { Cow::Borrowed(stored) }
            }
        }
    }

    fn bytes_of(&self, place: usize) -> Range<usize> {
        let size = 3 * self.side * self.side;
        place * size..(place + 1) * size
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

    /// The file of one image, as a path from the dataset's folder with `/` between its parts; `None` if the images of
    /// this set have no files of their own.
    ///
    /// # Panics
    /// If there are file names and `index` is not below [`len`](Self::len).
    pub fn file_name(&self, index: usize) -> Option<&str> {
        self.file_names.as_ref().map(|names| names[index].as_str())
    }

    /// A set of its own of the named images, in that order. Image `i` of it is image `indices[i]` here. Pixels in memory
    /// are copied, those in a file stay there.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Self {
        let pixels = match &self.pixels {
            Pixels::Memory(all) => {
                let mut pixels = Vec::with_capacity(indices.len() * 3 * self.side * self.side);
                for &index in indices {
                    pixels.extend_from_slice(&all[self.bytes_of(index)]);
                }
                Pixels::Memory(Arc::new(pixels))
            }
            Pixels::File { file, places } => {
                let place = |&index: &usize| places.as_ref().map_or(index, |places| places[index]);
                Pixels::File { file: file.clone(), places: Some(Arc::new(indices.iter().map(place).collect())) }
            }
        };
        Self {
            pixels,
            labels: Arc::new(indices.iter().map(|&index| self.label(index)).collect()),
            class_names: self.class_names.clone(),
            file_names: self
                .file_names
                .as_ref()
                .map(|names| Arc::new(indices.iter().map(|&index| names[index].clone()).collect())),
            side: self.side,
            labeled: self.labeled,
        }
    }
}

impl Dataset<ImageItem> for ImageSet {
    fn get(&self, index: usize) -> Option<ImageItem> {
        (index < self.len()).then(|| ImageItem {
            pixels: self.pixels(index).into_owned(),
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
    use std::io::Write;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    fn three_images() -> ImageSet {
        let pixels = (0..3 * 12).map(|value| value as u8).collect();
        ImageSet::new(pixels, vec![1, 0, 1], 2, names(2)).unwrap()
    }

    /// The same three images from a file, after some other bytes.
    fn three_mapped_images(by_columns: bool) -> ImageSet {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[99; 7]).unwrap();
        let images = three_images();
        for index in 0..3 {
            let pixels = images.pixels(index);
            // Transposing undoes itself.
            file.write_all(&if by_columns { transposed(&pixels, 2) } else { pixels.into_owned() }).unwrap();
        }
        // SAFETY: nobody else knows the file.
        let map = Arc::new(unsafe { Mmap::map(&file) }.unwrap());
        ImageSet::mapped(MappedPixels { map, start: 7, bytes: 36, by_columns }, vec![1, 0, 1], 2, names(2)).unwrap()
    }

    #[test]
    fn hands_out_what_was_put_in() {
        let images = three_images();
        assert_eq!((images.len(), images.side(), images.classes()), (3, 2, 2));
        assert_eq!(*images.pixels(1), (12..24).collect::<Vec<u8>>());
        let item = Dataset::get(&images, 2).unwrap();
        assert_eq!((item.label, item.index, item.side), (1, 2, 2));
        assert_eq!(item.pixels, *images.pixels(2));
        assert!(Dataset::get(&images, 3).is_none());
        assert!(matches!(images.pixels(0), Cow::Borrowed(_)));
        assert_eq!(images.file_name(0), None);
    }

    #[test]
    fn a_mapped_file_is_the_same_set() {
        let images = three_images();
        for by_columns in [false, true] {
            let mapped = three_mapped_images(by_columns);
            assert!(images.is_in_memory() && !mapped.is_in_memory());
            for (index, place) in [2, 1, 1, 0].into_iter().enumerate() {
                assert_eq!(mapped.pixels(place), images.pixels(place));
                // A selection of a selection counts in the first one.
                let part = mapped.select(&[0, 2, 1]).select(&[1, 2, 2, 0]);
                assert_eq!((part.pixels(index), part.label(index)), (images.pixels(place), images.label(place)));
                assert_eq!(matches!(part.pixels(index), Cow::Borrowed(_)), !by_columns);
            }
        }
    }

    #[test]
    fn select_copies_in_the_given_order() {
        let names = ["a/1.png", "a/2.png", "b/1.png"].map(str::to_owned).to_vec();
        let images = three_images().with_file_names(names).unwrap();
        let part = images.select(&[2, 1]);
        assert_eq!(part.labels(), &[1, 0]);
        assert_eq!(part.pixels(0), images.pixels(2));
        assert_eq!(part.pixels(1), images.pixels(1));
        assert_eq!((part.file_name(0), part.file_name(1)), (Some("b/1.png"), Some("a/2.png")));
        assert!(images.select(&[]).is_empty());
    }

    #[test]
    fn refuses_what_does_not_fit() {
        let short = ImageSet::new(vec![0; 11], vec![0], 2, names(1)).unwrap_err();
        assert_eq!(short.to_string(), "1 images of 3x2x2 need 12 bytes of pixels, found 11");
        let label = ImageSet::new(vec![0; 24], vec![0, 7], 2, names(2)).unwrap_err();
        assert!(label.to_string().contains("image 1 has label 7, expected 0 to 1"));
        assert!(ImageSet::new(vec![], vec![], 0, names(1)).is_err());
        let files = three_images().with_file_names(vec!["a.png".into()]).unwrap_err();
        assert_eq!(files.to_string(), "1 file names for 3 images");
    }
}
