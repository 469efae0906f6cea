//! Labelled images of one size.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use burn_dataset::Dataset;

use super::mapped::{MappedPixels, transposed};
use super::retrieval_role::RetrievalRole;
use super::sources::Sources;
use crate::error::DataError;

/// Square colour images of one size with their labels.
///
/// Pixels are 8-bit and planar: all red values of an image, then all green, then all blue, each plane row by row
/// (`[3, side, side]`). The images lie one after the other in a buffer in memory or, if the set is too large for that, in a
/// mapped file, which the system caches as far as memory allows. Clones share the pixels.
///
/// A set of photographs may also hold the [sources](Self::source) of its images, which are larger: random crops are drawn from them.
#[derive(Clone, Debug)]
pub struct ImageSet {
    pixels: Pixels,
    labels: Arc<Vec<u16>>,
    class_names: Arc<Vec<String>>,
    file_names: Option<Arc<Vec<String>>>,
    cameras: Option<Arc<Vec<u16>>>,
    roles: Option<Arc<Vec<RetrievalRole>>>,
    sources: Option<Sources>,
    side: usize,
    labeled: bool,
}

#[derive(Clone, Debug)]
enum Pixels {
    Memory(Arc<Vec<u8>>),
    File {
        file: MappedPixels,
        /// The position of each image in the file, counted in images; `None` for the identity.
        places: Option<Arc<Vec<usize>>>,
    },
}

/// One image of an [`ImageSet`], as returned by [`Dataset::get`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageItem {
    /// 8-bit pixels, `[3, side, side]`.
    pub pixels: Vec<u8>,
    /// Height and width in pixels.
    pub side: usize,
    /// The class, from 0.
    pub label: u16,
    /// The index of the image in its set.
    pub index: usize,
}

impl ImageSet {
    /// A set of planar pixels, `[labels.len(), 3, side, side]`, with one label per image.
    ///
    /// # Errors
    /// [`DataError::PixelCount`] if `side` is zero or the number of bytes does not match the number of labels;
    /// [`DataError::LabelOutOfRange`] if a label is not below the number of class names.
    pub fn new(pixels: Vec<u8>, labels: Vec<u16>, side: usize, class_names: Vec<String>) -> Result<Self, DataError> {
        let bytes = pixels.len();
        Self::checked(Pixels::Memory(Arc::new(pixels)), bytes, labels, side, class_names)
    }

    /// A set whose pixels are in a mapped file.
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
            cameras: None,
            roles: None,
            sources: None,
            side,
            labeled: true,
        })
    }

    /// The same set with the file name of each image.
    ///
    /// # Errors
    /// [`DataError::FileNameCount`] if the number of names is not the number of images.
    pub fn with_file_names(self, names: Vec<String>) -> Result<Self, DataError> {
        if names.len() != self.len() {
            return Err(DataError::FileNameCount { names: names.len(), images: self.len() });
        }
        Ok(Self { file_names: Some(Arc::new(names)), ..self })
    }

    /// The same set with the camera of each image, see [`cameras`](Self::cameras).
    ///
    /// # Errors
    /// [`DataError::CameraCount`] if the number of cameras is not the number of images.
    pub fn with_cameras(self, cameras: Vec<u16>) -> Result<Self, DataError> {
        if cameras.len() != self.len() {
            return Err(DataError::CameraCount { cameras: cameras.len(), images: self.len() });
        }
        Ok(Self { cameras: Some(Arc::new(cameras)), ..self })
    }

    /// The same set, divided into queries and gallery, see [`roles`](Self::roles).
    ///
    /// # Errors
    /// [`DataError::RoleCount`] if the number of roles is not the number of images.
    pub fn with_roles(self, roles: Vec<RetrievalRole>) -> Result<Self, DataError> {
        if roles.len() != self.len() {
            return Err(DataError::RoleCount { roles: roles.len(), images: self.len() });
        }
        Ok(Self { roles: Some(Arc::new(roles)), ..self })
    }

    /// The same set, marked as unlabelled: its labels have no meaning.
    pub fn with_labels_unknown(self) -> Self {
        Self { labeled: false, ..self }
    }

    /// The same images, without the classes that have none. The others keep their order.
    pub fn without_empty_classes(self) -> Self {
        let mut numbers = vec![None; self.classes()];
        self.labels.iter().for_each(|label| numbers[usize::from(*label)] = Some(0));
        let mut names = Vec::new();
        for (number, name) in numbers.iter_mut().zip(self.class_names.iter()) {
            if let Some(number) = number {
                *number = names.len() as u16;
                names.push(name.clone());
            }
        }
        let number = |label: &u16| numbers[usize::from(*label)].expect("the class has an image");
        Self { labels: Arc::new(self.labels.iter().map(number).collect()), class_names: Arc::new(names), ..self }
    }

    /// Whether the labels are the classes of the images. In an unlabelled set that this crate loads they are all 0.
    pub fn is_labeled(&self) -> bool {
        self.labeled
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the set is empty.
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

    /// The names of the classes, indexed by label.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Whether the pixels are in memory; otherwise they are in a mapped file.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.pixels, Pixels::Memory(_))
    }

    /// The pixels of one image, `[3, side, side]`. They are borrowed, unless the file stores planes column by column.
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

    /// The images of each class, in their order; images without labels are one class.
    pub fn of_each_class(&self) -> Vec<Vec<usize>> {
        let mut of_class = vec![Vec::new(); if self.labeled { self.classes() } else { 1 }];
        for (image, label) in self.labels.iter().enumerate() {
            of_class[if self.labeled { usize::from(*label) } else { 0 }].push(image);
        }
        of_class
    }

    /// The file of one image: its path relative to the dataset's folder, with `/` as the separator. `None` if the images have no
    /// files of their own.
    ///
    /// # Panics
    /// If the set has file names and `index` is not below [`len`](Self::len).
    pub fn file_name(&self, index: usize) -> Option<&str> {
        self.file_names.as_ref().map(|names| names[index].as_str())
    }

    /// The camera of each image: the number of the device or the hand that made it, from the dataset's file names. Two images of one
    /// identity from different cameras are different views of it. `None` if the dataset names no cameras.
    pub fn cameras(&self) -> Option<&[u16]> {
        self.cameras.as_ref().map(|cameras| &cameras[..])
    }

    /// Whether each image is a query or in the gallery of a retrieval test. `None` if the dataset's protocol does not divide the
    /// images.
    pub fn roles(&self) -> Option<&[RetrievalRole]> {
        self.roles.as_ref().map(|roles| &roles[..])
    }

    /// The set of the images at `indices`, in that order: image `i` of the result is image `indices[i]` of this set. Pixels in
    /// memory are copied; pixels in a file and sources are shared. File names, cameras and roles go with their images.
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
            labels: at(&self.labels, indices),
            class_names: self.class_names.clone(),
            file_names: self.file_names.as_ref().map(|names| at(names, indices)),
            cameras: self.cameras.as_ref().map(|cameras| at(cameras, indices)),
            roles: self.roles.as_ref().map(|roles| at(roles, indices)),
            sources: self.sources.as_ref().map(|sources| sources.select(indices)),
            side: self.side,
            labeled: self.labeled,
        }
    }
}

/// The values at `indices`, in that order.
fn at<T: Clone>(values: &[T], indices: &[usize]) -> Arc<Vec<T>> {
    Arc::new(indices.iter().map(|&index| values[index].clone()).collect())
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

mod with_sources;

#[cfg(test)]
mod tests;
