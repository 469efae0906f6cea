//! SlimageNet64 (Antoniou et al. 2020): 200 photographs of each of the 1000 classes of ImageNet, 64×64, in class folders as in
//! [`folder`](super::folder).

use std::path::{Path, PathBuf};

use super::class_folders::load_from;
use super::options::LoadOptions;
use super::splits::Splits;
use crate::error::DataError;
use crate::transforms::Normalization;

/// Channel statistics that SlimageNet64 is commonly normalised with.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

pub(crate) const FOLDER: &str = "SlimageNet64";
/// Number of classes, and images per class, of the complete dataset.
pub(crate) const WHOLE: (usize, usize) = (1000, 200);
const ADVICE: &str = "download and unpack it from https://zenodo.org/record/3672132";

/// Loads SlimageNet64 from its folder `SlimageNet64` or the folder that contains it.
///
/// # Errors
/// As [`folder::load`](super::folder::load).
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let needed = DataError::FolderNeeded { dataset: "slim", folder: FOLDER, advice: ADVICE };
    let dir = options.dir.ok_or(needed)?;
    load_from(find(dir), dir, "slim", ADVICE, options)
}

/// `SlimageNet64` in a folder, or else the folder itself.
pub(crate) fn find(dir: &Path) -> PathBuf {
    let inside = dir.join(FOLDER);
    if inside.is_dir() { inside } else { dir.to_path_buf() }
}
