//! Datasets whose classes are folders: the split and the class of each image.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use qare_printable::printable;

use super::catalog::{Catalog, Entry, UNLABELED};
use super::class_disjoint;
use super::image_files;
use super::layout::{Doubt, Layout, decide};
use super::options::LoadOptions;
use super::splits::Splits;
use super::test_classes::TestClasses;
use super::tree::Folder;
use crate::error::{DataError, counted, listed};

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
    let catalog = if root.is_dir() { catalog(root, options.test_classes) } else { Catalog::default() };
    if catalog.problems.is_empty() && catalog.train.is_empty() {
        return Err(DataError::NotFound { dataset, dir: dir.to_path_buf(), expected: EXPECTED, advice });
    }
    image_files::load(dataset, catalog, options.image_size.unwrap_or(SIDE), options)
}

/// The images of one split by class; all of them under [`UNLABELED`] if there are no class folders.
type Classes = BTreeMap<String, Vec<String>>;

/// The catalog of the images in a folder. With `test_classes`, the splits divide the classes instead of the images of each class.
pub(crate) fn catalog(root: PathBuf, test_classes: Option<&TestClasses>) -> Catalog {
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
                layout if let Some(test_classes) = test_classes => {
                    let unlabeled = by_class(&mut catalog, decision.at, layout, test_classes);
                    without_labels(&mut catalog, unlabeled);
                }
                Layout::Flat(folder) => split_up(&mut catalog, flat(folder)),
                Layout::Classes { classes, unlabeled } => {
                    catalog.note_empty_classes(decision.at);
                    split_up(&mut catalog, images_of(classes));
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
    images_of(split.with_images())
}

/// The images in class folders.
fn images_of<'a>(classes: impl IntoIterator<Item = &'a Folder>) -> Classes {
    classes.into_iter().map(|class| (class.name.clone(), class.all_images())).collect()
}

/// Divides the classes of a layout into splits, and returns its folder of unlabelled images. The images of all splits with class
/// folders are pooled.
fn by_class<'a>(
    catalog: &mut Catalog,
    at: &Folder,
    layout: Layout<'a>,
    test_classes: &TestClasses,
) -> Option<&'a Folder> {
    let (splits, unlabeled) = match layout {
        Layout::Classes { unlabeled, .. } => (Vec::new(), unlabeled),
        Layout::Splits { train, test, unlabeled } => ([train].into_iter().chain(test).collect(), unlabeled),
        Layout::Flat(_) | Layout::Empty => (Vec::new(), None),
    };
    let mut pooled = Classes::new();
    let mut pool = |classes: Classes| {
        classes.into_iter().for_each(|(class, images)| pooled.entry(class).or_default().extend(images));
    };
    match layout {
        Layout::Classes { classes, .. } => {
            catalog.note_empty_classes(at);
            pool(images_of(classes));
        }
        _ => {
            let with_classes: Vec<&Folder> = splits.iter().filter(|split| split.has_folders()).copied().collect();
            with_classes.iter().for_each(|split| pool(classes(catalog, split)));
            for split in splits.iter().filter(|split| !split.has_folders() && !with_classes.is_empty()) {
                let images = counted(split.count, "image");
                catalog.notes.push(format!("{} has no class folders and is left out ({images})", split.shown()));
            }
            if let [first, second, ..] = with_classes[..] {
                let (first, second) = (first.shown(), second.shown());
                catalog
                    .notes
                    .push(format!("test_classes divides the images of {first} and {second} together, by class"));
            }
        }
    }
    if pooled.is_empty() {
        let problem = "the images are in no class folders, and test_classes divides classes".to_owned();
        catalog.problem(catalog.root.clone(), problem, "a folder for each class, or no test_classes");
        return unlabeled;
    }
    let names: Vec<String> = pooled.keys().cloned().collect();
    match test_classes.chosen(&names) {
        Err(problem) => catalog.problems.push(problem),
        Ok(tested) => {
            let (mut train, mut test) = (class_disjoint::Classes::new(), class_disjoint::Classes::new());
            for ((class, images), tested) in pooled.into_iter().zip(tested) {
                let entries = images.into_iter().map(|name| Entry::new(name, 0)).collect();
                if tested { &mut test } else { &mut train }.insert(class, entries);
            }
            class_disjoint::set(catalog, train, test);
            catalog.notes.push(class_disjoint::said_of(catalog));
        }
    }
    unlabeled
}

fn flat(folder: &Folder) -> Classes {
    [(UNLABELED.to_owned(), folder.all_images())].into()
}

fn without_labels(catalog: &mut Catalog, folder: Option<&Folder>) {
    let images = folder.map(Folder::all_images).unwrap_or_default();
    catalog.unlabeled = images.into_iter().map(|name| Entry::new(name, 0)).collect();
}

fn with_test(catalog: &mut Catalog, folder: &Folder, train: Classes) {
    let labeled = folder.has_folders();
    let mut test = classes(catalog, folder);
    catalog.train_labeled = !train.keys().eq([UNLABELED]) || labeled;
    catalog.test_labeled = labeled;
    if !labeled {
        let images = test.remove(UNLABELED).unwrap_or_default();
        catalog.test = images.into_iter().map(|name| Entry::new(name, 0)).collect();
    }
    catalog.class_names = train.keys().cloned().collect();
    same_but_for_case(catalog);
    for (place, (class, images)) in train.into_iter().enumerate() {
        let label = catalog.label(place);
        let entry = |name| Entry::new(name, label);
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
        let mut entries: Vec<Entry> = images.into_iter().map(|name| Entry::new(name, label)).collect();
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
