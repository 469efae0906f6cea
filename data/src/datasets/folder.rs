//! Image folders: any dataset whose classes are folders of image files. SlimageNet64 (Antoniou et al. 2020) is one.
//!
//! In the dataset's folder are
//!
//! - a training and a test split with a folder for each class, under any usual name and in any case: `train`, `Training`,
//!   `train_set`; `test`, `Testing`, `eval`; `val`, `valid`, `dev`. A validation split serves as the test split where there
//!   is none. Test images in no class folders are without labels: nothing is tested on them. Or
//! - a training split alone, or the class folders themselves: then the last fifth of the images of each class, sorted by
//!   name and rounded down, is the test split, or
//! - images only, with no folder of a class: then all of them are the training split, without labels, and the test split is
//!   empty.
//!
//! A folder `unlabeled` beside them is for training without labels. All of it may lie in a wrapper (`archive/train`,
//! `images/train`). What looks like splits and fits none of this is an error that says why. [`crate::Splits::notes`] says
//! what was taken for what; the same sentences are in the report of [`crate::check()`].
//!
//! Classes are sorted by name. Images may lie deeper inside of a class folder; their order is that of their paths. Images
//! are files whose names end in those of JPEG, PNG, BMP, WebP, GIF, TIFF, PNM, QOI, TGA, ICO or farbfeld, in upper or lower
//! case; of animations the first frame counts. Which files are left out is said in a note, but hidden ones and what systems
//! leave in folders. Images of any size are resized by their shorter side and cut out in the middle.

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
/// If there are none, the folders do not make up a dataset, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "folder", folder: "train", advice: ADVICE })?;
    load_from(dir.to_path_buf(), dir, "folder", ADVICE, options)
}
