//! What loading a dataset gives: its splits.

use crate::error::{DataError, counted};
use crate::images::ImageSet;

/// The parts a dataset comes in.
#[derive(Debug)]
pub struct Splits {
    /// For training.
    pub train: ImageSet,
    /// For the final test. Its images may be without labels, see [`ImageSet::is_labeled`].
    pub test: ImageSet,
    /// Images without labels (all of them have label 0), if the dataset has such a split.
    pub unlabeled: Option<ImageSet>,
    /// What serves as which split and why, and what was left out, in short sentences.
    pub notes: Vec<String>,
    /// The images that were left out because they cannot be decoded, if [`LoadOptions::skip_broken`] allows that.
    pub skipped: Vec<DataError>,
}

impl Splits {
    /// Two splits, and nothing to say about them.
    pub fn new(train: ImageSet, test: ImageSet) -> Self {
        Self { train, test, unlabeled: None, notes: Vec::new(), skipped: Vec::new() }
    }

    /// What they hold, in one line: "train: 40 images of 2 classes; test: 7 images without labels".
    pub fn describe(&self) -> String {
        let split = |name: &str, set: &ImageSet| {
            let images = counted(set.len(), "image");
            match set.is_labeled() {
                _ if set.is_empty() => format!("{name}: none"),
                true => format!("{name}: {images} of {}", counted(set.classes(), "class")),
                false => format!("{name}: {images} without labels"),
            }
        };
        let unlabeled = self.unlabeled.iter().map(|set| split("unlabeled", set));
        let all: Vec<String> =
            [split("train", &self.train), split("test", &self.test)].into_iter().chain(unlabeled).collect();
        all.join("; ")
    }

    /// The images for training without labels: the unlabeled ones, or else those of the training split.
    pub fn pretraining(&self) -> &ImageSet {
        self.unlabeled.as_ref().unwrap_or(&self.train)
    }
}
