//! The datasets, and how they are loaded.

pub(crate) mod broken;
pub mod cars196;
pub(crate) mod catalog;
pub(crate) mod cifar;
pub mod cifar10;
pub mod cifar100;
mod cifar_files;
mod cifar_pickle;
mod class_disjoint;
pub(crate) mod class_folders;
pub mod cub200;
pub mod cuhk03;
pub(crate) mod dataset_folder;
pub mod folder;
pub(crate) mod image_file;
mod image_files;
mod layout;
mod list_file;
mod listed_images;
mod load;
pub mod market1501;
mod name;
mod numpy_array;
pub mod omniglot;
mod options;
mod outlines;
mod person_files;
pub mod shapes;
pub mod slim;
pub mod sop;
mod split_decoder;
mod split_names;
mod splits;
pub mod stl10;
mod test_classes;
pub mod tiny;
mod tree;

pub use dataset_folder::expect_folder;
pub use load::load;
pub use name::DatasetName;
pub use options::{LoadOptions, Progress};
pub use splits::Splits;
pub use test_classes::TestClasses;

pub use crate::decoding::DEFAULT_MAX_PIXELS;
pub use crate::transforms::Normalization;
