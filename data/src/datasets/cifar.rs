//! The archives of CIFAR-10 and CIFAR-100.
//!
//! There are two versions with the same images: the binary version (records of one byte for each kind of label, then planar
//! pixels) and the python version (pickles). Both are supported; if both are present, the binary version is read.

use std::path::{Path, PathBuf};

/// Height and width of an image in pixels.
pub(crate) const SIDE: usize = 32;
/// Bytes of an image.
pub(crate) const IMAGE_SIZE: usize = 3 * SIDE * SIDE;
/// One of the two datasets.
pub(crate) struct Archive {
    /// Its name in messages.
    pub title: &'static str,
    pub layouts: [Layout; 2],
    /// The kinds of labels of a record, in the order of their bytes.
    pub labels: &'static [LabelKind],
    /// Texts of [`DataError::NotFound`] and [`DataError::FolderNeeded`].
    pub expected: &'static str,
    pub advice: &'static str,
}

/// One of the two versions of an archive.
pub(crate) struct Layout {
    pub form: Form,
    pub folder: &'static str,
    /// The files of the training split, and the file of the test split.
    pub train: &'static [&'static str],
    pub test: &'static str,
    /// Number of images in each training file, and in the test file.
    pub images: (usize, usize),
    /// Text of [`DataError::MissingFile`].
    pub expected: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Binary,
    Pickle,
}

/// One kind of label; every image has one of each kind.
pub(crate) struct LabelKind {
    /// Its key in the pickles.
    pub entry: &'static str,
    pub classes: usize,
}

/// The pixels and labels of one file.
pub(crate) struct Part {
    pub pixels: Vec<u8>,
    /// For each kind, the labels of all images.
    pub labels: Vec<Vec<u16>>,
}

impl Layout {
    /// All files with the number of their images; the test file is the last.
    pub fn files(&self, folder: &Path) -> Vec<(PathBuf, usize)> {
        let train = self.train.iter().map(|file| (folder.join(file), self.images.0));
        train.chain([(folder.join(self.test), self.images.1)]).collect()
    }

    /// Whether any of its files is in `folder`.
    pub fn is_in(&self, folder: &Path) -> bool {
        self.train.iter().chain([&self.test]).any(|file| folder.join(file).is_file())
    }
}
