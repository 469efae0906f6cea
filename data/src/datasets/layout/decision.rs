//! The result of a decision.

use crate::datasets::tree::Folder;

/// The form of a dataset.
#[derive(Debug)]
pub(crate) enum Layout<'a> {
    Splits {
        train: &'a Folder,
        test: Option<&'a Folder>,
        unlabeled: Option<&'a Folder>,
    },
    /// Class folders without splits.
    Classes {
        classes: Vec<&'a Folder>,
        unlabeled: Option<&'a Folder>,
    },
    /// Images without classes.
    Flat(&'a Folder),
    /// No images at all.
    Empty,
}

/// A decision, with notes for the user.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The folder that contains the splits or classes: the root, or the innermost wrapper.
    pub at: &'a Folder,
    pub layout: Layout<'a>,
    pub notes: Vec<String>,
}

/// Why no decision is possible: the folder, what is wrong, and what is expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub path: String,
    pub problem: String,
    pub expected: &'static str,
}

/// The expected form, in errors about folders that are named like splits.
pub(super) const SPLITS: &str = "train/ and test/ (or val/) with the same class folders in them, or class folders alone: rename or move what is neither, or name the folder of the dataset itself";
