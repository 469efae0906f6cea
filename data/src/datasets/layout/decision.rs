//! What is decided about a folder.

use crate::datasets::tree::Folder;

/// How a folder is made up.
#[derive(Debug)]
pub(crate) enum Layout<'a> {
    Splits {
        train: &'a Folder,
        test: Option<&'a Folder>,
        unlabeled: Option<&'a Folder>,
    },
    /// Class folders and no splits.
    Classes {
        classes: Vec<&'a Folder>,
        unlabeled: Option<&'a Folder>,
    },
    /// Images without classes.
    Flat(&'a Folder),
    /// No images at all.
    Empty,
}

/// What is decided, and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// The folder that holds the splits or classes: the root, or what is in wrappers.
    pub at: &'a Folder,
    pub layout: Layout<'a>,
    pub notes: Vec<String>,
}

/// Why nothing can be decided: the folder, what is wrong and what is expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    pub path: String,
    pub problem: String,
    pub expected: &'static str,
}

/// What is expected of folders with names of splits.
pub(super) const SPLITS: &str = "train/ and test/ (or val/) with the same class folders in them, or class folders alone: rename or move what is neither, or name the folder of the dataset itself";
