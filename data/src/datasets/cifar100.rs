//! CIFAR-100 (Krizhevsky 2009) from its official files, in the binary version (`cifar-100-binary/`) or the python version
//! (`cifar-100-python/`). Every image has a fine label, one of 100 classes, and a coarse label, one of 20 superclasses of five
//! classes each.

use std::fs;
use std::path::Path;

use super::cifar::{self, Archive, Form, LabelKind, Layout};
use super::cifar_pickle;
use super::splits::Splits;
use crate::error::DataError;
use crate::transforms::Normalization;

/// Height and width of an image in pixels.
pub const SIDE: usize = cifar::SIDE;

/// Channel statistics of the training images.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.507, 0.487, 0.441], std: [0.267, 0.256, 0.276] };

/// The names of the 20 superclasses, indexed by label.
#[rustfmt::skip]
pub const COARSE_NAMES: [&str; 20] = [
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
    "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
    "large_man-made_outdoor_things", "large_natural_outdoor_scenes", "large_omnivores_and_herbivores",
    "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals", "trees", "vehicles_1",
    "vehicles_2",
];

/// The names of the 100 classes, indexed by label.
#[rustfmt::skip]
pub const FINE_NAMES: [&str; 100] = [
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man", "maple_tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak_tree", "orange", "orchid", "otter", "palm_tree", "pear", "pickup_truck", "pine_tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor",
    "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
];

pub(crate) const ARCHIVE: Archive = Archive {
    title: "CIFAR-100",
    layouts: [
        Layout {
            form: Form::Binary,
            folder: "cifar-100-binary",
            train: &["train.bin"],
            test: "test.bin",
            images: (50_000, 10_000),
            expected: "the binary version of CIFAR-100 is train.bin and test.bin",
        },
        Layout {
            form: Form::Pickle,
            folder: "cifar-100-python",
            train: &["train"],
            test: "test",
            images: (50_000, 10_000),
            expected: "the python version of CIFAR-100 is the files train and test",
        },
    ],
    labels: &[LabelKind { entry: "coarse_labels", classes: 20 }, LabelKind { entry: "fine_labels", classes: 100 }],
    expected: "a folder cifar-100-binary or cifar-100-python",
    advice: "download and unpack https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
};

/// Loads CIFAR-100 with its fine labels from `dir`: `cifar-100-binary/`, `cifar-100-python/`, or the folder that contains one of
/// them.
///
/// # Errors
/// If the folder or a file is missing, a file is unreadable or has the wrong size, or a label is out of range.
pub fn load(dir: Option<&Path>) -> Result<Splits, DataError> {
    ARCHIVE.load("cifar100", dir, 1, |folder, form| names(folder, form, "fine_label_names", &FINE_NAMES))
}

/// Loads CIFAR-100 with its coarse labels.
///
/// # Errors
/// As [`load`].
pub fn load_coarse(dir: Option<&Path>) -> Result<Splits, DataError> {
    ARCHIVE.load("supercifar100", dir, 0, |folder, form| names(folder, form, "coarse_label_names", &COARSE_NAMES))
}

/// The class names in the archive, or `known` if the archive has no such file.
pub(crate) fn names(folder: &Path, form: Form, list: &str, known: &[&str]) -> Result<Vec<String>, DataError> {
    let path = match form {
        Form::Binary => folder.join(format!("{list}.txt")),
        Form::Pickle => folder.join("meta"),
    };
    if !path.is_file() {
        return Ok(known.iter().map(|&name| name.to_owned()).collect());
    }
    let names: Vec<String> = match form {
        Form::Binary => {
            let text = fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
        }
        Form::Pickle => return cifar_pickle::read_names(&path, list, known.len(), &ARCHIVE),
    };
    if names.len() != known.len() {
        return Err(DataError::BadList {
            path,
            line: 0,
            problem: format!("{} class names, but there are {} classes", names.len(), known.len()),
            expected: "the list of the archive; unpack it again, or delete it and the known names are used",
        });
    }
    Ok(names)
}
