//! The datasets by name, and how to load them.

use std::fmt::{self, Display};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::DataError;
use crate::images::ImageSet;
use crate::{cifar10, shapes};

/// A dataset this crate can load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    /// CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test photographs, read from its official files.
    Cifar10,
    /// Ten drawn shapes under many nuisances: 5,000 training and 1,000 test images, see [`crate::shapes`].
    Shapes,
}

/// The two parts every dataset comes in.
#[derive(Clone, Debug)]
pub struct Splits {
    /// For training.
    pub train: ImageSet,
    /// For the final test.
    pub test: ImageSet,
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
    /// Every dataset, in alphabetical order.
    pub const ALL: &[Self] = &[Self::Cifar10, Self::Shapes];

    /// The name on the command line and in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Shapes => "shapes",
        }
    }

    /// Height and width of its images in pixels.
    pub fn side(self) -> usize {
        match self {
            Self::Cifar10 => cifar10::SIDE,
            Self::Shapes => shapes::SIDE,
        }
    }

    /// The number of its classes.
    pub fn classes(self) -> usize {
        match self {
            Self::Cifar10 => cifar10::CLASS_NAMES.len(),
            Self::Shapes => shapes::CLASS_NAMES.len(),
        }
    }

    /// The channel statistics its images are normalised with.
    pub fn normalization(self) -> Normalization {
        match self {
            Self::Cifar10 => cifar10::NORMALIZATION,
            Self::Shapes => shapes::NORMALIZATION,
        }
    }

    /// Whether it is read from files (then [`load`] needs their folder).
    pub fn needs_files(self) -> bool {
        match self {
            Self::Cifar10 => true,
            Self::Shapes => false,
        }
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

/// Loads a dataset into memory.
///
/// `dir` is the folder with the dataset's files: the one its archive was unpacked in, or the one that the archive
/// itself makes. Datasets that need no files ignore it.
///
/// # Errors
/// If the files are missing, unreadable or damaged.
pub fn load(name: DatasetName, dir: Option<&Path>) -> Result<Splits, DataError> {
    match name {
        DatasetName::Cifar10 => cifar10::load(dir),
        DatasetName::Shapes => Ok(shapes::draw()),
    }
}

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
        assert_eq!(error.to_string(), "unknown dataset `cifar11`; known datasets: cifar10, shapes");
    }

    #[test]
    fn a_dataset_in_files_asks_for_its_folder() {
        for &name in DatasetName::ALL.iter().filter(|name| name.needs_files()) {
            assert!(matches!(load(name, None), Err(DataError::FolderNeeded { .. })));
        }
    }
}
