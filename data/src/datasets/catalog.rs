//! The image files of a dataset: which there are, and what belongs to what.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::tree::Folder;
use crate::decoding::extension_of;
use crate::error::{DataError, counted, listed};

/// The name of the one class of images without labels.
pub const UNLABELED: &str = "unlabeled";

/// What a dataset of image files is made of.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// The dataset's folder; names of files count from there.
    pub root: PathBuf,
    pub class_names: Vec<String>,
    pub train: Vec<Entry>,
    pub test: Vec<Entry>,
    /// Images for training without labels, besides those of the other splits.
    pub unlabeled: Vec<Entry>,
    /// Whether the labels of the training and test split are those of `class_names`.
    pub train_labeled: bool,
    pub test_labeled: bool,
    /// What is wrong. Then the rest is only what could be found in spite of it.
    pub problems: Vec<DataError>,
    /// What somebody who looks at the dataset may want to know.
    pub notes: Vec<String>,
}

/// One image file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Path from the root, with `/` between its parts.
    pub name: String,
    pub label: u16,
}

impl Catalog {
    pub fn of(root: PathBuf) -> Self {
        Self { root, train_labeled: true, test_labeled: true, ..Self::default() }
    }

    /// Images, whatever split they are of.
    pub fn len(&self) -> usize {
        self.train.len() + self.test.len() + self.unlabeled.len()
    }

    /// Says which files and links of a folder are left out, but for files that belong there.
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

    /// Says which folders would be classes if they had images.
    pub fn note_empty_classes(&mut self, folder: &Folder) {
        for class in folder.folders.iter().filter(|class| class.count == 0) {
            let others: Vec<String> = class.all().iter().flat_map(|folder| &folder.other_images).cloned().collect();
            self.notes.push(if others.is_empty() {
                format!("the folder {} has no images and is no class", class.path)
            } else {
                let number = counted(others.len(), "file");
                format!("the class {} is left out: its {number} ({}) are not read", class.path, by_extension(&others))
            });
        }
    }

    /// The label of the class at this place of the list of classes.
    pub fn label(&mut self, class: usize) -> u16 {
        class.try_into().unwrap_or_else(|_| {
            if class == usize::from(u16::MAX) + 1 {
                let problem = "it has more than 65536 classes".to_owned();
                self.problem(self.root.clone(), problem, "fewer class folders");
            }
            0
        })
    }

    pub fn problem(&mut self, path: PathBuf, problem: String, expected: &'static str) {
        self.problems.push(DataError::Layout { path, problem, expected });
    }
}

/// "heic 12, psd 1": how many files there are of each kind, the most first.
fn by_extension(files: &[String]) -> String {
    const FIRST: usize = 4;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    files.iter().for_each(|file| *counts.entry(extension_of(file)).or_default() += 1);
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kind = |(extension, count): &(String, usize)| match extension.as_str() {
        "" => format!("no extension {count}"),
        extension => format!("{extension} {count}"),
    };
    let mut kinds: Vec<String> = counts.iter().take(FIRST).map(kind).collect();
    if counts.len() > FIRST {
        kinds.push(format!("others {}", counts[FIRST..].iter().map(|(_, count)| count).sum::<usize>()));
    }
    kinds.join(", ")
}
