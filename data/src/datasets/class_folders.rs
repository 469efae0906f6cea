//! Datasets whose classes are folders: the split and the class of each image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qare_printable::printable;

use super::catalog::{Catalog, Entry, UNLABELED};
use super::image_files;
use super::layout::{Doubt, Layout, decide};
use super::options::LoadOptions;
use super::splits::Splits;
use super::tree::Folder;
use crate::error::{DataError, listed};

/// Height and width of the images if [`LoadOptions::image_size`] is not set.
pub const SIDE: usize = 64;

const EXPECTED: &str = "train/CLASS/ and test/CLASS/ (or val/CLASS/) with images, class folders, or images";
/// Without a test split, one image in this many is held out for testing.
const HELD_OUT: usize = 5;

/// Loads the class folders in `root`. An error about a missing dataset names `dir`.
pub(super) fn load_from(
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
    image_files::load(dataset, catalog, options.image_size.unwrap_or(SIDE), options)
}

/// The images of one split by class; all of them under [`UNLABELED`] if there are no class folders.
type Classes = BTreeMap<String, Vec<String>>;

/// The catalog of the images in a folder.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    let mut tree = Folder::scan(&root);
    let mut catalog = Catalog::of(root);
    catalog.problems = tree.take_problems();
    match decide(&tree) {
        Err(Doubt { path, problem, expected }) => {
            let path = if path.is_empty() { catalog.root.clone() } else { catalog.root.join(path) };
            catalog.problem(path, problem, expected);
        }
        Ok(decision) => {
            catalog.notes = decision.notes;
            match decision.layout {
                Layout::Empty => {}
                Layout::Flat(folder) => split_up(&mut catalog, flat(folder)),
                Layout::Classes { classes, unlabeled } => {
                    catalog.note_empty_classes(decision.at);
                    split_up(
                        &mut catalog,
                        classes.iter().map(|class| (class.name.clone(), class.all_images())).collect(),
                    );
                    without_labels(&mut catalog, unlabeled);
                }
                Layout::Splits { train, test, unlabeled } => {
                    let classes = classes(&mut catalog, train);
                    match test {
                        Some(test) => with_test(&mut catalog, test, classes),
                        None => split_up(&mut catalog, classes),
                    }
                    without_labels(&mut catalog, unlabeled);
                }
            }
        }
    }
    if catalog.root.join("wnids.txt").is_file() {
        catalog.notes.push(
            "wnids.txt is a file of tiny-ImageNet, whose test images `--dataset tiny` knows the classes of".into(),
        );
    }
    catalog.note_left_out(&tree, |_| false);
    catalog
}

/// The images in the class folders of a split. Classes without images are left out.
fn classes(catalog: &mut Catalog, split: &Folder) -> Classes {
    catalog.note_empty_classes(split);
    if !split.has_folders() {
        return flat(split);
    }
    split.with_images().map(|class| (class.name.clone(), class.all_images())).collect()
}

fn flat(folder: &Folder) -> Classes {
    [(UNLABELED.to_owned(), folder.all_images())].into()
}

fn without_labels(catalog: &mut Catalog, folder: Option<&Folder>) {
    let images = folder.map(Folder::all_images).unwrap_or_default();
    catalog.unlabeled = images.into_iter().map(|name| Entry { name, label: 0 }).collect();
}

fn with_test(catalog: &mut Catalog, folder: &Folder, train: Classes) {
    let labeled = folder.has_folders();
    let mut test = classes(catalog, folder);
    catalog.train_labeled = !train.keys().eq([UNLABELED]) || labeled;
    catalog.test_labeled = labeled;
    if !labeled {
        let images = test.remove(UNLABELED).unwrap_or_default();
        catalog.test = images.into_iter().map(|name| Entry { name, label: 0 }).collect();
    }
    catalog.class_names = train.keys().cloned().collect();
    same_but_for_case(catalog);
    for (place, (class, images)) in train.into_iter().enumerate() {
        let label = catalog.label(place);
        let entry = |name| Entry { name, label };
        catalog.train.extend(images.into_iter().map(entry));
        match test.remove(&class) {
            Some(images) => catalog.test.extend(images.into_iter().map(entry)),
            None if labeled => {
                catalog.notes.push(format!("class {} has no images in {}", printable(&class), folder.shown()));
            }
            None => {}
        }
    }
    for class in test.into_keys() {
        let path = catalog.root.join(&folder.path).join(&class);
        let like = catalog.class_names.iter().find(|name| name.to_lowercase() == class.to_lowercase());
        let shown = printable(&class);
        let problem = match like {
            Some(like) => format!("there are no training images of class {shown}, but of {}", printable(like)),
            None => format!("there are no training images of class {shown}"),
        };
        catalog.problem(path, problem, "the same classes in the training split");
    }
}

/// Holds out the test split from the training split, unless the images have no labels.
fn split_up(catalog: &mut Catalog, classes: Classes) {
    catalog.class_names = classes.keys().cloned().collect();
    same_but_for_case(catalog);
    let unlabeled = catalog.class_names == [UNLABELED];
    (catalog.train_labeled, catalog.test_labeled) = (!unlabeled, !unlabeled);
    let mut small = Vec::new();
    for (place, (class, images)) in classes.into_iter().enumerate() {
        let label = catalog.label(place);
        if images.len() < HELD_OUT {
            small.push(class);
        }
        let held_out = if unlabeled { 0 } else { images.len() / HELD_OUT };
        let mut entries: Vec<Entry> = images.into_iter().map(|name| Entry { name, label }).collect();
        catalog.test.extend(entries.drain(entries.len() - held_out..));
        catalog.train.extend(entries);
    }
    let note = if unlabeled {
        "the images are in no class folders: they are for training without labels, and there is no test split"
            .to_owned()
    } else if catalog.test.is_empty() {
        "there is no test split, and no class has the five images of which one would be held out for it".to_owned()
    } else if small.is_empty() {
        "there is no test split: the last fifth of each class is held out for it".to_owned()
    } else {
        format!(
            "there is no test split: the last fifth of each class is held out for it; classes of fewer than five images are \
             not tested: {}",
            listed(&small)
        )
    };
    if !catalog.train.is_empty() {
        catalog.notes.push(note);
    }
}

/// Notes classes whose names differ only in case.
fn same_but_for_case(catalog: &mut Catalog) {
    let mut known: BTreeMap<String, &String> = BTreeMap::new();
    let mut notes = Vec::new();
    for class in &catalog.class_names {
        if let Some(other) = known.insert(class.to_lowercase(), class) {
            let (other, class) = (printable(other), printable(class));
            notes.push(format!("the classes {other} and {class} differ only in the case of letters"));
        }
    }
    catalog.notes.extend(notes);
}
