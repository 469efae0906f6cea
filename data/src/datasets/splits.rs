//! The splits of a dataset.

use crate::error::{DataError, counted};
use crate::images::ImageSet;

/// The splits of a dataset, as [`load`](crate::load) returns them.
#[derive(Debug)]
pub struct Splits {
    /// The training split.
    pub train: ImageSet,
    /// The test split. Its images may have no labels, see [`ImageSet::is_labeled`].
    pub test: ImageSet,
    /// The unlabelled split, if the dataset has one. All labels are 0.
    pub unlabeled: Option<ImageSet>,
    /// Short sentences that say which folders serve as which split, why, and what is left out.
    pub notes: Vec<String>,
    /// The broken images that were skipped, see [`LoadOptions::skip_broken`](super::LoadOptions::skip_broken).
    pub skipped: Vec<DataError>,
}

impl Splits {
    /// A training and a test split, without notes.
    pub fn new(train: ImageSet, test: ImageSet) -> Self {
        Self { train, test, unlabeled: None, notes: Vec::new(), skipped: Vec::new() }
    }

    /// A summary on one line: "train: 40 images of 2 classes; test: 7 images without labels".
    pub fn describe(&self) -> String {
        let split = |name: &str, set: &ImageSet| {
            let images = counted(set.len(), "image");
            if set.is_empty() {
                format!("{name}: none")
            } else if set.is_labeled() {
                format!("{name}: {images} of {}", counted(set.classes(), "class"))
            } else {
                format!("{name}: {images} without labels")
            }
        };
        let unlabeled = self.unlabeled.iter().map(|set| split("unlabeled", set));
        let all: Vec<String> =
            [split("train", &self.train), split("test", &self.test)].into_iter().chain(unlabeled).collect();
        all.join("; ")
    }

    /// The images for self-supervised training: the unlabelled split, or the training split if there is none.
    pub fn pretraining(&self) -> &ImageSet {
        self.unlabeled.as_ref().unwrap_or(&self.train)
    }
}
