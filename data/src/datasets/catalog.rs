//! The catalog of a dataset of image files: the splits and labels of all files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use qare_printable::printable;

use super::tree::Folder;
use crate::decoding::extension_of;
use crate::error::{DataError, counted, listed};
use crate::images::RetrievalRole;

/// The name of the one class of images without labels.
pub const UNLABELED: &str = "unlabeled";

/// The files of a dataset, by split.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// The dataset's folder; file names are relative to it.
    pub root: PathBuf,
    pub class_names: Vec<String>,
    /// The classes of the test split, if they are others than `class_names`.
    pub test_class_names: Option<Vec<String>>,
    pub train: Vec<Entry>,
    pub test: Vec<Entry>,
    /// Images for self-supervised training that are in no other split.
    pub unlabeled: Vec<Entry>,
    /// Whether the labels of the training and the test split are indices into the names of their classes.
    pub train_labeled: bool,
    pub test_labeled: bool,
    /// Everything that is wrong. With problems, the catalog may be incomplete.
    pub problems: Vec<DataError>,
    /// What a user should know about the dataset.
    pub notes: Vec<String>,
}

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path relative to the root, with `/` as the separator.
    pub name: String,
    pub label: u16,
    /// The camera, if the dataset names the camera of every image.
    pub camera: Option<u16>,
    /// Whether it is a query or in the gallery, if the dataset divides its test images.
    pub role: Option<RetrievalRole>,
}

impl Entry {
    pub fn new(name: String, label: u16) -> Self {
        Self { name, label, camera: None, role: None }
    }
}

impl Catalog {
    pub fn of(root: PathBuf) -> Self {
        Self { root, train_labeled: true, test_labeled: true, ..Self::default() }
    }

    /// The number of images in all splits.
    pub fn len(&self) -> usize {
        self.train.len() + self.test.len() + self.unlabeled.len()
    }

    /// Notes which files and links of a folder are left out, except for files that belong there.
    pub fn note_left_out(&mut self, folder: &Folder, belongs: impl Fn(&str) -> bool) {
        let all = folder.all();
        let paths = |of: fn(&Folder) -> &Vec<String>| -> Vec<String> {
            all.iter().flat_map(|folder| of(folder)).cloned().collect()
        };
        let mut note = |mut files: Vec<String>, what: &str| {
            files.retain(|file| !belongs(file));
            if !files.is_empty() {
                files.sort_unstable();
                let number = counted(files.len(), "file");
                self.notes.push(format!("{number} {what}, left out ({}): {}", by_extension(&files), listed(&files)));
            }
        };
        note(paths(|folder| &folder.other_images), "in image formats that are not read");
        note(paths(|folder| &folder.other_files), "whose names are not those of images");
        self.notes.extend(paths(|folder| &folder.links));
    }

    /// Notes which folders are no classes because they have no images.
    pub fn note_empty_classes(&mut self, folder: &Folder) {
        for class in folder.folders.iter().filter(|class| class.count == 0) {
            let others: Vec<String> = class.all().iter().flat_map(|folder| &folder.other_images).cloned().collect();
            self.notes.push(if others.is_empty() {
                format!("the folder {} has no images and is not a class", printable(&class.path))
            } else {
                let number = counted(others.len(), "file");
                format!(
                    "the class {} is left out: its {number} ({}) are not read",
                    printable(&class.path),
                    by_extension(&others)
                )
            });
        }
    }

    /// The label of the class with this index. Too many classes are a problem, reported once.
    pub fn label(&mut self, class: usize) -> u16 {
        class.try_into().unwrap_or_else(|_| {
            if class == usize::from(u16::MAX) + 1 {
                let problem = "it has more than 65536 classes".to_owned();
                self.problem(self.root.clone(), problem, "fewer class folders");
            }
            0
        })
    }

    /// The names of the classes of the test split.
    pub fn test_class_names(&self) -> &[String] {
        self.test_class_names.as_ref().unwrap_or(&self.class_names)
    }

    pub fn problem(&mut self, path: PathBuf, problem: String, expected: &'static str) {
        self.problems.push(DataError::Layout { path, problem, expected });
    }
}

/// Counts files by extension, most frequent first: "heic 12, psd 1".
fn by_extension(files: &[String]) -> String {
    const FIRST: usize = 4;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    files.iter().for_each(|file| *counts.entry(extension_of(file)).or_default() += 1);
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kind = |(extension, count): &(String, usize)| match extension.as_str() {
        "" => format!("no extension {count}"),
        extension => format!("{} {count}", printable(extension)),
    };
    let mut kinds: Vec<String> = counts.iter().take(FIRST).map(kind).collect();
    if counts.len() > FIRST {
        kinds.push(format!("others {}", counts[FIRST..].iter().map(|(_, count)| count).sum::<usize>()));
    }
    kinds.join(", ")
}
