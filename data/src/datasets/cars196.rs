//! Stanford Cars (Krause et al. 2013): 16,185 photographs of 196 models of cars, as published or sorted into a folder for each model.
//!
//! As published, with the classes in MATLAB files:
//!
//! - `car_ims/` and `cars_annos.mat`, all images in one folder; or
//! - `cars_train/` and `cars_test/`, with `cars_meta.mat` and `cars_train_annos.mat` in `devkit/`, and
//!   `cars_test_annos_withlabels.mat` there or beside it.
//!
//! As usual in metric learning (Oh Song et al. 2016), the images of the first 98 classes are the training split, and those of the other
//! 98 are the test split, also if they come in two folders, which have images of all classes each. The photographs are whole: the boxes
//! around the cars are not used.

use std::path::{Path, PathBuf};

use super::cars_annotations::{self, Published};
use super::catalog::Catalog;
use super::options::LoadOptions;
use super::splits::Splits;
use super::test_classes::TestClasses;
use super::{class_folders, image_files};
use crate::error::{DataError, counted};

/// Number of classes of the dataset.
pub(super) const CLASSES: usize = 196;
/// Number of classes that are trained on.
pub(super) const TRAINED: usize = 98;
/// Number of images of the complete dataset.
const WHOLE: usize = 16_185;
/// Names that the folder of the dataset has in common copies.
const FOLDERS: [&str; 4] = ["cars196", "CARS196", "stanford_cars", "StanfordCars"];
const ADVICE: &str = "cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat, or car_ims.tgz and cars_annos.mat; a copy with \
                      class folders will do, too";
const EXPECTED: &str = "car_ims/ with cars_annos.mat, cars_train/ and cars_test/ with devkit/, 196 class folders, or train/ and test/ with them";

/// Loads Stanford Cars from a folder with its files as published, with its 196 class folders, or with `train/` and `test/` that hold
/// them.
///
/// # Errors
/// If a file is missing or damaged, there are other than 196 classes, the folders are ambiguous, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "cars196", folder: "cars196", advice: ADVICE })?;
    let catalog = catalog(find(dir));
    if catalog.problems.is_empty() && catalog.train.is_empty() {
        return Err(DataError::NotFound {
            dataset: "cars196",
            dir: dir.to_path_buf(),
            expected: EXPECTED,
            advice: ADVICE,
        });
    }
    image_files::load("cars196", catalog, options.image_size.unwrap_or(class_folders::SIDE), options)
}

/// The dataset's folder in `dir`, or else `dir` itself.
pub(crate) fn find(dir: &Path) -> PathBuf {
    FOLDERS.iter().map(|name| dir.join(name)).find(|inside| inside.is_dir()).unwrap_or_else(|| dir.to_path_buf())
}

/// Whether a folder is named as that of the dataset, or has its annotations.
pub(crate) fn is_named(root: &Path) -> bool {
    root.file_name().is_some_and(|own| FOLDERS.iter().any(|name| own == *name)) || Published::find(root).is_some()
}

/// The catalog of the images.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    match Published::find(&root) {
        Some(published) => cars_annotations::catalog(root, &published),
        None => in_class_folders(root),
    }
}

fn in_class_folders(root: PathBuf) -> Catalog {
    // Half of 196 classes is 98, and of any other number it leaves some on either side, to be counted.
    let mut catalog = class_folders::catalog(root, Some(&TestClasses::Fraction(0.5)));
    let mut classes = catalog.class_names.len() + catalog.test_class_names.as_ref().map_or(0, Vec::len);
    if let [DataError::TestClasses { .. }] = catalog.problems[..] {
        catalog.problems.clear();
        classes = 1;
    }
    if catalog.problems.is_empty() && classes != 0 && classes != CLASSES {
        let problem = format!("it has {}", counted(classes, "class folder"));
        let expected = "the 196 of Stanford Cars; --dataset folder --test-classes divides any others";
        catalog.problem(catalog.root.clone(), problem, expected);
    }
    catalog
}

/// Whether these are all images of Stanford Cars.
pub(crate) fn is_complete(catalog: &Catalog) -> bool {
    catalog.train.len() + catalog.test.len() == WHOLE
}
