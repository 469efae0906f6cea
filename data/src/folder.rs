//! Image folders: any dataset whose classes are folders of image files. SlimageNet64 (Antoniou et al. 2020) is one.
//!
//! In the dataset's folder are
//!
//! - `train/` and `test/` (or else `val/`) with a folder for each class, or
//! - `train/` alone, or the class folders themselves: then the last fifth of the images of each class, sorted by name and
//!   rounded down, is the test split, or
//! - images only, with no folder of a class: then all of them are the training split, of the one class `unlabeled`, and
//!   the test split is empty.
//!
//! Classes are sorted by name. Images may lie deeper inside of a class folder; their order is that of their paths. Images
//! are files named `jpg`, `jpeg`, `png`, `bmp` or `webp` in upper or lower case; other files, hidden ones and folders
//! without images do not count. Images of any size are resized by their shorter side and cut out in the middle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::catalog::{Catalog, Entry, Listing, images_below};
use crate::dataset::{LoadOptions, Normalization, Splits};
use crate::decoding;
use crate::error::DataError;

/// Height and width of the images where none is asked for.
pub const SIDE: usize = 64;

/// Channel statistics of ImageNet.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

/// What the images of SlimageNet64 are commonly normalised with.
pub const SLIM_NORMALIZATION: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

/// The class of images without one.
pub const UNLABELED: &str = "unlabeled";

pub(crate) const SLIM_FOLDER: &str = "SlimageNet64";
/// Classes, and images a class, of the whole SlimageNet64.
pub(crate) const WHOLE_SLIM: (usize, usize) = (1000, 200);
const EXPECTED: &str = "train/CLASS/ and test/CLASS/ (or val/CLASS/) with images, class folders, or images";
const ADVICE: &str = "images are jpg, jpeg, png, bmp or webp files";
const SLIM_ADVICE: &str = "download and unpack it from https://zenodo.org/record/3672132";
/// One image of so many is for the test where there is no test split.
const HELD_OUT: usize = 5;

/// Loads the images in a folder.
///
/// # Errors
/// If there are none, the folders do not make up a dataset, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "folder", folder: "train", advice: ADVICE })?;
    load_from(dir.to_path_buf(), dir, "folder", ADVICE, options)
}

/// Loads SlimageNet64: 1000 classes of 200 images, from its folder `SlimageNet64` or the folder that holds it.
///
/// # Errors
/// As [`load`].
pub fn load_slim(options: &LoadOptions) -> Result<Splits, DataError> {
    let needed = DataError::FolderNeeded { dataset: "slim", folder: SLIM_FOLDER, advice: SLIM_ADVICE };
    let dir = options.dir.ok_or(needed)?;
    load_from(find_slim(dir), dir, "slim", SLIM_ADVICE, options)
}

/// `SlimageNet64` in a folder, or else the folder itself.
pub(crate) fn find_slim(dir: &Path) -> PathBuf {
    let inside = dir.join(SLIM_FOLDER);
    if inside.is_dir() { inside } else { dir.to_path_buf() }
}

fn load_from(
    root: PathBuf,
    dir: &Path,
    dataset: &'static str,
    advice: &'static str,
    options: &LoadOptions,
) -> Result<Splits, DataError> {
    let catalog = if root.is_dir() { catalog(root) } else { Catalog::default() };
    if catalog.problems.is_empty() && catalog.train.is_empty() {
        return Err(DataError::NotFound { dataset, dir: dir.to_path_buf(), expected: EXPECTED, advice });
    }
    decoding::load(dataset, catalog, options.image_size.unwrap_or(SIDE), options)
}

/// The images of one split by class, or all under [`UNLABELED`] if there are no class folders.
type Classes = BTreeMap<String, Vec<String>>;

/// Finds the images of a folder.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    let mut catalog = Catalog::of(root);
    let top = Listing::of(&catalog.root, &mut catalog.problems);
    let has = |name: &str| top.folders.iter().any(|folder| folder == name);
    let mut train = if has("train") { classes(&mut catalog, "train") } else { Classes::new() };
    if train.is_empty() {
        train = classes(&mut catalog, "");
        let splits: Vec<&str> =
            ["train", "test", "val"].into_iter().filter(|split| train.contains_key(*split)).collect();
        if !splits.is_empty() {
            let path = catalog.root.join("train");
            let problem = format!("there are images in {}/ but none in train/", splits.join("/ and "));
            catalog.problem(path, problem, EXPECTED);
            return catalog;
        }
        return split_up(catalog, train);
    }
    for split in ["test", "val"].into_iter().filter(|split| has(split)) {
        let test = classes(&mut catalog, split);
        if test.keys().eq([UNLABELED]) && !train.keys().eq([UNLABELED]) {
            catalog.notes.push(format!("the images in {split}/ are in no class folders and are left out"));
        } else if !test.is_empty() {
            return with_test(catalog, split, train, test);
        }
    }
    split_up(catalog, train)
}

/// The images in the class folders of a folder (`""` is the root), without classes that have none.
fn classes(catalog: &mut Catalog, folder: &str) -> Classes {
    let path = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    let listing = Listing::of(&catalog.root.join(folder), &mut catalog.problems);
    let mut classes = Classes::new();
    for class in listing.folders {
        let images = images_below(&catalog.root, &path(&class), &mut catalog.problems);
        if images.is_empty() {
            catalog.notes.push(format!("the folder {} has no images and is no class", path(&class)));
        } else {
            classes.insert(class, images);
        }
    }
    if !classes.is_empty() && !listing.images.is_empty() {
        let (first, count) = (catalog.root.join(path(&listing.images[0])), listing.images.len());
        let problem = if count == 1 {
            "an image beside class folders is of no class".to_owned()
        } else {
            format!("{count} images beside class folders are of no class, this one is the first")
        };
        catalog.problem(first, problem, "images in the folder of their class");
    } else if !listing.images.is_empty() {
        classes.insert(UNLABELED.to_owned(), listing.images.iter().map(|image| path(image)).collect());
    }
    classes
}

fn with_test(mut catalog: Catalog, split: &str, train: Classes, mut test: Classes) -> Catalog {
    catalog.class_names = train.keys().cloned().collect();
    for (place, (class, images)) in train.into_iter().enumerate() {
        let label = catalog.label(place);
        let entry = |name| Entry { name, label };
        catalog.train.extend(images.into_iter().map(entry));
        match test.remove(&class) {
            Some(images) => catalog.test.extend(images.into_iter().map(entry)),
            None => catalog.notes.push(format!("class {class} has no images in {split}/")),
        }
    }
    for class in test.into_keys() {
        let path = catalog.root.join(split).join(&class);
        let problem = format!("there are no training images of class {class}");
        catalog.problem(path, problem, "the same classes in train/");
    }
    catalog
}

/// Makes two splits of one, unless there are no labels.
fn split_up(mut catalog: Catalog, classes: Classes) -> Catalog {
    catalog.class_names = classes.keys().cloned().collect();
    let unlabeled = catalog.class_names == [UNLABELED];
    for (place, images) in classes.into_values().enumerate() {
        let label = catalog.label(place);
        let held_out = if unlabeled { 0 } else { images.len() / HELD_OUT };
        let mut entries: Vec<Entry> = images.into_iter().map(|name| Entry { name, label }).collect();
        catalog.test.extend(entries.drain(entries.len() - held_out..));
        catalog.train.extend(entries);
    }
    let note = if unlabeled {
        "the images are in no class folders: they are for training without labels, and there is no test split"
    } else {
        "there is no test split: the last fifth of each class is held out for it"
    };
    if !catalog.train.is_empty() {
        catalog.notes.push(note.to_owned());
    }
    catalog
}
