//! CUB-200-2011 (Wah et al. 2011): 11,788 photographs of 200 kinds of birds, from its folder `CUB_200_2011/`.
//!
//! - `images.txt`: the number of each image, and its file in `images/`;
//! - `image_class_labels.txt`: the number of each image, and that of its class;
//! - `classes.txt`: the number of each class, and its name.
//!
//! As usual in metric learning (Oh Song et al. 2016), the images of the first 100 classes are the training split, and those of the
//! other 100 are the test split. `train_test_split.txt`, which divides the images of each class, is not used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qare_printable::printable;

use super::catalog::{Catalog, Entry};
use super::class_disjoint::{self, Classes};
use super::list_file::List;
use super::options::LoadOptions;
use super::splits::Splits;
use super::tree::Folder;
use super::{folder, image_files, listed_images};
use crate::error::DataError;

/// Number of classes that are trained on.
const TRAINED: usize = 100;
/// Number of images of the complete training and test split.
const WHOLE: (usize, usize) = (5_864, 5_924);
const FOLDER: &str = "CUB_200_2011";
const ADVICE: &str = "download and unpack CUB_200_2011.tgz from https://data.caltech.edu/records/65de6-vp158";
const BELONGS: &str = "CUB-200-2011 is images.txt, image_class_labels.txt, classes.txt and the folder images";

/// Loads CUB-200-2011 from its folder `CUB_200_2011`, or the folder that contains it.
///
/// # Errors
/// If a list is missing or damaged, an image that it names is missing, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "cub200", folder: FOLDER, advice: ADVICE })?;
    let root = find(dir).ok_or_else(|| DataError::NotFound {
        dataset: "cub200",
        dir: dir.to_path_buf(),
        expected: "a folder CUB_200_2011 with images.txt, image_class_labels.txt, classes.txt and images",
        advice: ADVICE,
    })?;
    image_files::load("cub200", catalog(root), options.image_size.unwrap_or(folder::SIDE), options)
}

/// The dataset's folder: `CUB_200_2011` in `dir`, or `dir` itself.
pub(crate) fn find(dir: &Path) -> Option<PathBuf> {
    let inside = dir.join(FOLDER);
    if inside.is_dir() {
        return Some(inside);
    }
    ["images.txt", "image_class_labels.txt"].iter().any(|list| dir.join(list).is_file()).then(|| dir.to_path_buf())
}

/// The catalog of the images.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    let mut catalog = Catalog::of(root);
    let mut images = Folder::scan_part(&catalog.root, "images");
    let unreadable = images.take_problems();
    if !catalog.root.join("images").is_dir() {
        let path = catalog.root.join("images");
        catalog.problems.push(DataError::MissingFile { path, expected: BELONGS });
        return catalog;
    }
    catalog.problems = unreadable;
    let classes = names(&mut catalog);
    let labels = labels(&mut catalog, &classes);
    let (mut train, mut test) = (Classes::new(), Classes::new());
    let files = List::<2>::read(&mut catalog, "images.txt", "an image's number and its file", BELONGS);
    let mut known = BTreeMap::new();
    for line in &files.lines {
        let [image, file] = &line.fields;
        if known.insert(image, line.number).is_some() {
            files.bad(&mut catalog, line.number, format!("image {} is listed before", printable(image)));
        } else if let Some((class, name)) = labels.get(image).and_then(|class| classes.get_key_value(class)) {
            let split = if *class <= TRAINED { &mut train } else { &mut test };
            split.entry(name.clone()).or_default().push(Entry::new(format!("images/{file}"), 0));
        } else if catalog.problems.is_empty() {
            let problem = format!("image {} has no class in image_class_labels.txt", printable(image));
            files.bad(&mut catalog, line.number, problem);
        }
    }
    if catalog.problems.is_empty() && (train.is_empty() || test.is_empty()) {
        let side = if train.is_empty() { "1 to 100, the training split" } else { "101 to 200, the test split" };
        let problem = format!("there are no images of the classes {side}");
        catalog.problem(catalog.root.join("images.txt"), problem, "images of both");
    }
    class_disjoint::set(&mut catalog, train, test);
    if catalog.problems.is_empty() {
        listed_images::compare(&mut catalog, &images, "images.txt lists it");
    }
    let note = "the classes 1 to 100 are the training split, and the others are the test split";
    catalog.notes.insert(0, note.to_owned());
    catalog.note_left_out(&images, |_| false);
    catalog
}

/// The names of the classes by their numbers.
fn names(catalog: &mut Catalog) -> BTreeMap<usize, String> {
    let list = List::<2>::read(catalog, "classes.txt", "a class's number and its name", BELONGS);
    let mut names = BTreeMap::new();
    for line in &list.lines {
        let Some(class) = list.number(catalog, line, 0) else { continue };
        if names.insert(class, line.fields[1].clone()).is_some() {
            list.bad(catalog, line.number, format!("class {class} is listed before"));
        }
    }
    names
}

/// The class of each image.
fn labels(catalog: &mut Catalog, classes: &BTreeMap<usize, String>) -> BTreeMap<String, usize> {
    let list = List::<2>::read(
        catalog,
        "image_class_labels.txt",
        "an image's number and that of its class in classes.txt",
        BELONGS,
    );
    let mut labels = BTreeMap::new();
    for line in &list.lines {
        let Some(class) = list.number(catalog, line, 1) else { continue };
        if !classes.contains_key(&class) && !classes.is_empty() {
            list.bad(catalog, line.number, format!("class {class} is not in classes.txt"));
        } else if labels.insert(line.fields[0].clone(), class).is_some() {
            list.bad(catalog, line.number, format!("image {} is listed before", printable(&line.fields[0])));
        }
    }
    labels
}

/// Whether these are all images of CUB-200-2011.
pub(crate) fn is_complete(catalog: &Catalog) -> bool {
    (catalog.train.len(), catalog.test.len()) == WHOLE
}
