//! Loads a dataset by name.

use super::dataset_folder::expect_folder;
use super::name::DatasetName;
use super::options::LoadOptions;
use super::splits::Splits;
use super::{
    cars196, cifar10, cifar100, class_folders, cub200, cuhk03, folder, market1501, omniglot, shapes, slim, sop, stl10,
    tiny,
};
use crate::error::DataError;

/// Loads a dataset.
///
/// # Errors
/// If the folder does not exist, files are missing, unreadable or damaged, or the dataset does not support [`LoadOptions::image_size`],
/// [`LoadOptions::source_size`] or [`LoadOptions::test_classes`].
pub fn load(name: DatasetName, options: &LoadOptions) -> Result<Splits, DataError> {
    check_size(name, name.side().filter(|_| !name.is_resizable()), options.image_size)?;
    check_source_size(name, options)?;
    if let Some(classes) = options.test_classes.filter(|_| name != DatasetName::Folder) {
        let problem = format!(
            "the classes of dataset `{name}` are divided already; expected dataset `folder`, or no test_classes"
        );
        return Err(DataError::TestClasses { value: classes.to_string(), problem });
    }
    if let Some(dir) = options.dir.filter(|_| name.needs_files()) {
        expect_folder(dir)?;
    }
    match name {
        DatasetName::Cifar10 => cifar10::load(options.dir),
        DatasetName::Cifar100 => cifar100::load(options.dir),
        DatasetName::Supercifar100 => cifar100::load_coarse(options.dir),
        DatasetName::Tiny => tiny::load(options),
        DatasetName::Stl10 => stl10::load(options.dir),
        DatasetName::Slim => slim::load(options),
        DatasetName::Omniglot => omniglot::load(options),
        DatasetName::Cub200 => cub200::load(options),
        DatasetName::Cars196 => cars196::load(options),
        DatasetName::Sop => sop::load(options),
        DatasetName::Market1501 => market1501::load(options),
        DatasetName::Cuhk03 => cuhk03::load(options),
        DatasetName::Folder => folder::load(options),
        DatasetName::Shapes => Ok(shapes::draw()),
    }
}

/// Checks the requested size of images. `side` is the only one that the dataset has; `None` if it supports all.
fn check_size(name: DatasetName, side: Option<usize>, size: Option<usize>) -> Result<(), DataError> {
    let expected = match (side, size) {
        (_, None) => return Ok(()),
        (Some(side), Some(size)) if size != side => format!("{side}, the size of its images"),
        (None, Some(size)) if !(1..=MAX_SIDE).contains(&size) => format!("1 to {MAX_SIDE}"),
        _ => return Ok(()),
    };
    Err(DataError::ImageSize { dataset: name.as_str(), size: size.unwrap_or_default(), expected })
}

/// Checks the requested size of sources.
fn check_source_size(name: DatasetName, options: &LoadOptions) -> Result<(), DataError> {
    let Some(size) = options.source_size else { return Ok(()) };
    let side = options.image_size.unwrap_or(class_folders::SIDE);
    let expected = match name.side() {
        Some(side) => format!("none, because its images are of {side}x{side}"),
        None if !(side..=MAX_SOURCE).contains(&size) => format!("{side}, the size of the images, to {MAX_SOURCE}"),
        None => return Ok(()),
    };
    Err(DataError::SourceSize { dataset: name.as_str(), size, expected })
}

/// The largest shorter side of sources that can be requested.
pub const MAX_SOURCE: usize = 4096;

/// The largest side of images that can be requested.
const MAX_SIDE: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

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
        let text = |name, size| {
            let options = LoadOptions { image_size: Some(96), source_size: Some(size), ..Default::default() };
            load(name, &options).unwrap_err().to_string()
        };
        assert_eq!(
            text(DatasetName::Stl10, 110),
            "dataset `stl10` cannot have sources of 110 pixels: expected none, because its images are of 96x96"
        );
        assert!(text(DatasetName::Folder, 95).contains("expected 96, the size of the images, to 4096"));
        let options = LoadOptions { image_size: Some(32), ..Default::default() };
        assert_eq!(load(DatasetName::Shapes, &options).unwrap().train.side(), 32);
    }
}
