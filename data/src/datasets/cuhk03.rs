//! CUHK03 (Li et al. 2014): photographs of 1,467 people from pairs of cameras, in the protocol of Zhong et al. (2017), which divides
//! them into 767 people for training and 700 for testing.
//!
//! The folder `cuhk03-np` holds `labeled` (boxes drawn by hand) and `detected` (boxes of a detector). Each has the folders
//! `bounding_box_train`, `query` and `bounding_box_test`, as [`market1501`](super::market1501) has, and names such as `0001_c1_1.png`.
//! Only one of the two is loaded: it is named by its own folder if both are there.

use std::path::{Path, PathBuf};

use super::catalog::Catalog;
use super::options::LoadOptions;
use super::splits::Splits;
use super::{folder, image_files, person_files};
use crate::error::DataError;

const FOLDER: &str = "cuhk03-np";
/// The two sets of boxes.
const BOXES: [&str; 2] = ["labeled", "detected"];
/// The other spelling of the first.
const LABELLED: &str = "labelled";
/// Numbers of images of the complete training and test splits, of labelled and of detected boxes.
const WHOLE: [(usize, usize); 2] = [(7_368, 1_400 + 5_328), (7_365, 1_400 + 5_332)];
const ADVICE: &str =
    "get cuhk03-np, the protocol with 767 people for training, from https://github.com/zhunzhong07/person-re-ranking";
const BELONGS: &str = "CUHK03 (cuhk03-np) is bounding_box_train, query and bounding_box_test in labeled or detected";

/// Loads CUHK03 from `labeled` or `detected`, from the folder `cuhk03-np` that holds one of the two, or from the folder that contains
/// that.
///
/// # Errors
/// If there are both, a folder is missing, a file name has no identity and camera, or an image cannot be decoded.
pub fn load(options: &LoadOptions) -> Result<Splits, DataError> {
    let dir = options.dir.ok_or(DataError::FolderNeeded { dataset: "cuhk03", folder: FOLDER, advice: ADVICE })?;
    let root = match &find(dir)[..] {
        [root] => root.clone(),
        [] => {
            return Err(DataError::NotFound {
                dataset: "cuhk03",
                dir: dir.to_path_buf(),
                expected: "a folder cuhk03-np with labeled or detected",
                advice: ADVICE,
            });
        }
        [first, ..] => {
            return Err(DataError::Layout {
                path: first.parent().unwrap_or(dir).to_path_buf(),
                problem: "labeled and detected are both there".to_owned(),
                expected: "one of the two: name its folder",
            });
        }
    };
    image_files::load("cuhk03", catalog(root), options.image_size.unwrap_or(folder::SIDE), options)
}

/// The folders in `dir` that hold the three folders of the dataset.
pub(crate) fn find(dir: &Path) -> Vec<PathBuf> {
    let has_parts = |dir: &Path| person_files::FOLDERS.iter().any(|name| *name != "query" && dir.join(name).is_dir());
    let base = Some(dir.join(FOLDER)).filter(|inside| inside.is_dir()).unwrap_or_else(|| dir.to_path_buf());
    let boxes = BOXES.into_iter().chain([LABELLED]).map(|name| base.join(name)).filter(|inside| has_parts(inside));
    let boxes: Vec<PathBuf> = boxes.collect();
    if boxes.is_empty() && has_parts(&base) { vec![base] } else { boxes }
}

/// Whether a folder is named as those of CUHK03 are, rather than those of another dataset in the same layout.
pub(crate) fn is_named(root: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let own = name(root);
    BOXES.contains(&own.as_str()) || own == LABELLED || own == FOLDER
}

/// The catalog of the images.
pub(crate) fn catalog(root: PathBuf) -> Catalog {
    person_files::catalog(root, BELONGS)
}

/// Whether these are all images of CUHK03.
pub(crate) fn is_complete(catalog: &Catalog) -> bool {
    WHOLE.contains(&(catalog.train.len(), catalog.test.len()))
}
