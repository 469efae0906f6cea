//! The datasets, and how they are loaded.

pub(crate) mod broken;
pub(crate) mod catalog;
pub(crate) mod cifar;
pub mod cifar10;
pub mod cifar100;
mod cifar_files;
mod cifar_pickle;
pub(crate) mod class_folders;
pub(crate) mod dataset_folder;
pub mod folder;
pub(crate) mod image_file;
mod image_files;
mod layout;
mod load;
mod name;
mod numpy_array;
mod options;
mod outlines;
pub mod shapes;
pub mod slim;
mod split_decoder;
mod split_names;
mod splits;
pub mod stl10;
pub mod tiny;
mod tree;

pub use dataset_folder::expect_folder;
pub use load::load;
pub use name::DatasetName;
pub use options::{LoadOptions, Progress};
pub use splits::Splits;

pub use crate::decoding::DEFAULT_MAX_PIXELS;
pub use crate::transforms::Normalization;
