//! Market-1501 (Zheng et al. 2015): photographs of 1,501 people from six cameras, 128×64, from its folder `Market-1501-v15.09.15/`.
//!
//! `bounding_box_train` is the training split (751 people). The test split has the other 750: `query` holds the queries, and
//! `bounding_box_test` the gallery, see [`ImageSet::roles`](crate::ImageSet::roles). The identity and the camera are in the name of a
//! file: `0002_c1s1_000451_03.jpg` is person 2 from camera 1. Junk images (-1) are left out. Distractors (0000) are a class of the
//! gallery that no query has. Images are brought to squares as those of a [`folder`](mod@super::folder): by their shorter side, cropped in
//! the middle.

use std::path::{Path, PathBuf};

use super::catalog::Catalog;
use super::options::LoadOptions;
use super::splits::Splits;
use super::{folder, image_files, person_files};
use crate::error::DataError;

pub use super::person_files::DISTRACTORS;

const FOLDER: &str = "Market-1501-v15.09.15";
/// Names that the folder has in common copies.
const OTHERS: [&str; 3] = ["Market-1501", "market1501", "Market1501"];
/// Number of images of the complete training and test split: 3,368 queries, and 19,732 images of the gallery, of which 3,819 are junk.
const WHOLE: (usize, usize) = (12_936, 3_368 + 15_913);
const ADVICE: &str =
    "get Market-1501-v15.09.15.zip from its authors: https://zheng-lab.cecs.anu.edu.au/Project/project_reid.html";
const BELONGS: &str = "Market-1501 is bounding_box_train, query and bounding_box_test";

/// Loads Market-1501 from its folder `Market-1501-v15.09.15`, or the folder that contains it.
///
/// # Errors
/// If a folder is missing, a file name has no identity and camera, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "market1501", folder: FOLDER, advice: ADVICE })?;
    let root = find(dir).ok_or_else(|| DataError::NotFound {
        dataset: "market1501",
        dir: dir.to_path_buf(),
        expected: "a folder Market-1501-v15.09.15 with bounding_box_train, query and bounding_box_test",
        advice: ADVICE,
    })?;
    image_files::load("market1501", catalog(root), options.image_size.unwrap_or(folder::SIDE), options)
}

/// The dataset's folder in `dir`, or `dir` itself.
pub(crate) fn find(dir: &Path) -> Option<PathBuf> {
    let inside = [FOLDER].into_iter().chain(OTHERS).map(|name| dir.join(name)).find(|inside| inside.is_dir());
    let here = || person_files::FOLDERS.iter().any(|name| *name != "query" && dir.join(name).is_dir());
    inside.or_else(|| here().then(|| dir.to_path_buf()))
}

/// The catalog of the images.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    person_files::catalog(root, BELONGS)
}

/// Whether these are all images of Market-1501.
pub(crate) fn is_complete(catalog: &Catalog) -> bool {
    (catalog.train.len(), catalog.test.len()) == WHOLE
}
