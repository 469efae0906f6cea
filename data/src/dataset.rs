//! The datasets by name, and how to load them.

use std::fmt::{self, Display};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, counted};
use crate::images::ImageSet;
use crate::{cifar10, cifar100, folder, shapes, stl10, tiny};

/// A dataset this crate can load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    /// CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test photographs of 10 classes, see [`crate::cifar10`].
    Cifar10,
    /// CIFAR-100 (Krizhevsky 2009): as many photographs of 100 classes, see [`crate::cifar100`].
    Cifar100,
    /// CIFAR-100 with its 20 superclasses for classes.
    Supercifar100,
    /// tiny-ImageNet (Le and Yang 2015): 100,000 training and 10,000 test photographs of 200 classes, 64×64, see
    /// [`crate::tiny`].
    Tiny,
    /// STL-10 (Coates et al. 2011): 5,000 training and 8,000 test photographs of 10 classes and 100,000 without labels,
    /// 96×96, see [`crate::stl10`].
    Stl10,
    /// SlimageNet64 (Antoniou et al. 2020): 200 photographs of each of the 1000 classes of ImageNet, 64×64, see
    /// [`crate::folder`].
    Slim,
    /// Any folder of images, see [`crate::folder`].
    Folder,
    /// Ten drawn shapes under many nuisances: 5,000 training and 1,000 test images, see [`crate::shapes`].
    Shapes,
}

/// The most pixels an image may have where no other limit is given: Pillow refuses images from there on, too.
pub const DEFAULT_MAX_PIXELS: u64 = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// The parts a dataset comes in.
#[derive(Debug)]
pub struct Splits {
    /// For training.
    pub train: ImageSet,
    /// For the final test. Its images may be without labels, see [`ImageSet::is_labeled`].
    pub test: ImageSet,
    /// Images without labels (all of them have label 0), if the dataset has such a split.
    pub unlabeled: Option<ImageSet>,
    /// What serves as which split and why, and what was left out, in short sentences.
    pub notes: Vec<String>,
    /// The images that were left out because they cannot be decoded, if [`LoadOptions::skip_broken`] allows that.
    pub skipped: Vec<DataError>,
}

impl Splits {
    /// Two splits, and nothing to say about them.
    pub fn new(train: ImageSet, test: ImageSet) -> Self {
        Self { train, test, unlabeled: None, notes: Vec::new(), skipped: Vec::new() }
    }

    /// What they hold, in one line: "train: 40 images of 2 classes; test: 7 images without labels".
    pub fn describe(&self) -> String {
        let split = |name: &str, set: &ImageSet| {
            let images = counted(set.len(), "image");
            match set.is_labeled() {
                _ if set.is_empty() => format!("{name}: none"),
                true => format!("{name}: {images} of {}", counted(set.classes(), "class")),
                false => format!("{name}: {images} without labels"),
            }
        };
        let unlabeled = self.unlabeled.iter().map(|set| split("unlabeled", set));
        let all: Vec<String> =
            [split("train", &self.train), split("test", &self.test)].into_iter().chain(unlabeled).collect();
        all.join("; ")
    }

    /// The images for training without labels: the unlabeled ones, or else those of the training split.
    pub fn pretraining(&self) -> &ImageSet {
        self.unlabeled.as_ref().unwrap_or(&self.train)
    }
}

/// Told how many images have been decoded, and of how many. Any thread may call it, and the calls may come out of order.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What [`load`] needs to know besides the name.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The folder with the dataset's files: the one its archive was unpacked in, or the one that the archive itself makes.
    /// Datasets that need no files ignore it.
    pub dir: Option<&'a Path>,
    /// Height and width of the images in pixels, if not the dataset's own. Only datasets of image files (`tiny`, `slim`,
    /// `folder`) can be read in another size.
    pub image_size: Option<usize>,
    /// Called after each image file that is decoded.
    pub progress: Option<Progress<'a>>,
    /// Bytes of decoded pixels a split may take in memory, 1 GiB by default. A larger one is kept in a file in the folder
    /// `.qare-cache` of the dataset, where the next run finds it. If that cannot be written, it is a temporary file, and
    /// memory if that cannot be written either.
    pub memory_limit: usize,
    /// Whether image files that cannot be decoded are left out ([`Splits::skipped`] names them) instead of being an error.
    pub skip_broken: bool,
    /// The most pixels an image file may have, [`DEFAULT_MAX_PIXELS`] by default. One that announces more is broken, and no
    /// memory is taken for it.
    pub max_pixels: u64,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            dir: None,
            image_size: None,
            progress: None,
            memory_limit: 1 << 30,
            skip_broken: false,
            max_pixels: DEFAULT_MAX_PIXELS,
        }
    }
}

/// Mean and standard deviation of each colour channel, on the scale where black is 0 and white is 1.
///
/// A channel value `v` becomes `(v - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Subtracted from red, green and blue.
    pub mean: [f32; 3],
    /// What red, green and blue are then divided by.
    pub std: [f32; 3],
}

impl DatasetName {
    /// Every dataset.
    pub const ALL: &[Self] = &[
        Self::Cifar10,
        Self::Cifar100,
        Self::Supercifar100,
        Self::Tiny,
        Self::Stl10,
        Self::Slim,
        Self::Folder,
        Self::Shapes,
    ];

    /// The name on the command line and in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Supercifar100 => "supercifar100",
            Self::Tiny => "tiny",
            Self::Stl10 => "stl10",
            Self::Slim => "slim",
            Self::Folder => "folder",
            Self::Shapes => "shapes",
        }
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        match self {
            Self::Cifar10 => "60,000 photographs of 10 classes, 32×32",
            Self::Cifar100 => "60,000 photographs of 100 classes, 32×32",
            Self::Supercifar100 => "those of CIFAR-100 in 20 superclasses, 32×32",
            Self::Tiny => "tiny-ImageNet: 110,000 photographs of 200 classes, 64×64",
            Self::Stl10 => "13,000 photographs of 10 classes and 100,000 without labels, 96×96",
            Self::Slim => "SlimageNet64: 200,000 photographs of 1,000 classes, 64×64",
            Self::Folder => "any folder of images, a folder inside it for each class",
            Self::Shapes => "drawn at start, without any files: 6,000 images of 10 shapes, 32×32",
        }
    }

    /// Height and width of its images in pixels, where the dataset fixes them.
    pub fn side(self) -> Option<usize> {
        match self {
            Self::Cifar10 | Self::Cifar100 | Self::Supercifar100 | Self::Shapes => Some(32),
            Self::Tiny | Self::Slim => Some(64),
            Self::Stl10 => Some(96),
            Self::Folder => None,
        }
    }

    /// The channel statistics its images are normalised with.
    pub fn normalization(self) -> Normalization {
        match self {
            Self::Cifar10 => cifar10::NORMALIZATION,
            Self::Cifar100 | Self::Supercifar100 => cifar100::NORMALIZATION,
            Self::Tiny => tiny::NORMALIZATION,
            Self::Stl10 => stl10::NORMALIZATION,
            Self::Slim => folder::SLIM_NORMALIZATION,
            Self::Folder => folder::NORMALIZATION,
            Self::Shapes => shapes::NORMALIZATION,
        }
    }

    /// Whether it is read from files (then [`load`] needs their folder).
    pub fn needs_files(self) -> bool {
        self != Self::Shapes
    }
}

impl Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DatasetName {
    type Err = DataError;

    fn from_str(name: &str) -> Result<Self, DataError> {
        Self::ALL.iter().copied().find(|dataset| dataset.as_str() == name).ok_or_else(|| DataError::UnknownDataset {
            name: name.to_owned(),
            known: Self::ALL.iter().map(|dataset| dataset.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// Loads a dataset.
///
/// # Errors
/// If the files are missing, unreadable or damaged, or the dataset cannot have the size that is asked for.
pub fn load(name: DatasetName, options: &LoadOptions) -> Result<Splits, DataError> {
    let side = match name {
        DatasetName::Cifar10 | DatasetName::Cifar100 | DatasetName::Supercifar100 => Some(cifar10::SIDE),
        DatasetName::Stl10 => Some(stl10::SIDE),
        DatasetName::Shapes => Some(shapes::SIDE),
        DatasetName::Tiny | DatasetName::Slim | DatasetName::Folder => None,
    };
    check_size(name, side, options.image_size)?;
    match name {
        DatasetName::Cifar10 => cifar10::load(options.dir),
        DatasetName::Cifar100 => cifar100::load(options.dir),
        DatasetName::Supercifar100 => cifar100::load_coarse(options.dir),
        DatasetName::Tiny => tiny::load(options),
        DatasetName::Stl10 => stl10::load(options.dir),
        DatasetName::Slim => folder::load_slim(options),
        DatasetName::Folder => folder::load(options),
        DatasetName::Shapes => Ok(shapes::draw()),
    }
}

/// Whether a dataset whose images have this side, or any side, can have the one that is asked for.
fn check_size(name: DatasetName, side: Option<usize>, size: Option<usize>) -> Result<(), DataError> {
    let expected = match (side, size) {
        (_, None) => return Ok(()),
        (Some(side), Some(size)) if size != side => format!("{side}, the size of its images"),
        (None, Some(size)) if !(1..=MAX_SIDE).contains(&size) => format!("1 to {MAX_SIDE}"),
        _ => return Ok(()),
    };
    Err(DataError::ImageSize { dataset: name.as_str(), size: size.unwrap_or_default(), expected })
}

/// The largest images that can be asked for.
const MAX_SIDE: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for &name in DatasetName::ALL {
            assert_eq!(name.to_string().parse::<DatasetName>().unwrap(), name);
            let json = serde_json::to_string(&name).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<DatasetName>(&json).unwrap(), name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "cifar11".parse::<DatasetName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown dataset `cifar11`; known datasets: cifar10, cifar100, supercifar100, tiny, stl10, slim, folder, shapes"
        );
    }

    #[test]
    fn a_dataset_in_files_asks_for_its_folder() {
        for &name in DatasetName::ALL.iter().filter(|name| name.needs_files()) {
            assert!(matches!(load(name, &LoadOptions::default()), Err(DataError::FolderNeeded { .. })));
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_an_error() {
        let text = |name, size| {
            let options = LoadOptions { image_size: Some(size), ..Default::default() };
            load(name, &options).unwrap_err().to_string()
        };
        assert_eq!(
            text(DatasetName::Shapes, 64),
            "dataset `shapes` cannot have images of 64x64: expected 32, the size of its images"
        );
        assert!(text(DatasetName::Stl10, 64).contains("expected 96"));
        assert!(text(DatasetName::Folder, 0).contains("expected 1 to 2048"));
        let options = LoadOptions { image_size: Some(32), ..Default::default() };
        assert_eq!(load(DatasetName::Shapes, &options).unwrap().train.side(), 32);
    }
}
