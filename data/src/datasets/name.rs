//! The datasets by name.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{cifar10, cifar100, folder, omniglot, shapes, slim, stl10, tiny};
use crate::error::DataError;
use crate::transforms::Normalization;

/// A dataset that this crate can load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatasetName {
    /// CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test photographs of 10 classes, see [`crate::datasets::cifar10`].
    Cifar10,
    /// CIFAR-100 (Krizhevsky 2009): 50,000 training and 10,000 test photographs of 100 classes, see
    /// [`crate::datasets::cifar100`].
    Cifar100,
    /// CIFAR-100 with its 20 superclasses as classes.
    Supercifar100,
    /// tiny-ImageNet (Le and Yang 2015): 100,000 training and 10,000 test photographs of 200 classes, 64×64, see
    /// [`crate::datasets::tiny`].
    Tiny,
    /// STL-10 (Coates et al. 2011): 5,000 training and 8,000 test photographs of 10 classes and 100,000 unlabelled ones,
    /// 96×96, see [`crate::datasets::stl10`].
    Stl10,
    /// SlimageNet64 (Antoniou et al. 2020): 200 photographs of each of the 1000 classes of ImageNet, 64×64, see
    /// [`crate::datasets::slim`].
    Slim,
    /// Omniglot (Lake et al. 2015): 1,623 handwritten characters of 50 alphabets, drawn by 20 people each, see
    /// [`crate::datasets::omniglot`].
    Omniglot,
    /// CUB-200-2011 (Wah et al. 2011): 11,788 photographs of 200 kinds of birds, half of them for testing, see
    /// [`crate::datasets::cub200`].
    Cub200,
    /// Stanford Cars (Krause et al. 2013): 16,185 photographs of 196 models, half of them for testing, see
    /// [`crate::datasets::cars196`].
    Cars196,
    /// Stanford Online Products (Oh Song et al. 2016): 120,053 photographs of 22,634 products, half of them for testing, see
    /// [`crate::datasets::sop`].
    Sop,
    /// Market-1501 (Zheng et al. 2015): photographs of 1,501 people from six cameras, half of them for testing, see
    /// [`crate::datasets::market1501`].
    Market1501,
    /// CUHK03 (Li et al. 2014): photographs of 1,467 people from pairs of cameras, 700 of them for testing, see
    /// [`crate::datasets::cuhk03`].
    Cuhk03,
    /// Any folder of images, see [`crate::datasets::folder`].
    Folder,
    /// Drawn images of ten shapes with many nuisances, 5,000 for training and 1,000 for testing, see
    /// [`crate::datasets::shapes`].
    Shapes,
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
        Self::Omniglot,
        Self::Cub200,
        Self::Cars196,
        Self::Sop,
        Self::Market1501,
        Self::Cuhk03,
        Self::Folder,
        Self::Shapes,
    ];

    /// The name on the command line and in recipes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Supercifar100 => "supercifar100",
            Self::Tiny => "tiny",
            Self::Stl10 => "stl10",
            Self::Slim => "slim",
            Self::Omniglot => "omniglot",
            Self::Cub200 => "cub200",
            Self::Cars196 => "cars196",
            Self::Sop => "sop",
            Self::Market1501 => "market1501",
            Self::Cuhk03 => "cuhk03",
            Self::Folder => "folder",
            Self::Shapes => "shapes",
        }
    }

    /// A short description.
    pub fn about(self) -> &'static str {
        match self {
            Self::Cifar10 => "60,000 photographs of 10 classes, 32×32",
            Self::Cifar100 => "60,000 photographs of 100 classes, 32×32",
            Self::Supercifar100 => "those of CIFAR-100 in 20 superclasses, 32×32",
            Self::Tiny => "tiny-ImageNet: 110,000 photographs of 200 classes, 64×64",
            Self::Stl10 => "13,000 photographs of 10 classes and 100,000 without labels, 96×96",
            Self::Slim => "SlimageNet64: 200,000 photographs of 1,000 classes, 64×64",
            Self::Omniglot => {
                "1,623 handwritten characters of 50 alphabets by 20 people each, 28×28, classes of their own in the test split"
            }
            Self::Cub200 => "CUB-200-2011: 11,788 photographs of 200 kinds of birds, the last 100 in the test split",
            Self::Cars196 => "Stanford Cars: 16,185 photographs of 196 models, the last 98 in the test split",
            Self::Sop => {
                "Stanford Online Products: 120,053 photographs of 22,634 products, half of them in the test split"
            }
            Self::Market1501 => {
                "Market-1501: photographs of 1,501 people from six cameras, queries and gallery of 750 of them"
            }
            Self::Cuhk03 => {
                "CUHK03: photographs of 1,467 people from pairs of cameras, queries and gallery of 700 of them"
            }
            Self::Folder => "any folder of images, a folder inside it for each class",
            Self::Shapes => "drawn at start, without any files: 6,000 images of 10 shapes, 32×32",
        }
    }

    /// Whether the test split has other classes than the training split, as for retrieval. A `folder` may be divided like this, and does not say so
    /// here.
    pub fn tests_on_other_classes(self) -> bool {
        matches!(self, Self::Omniglot | Self::Cub200 | Self::Cars196 | Self::Sop | Self::Market1501 | Self::Cuhk03)
    }

    /// Height and width of the images in pixels; `None` if the dataset does not fix them.
    pub fn side(self) -> Option<usize> {
        match self {
            Self::Cifar10 | Self::Cifar100 | Self::Supercifar100 | Self::Shapes => Some(32),
            Self::Tiny | Self::Slim => Some(64),
            Self::Stl10 => Some(96),
            Self::Omniglot => Some(omniglot::SIDE),
            Self::Cub200 | Self::Cars196 | Self::Sop | Self::Market1501 | Self::Cuhk03 | Self::Folder => None,
        }
    }

    /// The channel statistics for normalisation.
    pub fn normalization(self) -> Normalization {
        match self {
            Self::Cifar10 => cifar10::NORMALIZATION,
            Self::Cifar100 | Self::Supercifar100 => cifar100::NORMALIZATION,
            Self::Tiny => tiny::NORMALIZATION,
            Self::Stl10 => stl10::NORMALIZATION,
            Self::Slim => slim::NORMALIZATION,
            Self::Omniglot => omniglot::NORMALIZATION,
            // Those of ImageNet, as is usual for these.
            Self::Cub200 | Self::Cars196 | Self::Sop | Self::Market1501 | Self::Cuhk03 | Self::Folder => {
                folder::NORMALIZATION
            }
            Self::Shapes => shapes::NORMALIZATION,
        }
    }

    /// Whether images are brought to the size that is asked for, because the dataset is read from image files of any size.
    pub fn is_resizable(self) -> bool {
        !matches!(self, Self::Cifar10 | Self::Cifar100 | Self::Supercifar100 | Self::Stl10 | Self::Shapes)
    }

    /// Whether the images can have larger [sources](crate::ImageSet::source) that random crops are drawn from: photographs of any size.
    pub fn has_sources(self) -> bool {
        self.side().is_none()
    }

    /// Whether the dataset is read from files. Then [`load`](crate::load) needs their folder.
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
            "unknown dataset `cifar11`; known datasets: cifar10, cifar100, supercifar100, tiny, stl10, slim, \
             omniglot, cub200, cars196, sop, market1501, cuhk03, folder, shapes"
        );
    }
}
