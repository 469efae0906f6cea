//! Omniglot (Lake et al. 2015): 1,623 handwritten characters of 50 alphabets, each drawn by 20 people, 105×105.
//!
//! An image is `ALPHABET/CHARACTER/NNNN_DD.png`. The class is the character, named `ALPHABET/CHARACTER`; the camera is the drawer, DD.
//! The splits have no character in common, as for few-shot learning and retrieval:
//!
//! - `images_background` (30 alphabets) is the training split, and `images_evaluation` (20 alphabets) the test split; or
//! - `images_background_small1` (5 alphabets) is the training split, and the alphabets that only `images_background_small2` has are the
//!   test split. Greek and Latin are in both.
//!
//! The two folders lie in one folder, or each in a folder of its own in that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::catalog::{Catalog, Entry};
use super::class_disjoint::{self, Classes};
use super::image_files;
use super::options::LoadOptions;
use super::splits::Splits;
use super::tree::Folder;
use crate::error::{DataError, counted, listed};
use crate::transforms::Normalization;

/// Height and width that images are usually resized to, as by Vinyals et al. (2016).
pub const SIDE: usize = 28;

/// Channel statistics of the images of `images_background_small1` at [`SIDE`].
pub const NORMALIZATION: Normalization = Normalization { mean: [0.92; 3], std: [0.21; 3] };

/// The folders of a training split and a test split.
const PAIRS: [[&str; 2]; 2] =
    [["images_background", "images_evaluation"], ["images_background_small1", "images_background_small2"]];
/// Number of images of the complete training and test split.
const WHOLE: (usize, usize) = (964 * 20, 659 * 20);
const ADVICE: &str =
    "download and unpack images_background.zip and images_evaluation.zip from https://github.com/brendenlake/omniglot";
const EXPECTED: &str =
    "the folders images_background and images_evaluation, or images_background_small1 and images_background_small2";

/// Loads Omniglot from the folder that holds the two folders of its splits.
///
/// # Errors
/// If a folder is missing, a file name does not say who drew it, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let needed = DataError::FolderNeeded { dataset: "omniglot", folder: "images_background", advice: ADVICE };
    let dir = options.dir.ok_or(needed)?;
    let parts = find(dir).ok_or_else(|| DataError::NotFound {
        dataset: "omniglot",
        dir: dir.to_path_buf(),
        expected: EXPECTED,
        advice: ADVICE,
    })?;
    image_files::load("omniglot", catalog(parts), options.image_size.unwrap_or(SIDE), options)
}

/// The folders of the two splits.
pub(crate) struct Parts {
    /// The folder that holds both.
    dir: PathBuf,
    /// The names of the two folders as published.
    names: [&'static str; 2],
    /// Their paths in `dir`, if they exist.
    paths: [Option<String>; 2],
}

/// The folders of Omniglot in `dir`: the first pair that is complete, or else the first of which one folder exists.
pub(crate) fn find(dir: &Path) -> Option<Parts> {
    let parts =
        |names: [&'static str; 2]| Parts { dir: dir.to_path_buf(), names, paths: names.map(|name| located(dir, name)) };
    let found = PAIRS.map(parts);
    let place = |wanted: usize| found.iter().position(|parts| parts.paths.iter().flatten().count() >= wanted);
    let place = place(2).or_else(|| place(1))?;
    found.into_iter().nth(place)
}

/// The path of a folder in `dir`, or in a folder in it. A folder in a folder of the same name is the inner one.
fn located(dir: &Path, name: &str) -> Option<String> {
    let mut inside: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|inner| !inner.starts_with('.') && dir.join(inner).join(name).is_dir())
        .map(|inner| format!("{inner}/{name}"))
        .collect();
    inside.sort_unstable();
    let within = format!("{name}/{name}");
    if inside.contains(&within) {
        return Some(within);
    }
    if dir.join(name).is_dir() { Some(name.to_owned()) } else { inside.into_iter().next() }
}

/// The catalog of the images.
pub(crate) fn catalog(parts: Parts) -> Catalog {
    let Parts { dir, names, paths } = parts;
    let mut catalog = Catalog::of(dir);
    let [Some(train), Some(test)] = paths else {
        for (name, path) in names.into_iter().zip(paths) {
            if path.is_none() {
                let path = catalog.root.join(name);
                catalog.problems.push(DataError::MissingFile { path, expected: EXPECTED });
            }
        }
        return catalog;
    };
    let mut trees = [&train, &test].map(|path| Folder::scan_part(&catalog.root, path));
    catalog.problems = trees.iter_mut().flat_map(Folder::take_problems).collect();
    let [train, test] = &trees;
    let trained: BTreeSet<&str> = train.with_images().map(|alphabet| alphabet.name.as_str()).collect();
    let (both, tested): (Vec<&Folder>, Vec<&Folder>) =
        test.with_images().partition(|alphabet| trained.contains(alphabet.name.as_str()));
    let alphabets: Vec<&Folder> = train.with_images().collect();
    for (folder, alphabets, split) in [(train, &alphabets, "training"), (test, &tested, "test")] {
        catalog.notes.push(format!(
            "{} is the {split} split: {}",
            folder.shown(),
            counted(alphabets.len(), "alphabet")
        ));
        if alphabets.is_empty() {
            let path = catalog.root.join(&folder.path);
            let problem = format!("there are no alphabets for the {split} split");
            catalog.problem(path, problem, "ALPHABET/CHARACTER/NNNN_DD.png, and alphabets that training has not");
        }
    }
    if !both.is_empty() {
        let names: Vec<String> = both.iter().map(|alphabet| alphabet.name.clone()).collect();
        catalog.notes.push(format!("alphabets of both splits, in training only: {}", listed(&names)));
    }
    let [train_classes, test_classes] = [alphabets, tested].map(|alphabets| {
        alphabets.into_iter().flat_map(|alphabet| characters(&mut catalog, alphabet)).collect::<Classes>()
    });
    class_disjoint::set(&mut catalog, train_classes, test_classes);
    for tree in &trees {
        catalog.note_left_out(tree, |_| false);
    }
    catalog
}

/// The characters of an alphabet. Images beside them, and those whose name does not say who drew them, are problems.
fn characters(catalog: &mut Catalog, alphabet: &Folder) -> Classes {
    if let Some(image) = alphabet.images.first() {
        let problem = "the image is in the folder of an alphabet, and of no character".to_owned();
        catalog.problem(catalog.root.join(image), problem, "ALPHABET/CHARACTER/NNNN_DD.png");
    }
    let mut characters = Classes::new();
    for character in alphabet.with_images() {
        let mut entries = Vec::new();
        for name in character.all_images() {
            match drawer(&name) {
                Some(drawer) => entries.push(Entry { camera: Some(drawer), ..Entry::new(name, 0) }),
                None => {
                    let path = catalog.root.join(&name);
                    let problem = "its name does not say who drew it".to_owned();
                    catalog.problem(path, problem, "NNNN_DD.png with the number of the drawer, DD");
                }
            }
        }
        characters.insert(format!("{}/{}", alphabet.name, character.name), entries);
    }
    characters
}

/// The drawer in a file name, as 3 in `0108_03.png`.
fn drawer(path: &str) -> Option<u16> {
    let name = path.rsplit('/').next()?;
    let (_, drawer) = name.rsplit_once('.')?.0.rsplit_once('_')?;
    drawer.parse().ok()
}

/// Whether these are all images of Omniglot.
pub(crate) fn is_complete(catalog: &Catalog) -> bool {
    (catalog.train.len(), catalog.test.len()) == WHOLE
}
