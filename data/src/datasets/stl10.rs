//! STL-10 (Coates, Ng and Lee 2011) from its official files, `stl10_binary/`.
//!
//! Images are 96×96 and planar, with each plane stored column by column; labels count from 1. There are 5,000 training and
//! 8,000 test images of 10 classes, and 100,000 unlabelled images for self-supervised training. The file of the unlabelled
//! images (2.8 GB) is mapped into memory, and each image is transposed on access.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::splits::Splits;
use crate::error::{DataError, first_of};
use crate::images::{ImageSet, MappedPixels, map, transposed};
use crate::transforms::Normalization;

/// Height and width of an image in pixels.
pub const SIDE: usize = 96;

/// The names of the classes, indexed by label.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"];

/// Channel statistics that STL-10 is commonly normalised with.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.5; 3], std: [0.5; 3] };

/// Number of images in each split.
pub(crate) const TRAIN: usize = 5_000;
pub(crate) const TEST: usize = 8_000;
pub(crate) const UNLABELED: usize = 100_000;
pub(crate) const IMAGE_SIZE: usize = 3 * SIDE * SIDE;

pub(crate) const FOLDER: &str = "stl10_binary";
pub(crate) const UNLABELED_FILE: &str = "unlabeled_X.bin";
pub(crate) const CLASS_FILE: &str = "class_names.txt";
pub(crate) const EXPECTED: &str =
    "the binary version of STL-10 is train_X.bin, train_y.bin, test_X.bin, test_y.bin and unlabeled_X.bin";
const ADVICE: &str = "download and unpack http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz";
/// The note about an archive without unlabelled images.
pub(crate) const NO_UNLABELED: &str =
    "unlabeled_X.bin is missing: pre-training takes the labelled training images instead";
/// Number of images read at a time; it divides the number of images of every file.
const CHUNK: usize = 100;

/// Loads STL-10 from `dir`: `stl10_binary/` or the folder that contains it. Without `unlabeled_X.bin` there is no unlabelled
/// split.
///
/// # Errors
/// If the folder or a file is missing, a file is unreadable or has the wrong size, or a label is out of range.
pub fn load(dir: Option<&Path>) -> Result<Splits, DataError> {
    let dir = dir.ok_or(DataError::FolderNeeded { dataset: "stl10", folder: FOLDER, advice: ADVICE })?;
    let folder = find(dir).ok_or_else(|| DataError::NotFound {
        dataset: "stl10",
        dir: dir.to_path_buf(),
        expected: "a folder stl10_binary",
        advice: ADVICE,
    })?;
    let names = class_names(&folder)?;
    let labeled = |split: &str, images| {
        let labels = read_labels(&folder, split, images).map_err(first_of)?;
        ImageSet::new(read_pixels(&folder, split, images)?, labels, SIDE, names.clone())
    };
    let unlabeled = folder.join(UNLABELED_FILE);
    let unlabeled = unlabeled.exists().then(|| map_unlabeled(&unlabeled)).transpose()?;
    let notes = if unlabeled.is_none() { vec![NO_UNLABELED.to_owned()] } else { Vec::new() };
    Ok(Splits { unlabeled, notes, ..Splits::new(labeled("train", TRAIN)?, labeled("test", TEST)?) })
}

/// The folder with the files: `stl10_binary` in `dir`, or `dir` itself.
pub(crate) fn find(dir: &Path) -> Option<PathBuf> {
    let inside = dir.join(FOLDER);
    let files = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", UNLABELED_FILE];
    if inside.is_dir() {
        Some(inside)
    } else {
        files.iter().any(|file| dir.join(file).is_file()).then(|| dir.to_path_buf())
    }
}

/// The names in `class_names.txt`, or [`CLASS_NAMES`] without that file.
pub(crate) fn class_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let path = folder.join(CLASS_FILE);
    if !path.is_file() {
        return Ok(CLASS_NAMES.map(str::to_owned).to_vec());
    }
    let text = fs::read_to_string(&path).map_err(|source| DataError::Read { path: path.clone(), source })?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if names.len() != CLASS_NAMES.len() {
        let problem = format!("{} class names, but there are {} classes", names.len(), CLASS_NAMES.len());
        let expected = "the list of the archive; unpack it again, or delete it and the known names are used";
        return Err(DataError::BadList { path, line: 0, problem, expected });
    }
    Ok(names)
}

/// Opens a file whose size must be `count` · `size` bytes.
pub(crate) fn open(path: &Path, count: usize, size: usize, what: &str) -> Result<File, DataError> {
    if !path.is_file() {
        return Err(DataError::MissingFile { path: path.to_path_buf(), expected: EXPECTED });
    }
    let read_error = |source| DataError::Read { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(read_error)?;
    let found = file.metadata().map_err(read_error)?.len();
    let expected = (count * size) as u64;
    if found != expected {
        let form = format!("{count} {what}");
        return Err(DataError::WrongSize { path: path.to_path_buf(), found, expected, form });
    }
    Ok(file)
}

/// The labels of a split, counted from 0, or every problem with them.
pub(crate) fn read_labels(folder: &Path, split: &str, images: usize) -> Result<Vec<u16>, Vec<DataError>> {
    let path = folder.join(format!("{split}_y.bin"));
    let mut file = open(&path, images, 1, "labels of one byte").map_err(|error| vec![error])?;
    let mut bytes = Vec::with_capacity(images);
    file.read_to_end(&mut bytes).map_err(|source| vec![DataError::Read { path: path.clone(), source }])?;
    let last = CLASS_NAMES.len() as u8;
    let bad = bytes.iter().enumerate().filter(|(_, label)| !(1..=last).contains(label));
    let problems: Vec<_> = bad
        .map(|(record, &label)| DataError::BadLabel {
            path: path.clone(),
            offset: record as u64,
            record,
            found: label.into(),
            first: 1,
            last: last.into(),
        })
        .collect();
    if problems.is_empty() { Ok(bytes.into_iter().map(|label| u16::from(label) - 1).collect()) } else { Err(problems) }
}

/// Opens the file with the pixels of a split.
pub(crate) fn open_pixels(folder: &Path, split: &str, images: usize) -> Result<(PathBuf, File), DataError> {
    let path = folder.join(format!("{split}_X.bin"));
    let file = open(&path, images, IMAGE_SIZE, "images of 3x96x96 bytes")?;
    Ok((path, file))
}

/// The pixels of all images of a split, with planes row by row.
fn read_pixels(folder: &Path, split: &str, images: usize) -> Result<Vec<u8>, DataError> {
    let (path, _) = open_pixels(folder, split, images)?;
    let mut pixels = vec![0; images * IMAGE_SIZE];
    pixels
        .par_chunks_mut(CHUNK * IMAGE_SIZE)
        .enumerate()
        .try_for_each(|(chunk, pixels)| {
            let mut stored = vec![0; pixels.len()];
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start((chunk * CHUNK * IMAGE_SIZE) as u64))?;
            file.read_exact(&mut stored)?;
            for (stored, image) in stored.chunks_exact(IMAGE_SIZE).zip(pixels.chunks_exact_mut(IMAGE_SIZE)) {
                image.copy_from_slice(&transposed(stored, SIDE));
            }
            Ok(())
        })
        .map_err(|source| DataError::Read { path, source })?;
    Ok(pixels)
}

fn map_unlabeled(path: &Path) -> Result<ImageSet, DataError> {
    let file = open(path, UNLABELED, IMAGE_SIZE, "images of 3x96x96 bytes")?;
    let map = map(&file).map_err(|source| DataError::Read { path: path.to_path_buf(), source })?;
    let pixels = MappedPixels { map, start: 0, bytes: UNLABELED * IMAGE_SIZE, by_columns: true };
    let set = ImageSet::mapped(pixels, vec![0; UNLABELED], SIDE, vec!["unlabeled".to_owned()])?;
    Ok(set.with_labels_unknown())
}
