//! Image folders: any dataset whose classes are folders of image files.
//!
//! The dataset's folder contains one of:
//!
//! - A training and a test split with a folder for each class, under any usual name and in any case: `train`, `Training`,
//!   `train_set`; `test`, `Testing`, `eval`; `val`, `valid`, `dev`. Without a test split, the validation split serves as one.
//!   Test images that are not in class folders have no labels, and no test uses them.
//! - A training split alone, or the class folders themselves. The last fifth of the images of each class, sorted by name and
//!   rounded down, is the test split.
//! - Images without class folders. All of them are the training split, without labels, and the test split is empty.
//!
//! With [`LoadOptions::test_classes`], the images of all class folders are divided by class, those of a training and a test split
//! together: the test split has all images of the test classes, and training those of the others.
//!
//! A folder `unlabeled` beside these is for self-supervised training. Everything may lie in a wrapper (`archive/train`,
//! `images/train`). Folders that look like splits and match none of these forms are an error that says why.
//! [`crate::Splits::notes`] says how the folders are interpreted; the report of [`crate::check()`] contains the same sentences.
//!
//! Classes are sorted by name. Images may lie at any depth in a class folder; they are sorted by path. Image files have the
//! extension of JPEG, PNG, BMP, WebP, GIF, TIFF, PNM, QOI, TGA, ICO or farbfeld, in upper or lower case; the first frame of an
//! animation counts. A note lists the files that are left out, except for hidden ones and those that operating systems create.
//! Images are resized by their shorter side and cropped in the middle.

use super::class_folders::load_from;
use super::options::LoadOptions;
use super::splits::Splits;
use crate::error::DataError;
use crate::transforms::Normalization;

pub use super::catalog::UNLABELED;
pub use super::class_folders::SIDE;
pub use super::slim::{NORMALIZATION as SLIM_NORMALIZATION, load as load_slim};

/// Channel statistics of ImageNet.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

const ADVICE: &str = "images are jpg, png, bmp, webp, gif, tiff, ppm, qoi, tga or ico files";

/// Loads the images in a folder.
///
/// # Errors
/// If there are no images, the folders match no form of a dataset, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "folder", folder: "train", advice: ADVICE })?;
    load_from(dir.to_path_buf(), dir, "folder", ADVICE, options)
}
