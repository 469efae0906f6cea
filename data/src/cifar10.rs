//! CIFAR-10 (Krizhevsky 2009) from its official files.
//!
//! The archive comes in two forms that hold the same images: the binary version (`cifar-10-batches-bin/`, records of one
//! label byte and the planar pixels) and the python version (`cifar-10-batches-py/`, pickles). Both are read; where both
//! are, the binary one is taken.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::cifar10_pickle;
use crate::dataset::{Normalization, Splits};
use crate::error::DataError;
use crate::images::ImageSet;

/// Height and width of an image in pixels.
pub const SIDE: usize = 32;

/// The classes in the order of their labels.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Channel statistics of the training images.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.491, 0.482, 0.447], std: [0.247, 0.243, 0.262] };

/// Images in each file.
pub(crate) const IMAGES_PER_FILE: usize = 10_000;
/// Bytes of pixels of an image.
pub(crate) const IMAGE_SIZE: usize = 3 * SIDE * SIDE;
const RECORD_SIZE: usize = 1 + IMAGE_SIZE;

const ADVICE: &str = "download and unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
const BINARY_FILES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const PICKLE_FILES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// Pixels and labels of one file.
pub(crate) type Part = (Vec<u8>, Vec<u16>);

/// One of the two forms of the archive.
struct Layout {
    folder: &'static str,
    files: [&'static str; 6],
    /// What [`DataError::MissingFile`] says.
    expected: &'static str,
    read: fn(&Path) -> Result<Part, DataError>,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        folder: "cifar-10-batches-bin",
        files: BINARY_FILES,
        expected: "the binary version of CIFAR-10 is data_batch_1.bin to data_batch_5.bin and test_batch.bin",
        read: read_binary,
    },
    Layout {
        folder: "cifar-10-batches-py",
        files: PICKLE_FILES,
        expected: "the python version of CIFAR-10 is data_batch_1 to data_batch_5 and test_batch",
        read: cifar10_pickle::read,
    },
];

/// Loads CIFAR-10 from `dir`: `cifar-10-batches-bin/` or `cifar-10-batches-py/`, or a folder that holds one of them.
///
/// # Errors
/// If there is no such folder, or a file is missing, unreadable, of the wrong size or has a label that is no class's.
pub fn load(dir: Option<&Path>) -> Result<Splits, DataError> {
    let dir =
        dir.ok_or(DataError::FolderNeeded { dataset: "cifar10", folder: "cifar-10-batches-bin", advice: ADVICE })?;
    let (folder, layout) = find(dir)?;
    let paths: Vec<PathBuf> = layout.files.iter().map(|file| folder.join(file)).collect();
    if let Some(path) = paths.iter().find(|path| !path.is_file()) {
        return Err(DataError::MissingFile { path: path.clone(), expected: layout.expected });
    }
    let mut parts = paths.par_iter().map(|path| (layout.read)(path)).collect::<Result<Vec<Part>, DataError>>()?;
    let test = parts.split_off(5);
    Ok(Splits { train: join(parts)?, test: join(test)? })
}

fn find(dir: &Path) -> Result<(PathBuf, &'static Layout), DataError> {
    let inside = LAYOUTS.iter().map(|layout| (dir.join(layout.folder), layout)).find(|(folder, _)| folder.is_dir());
    let itself = || {
        LAYOUTS
            .iter()
            .find(|layout| layout.files.iter().any(|file| dir.join(file).is_file()))
            .map(|layout| (dir.to_path_buf(), layout))
    };
    inside.or_else(itself).ok_or_else(|| DataError::NotFound {
        dataset: "cifar10",
        dir: dir.to_path_buf(),
        expected: "a folder cifar-10-batches-bin or cifar-10-batches-py",
        advice: ADVICE,
    })
}

fn join(parts: Vec<Part>) -> Result<ImageSet, DataError> {
    let (pixels, labels): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    ImageSet::new(pixels.concat(), labels.concat(), SIDE, CLASS_NAMES.iter().map(|&name| name.to_owned()).collect())
}

fn read_binary(path: &Path) -> Result<Part, DataError> {
    let read_error = |source: std::io::Error| DataError::Read { path: path.to_path_buf(), source };
    let mut file = File::open(path).map_err(read_error)?;
    let found = file.metadata().map_err(read_error)?.len();
    let expected = (IMAGES_PER_FILE * RECORD_SIZE) as u64;
    if found != expected {
        return Err(DataError::WrongSize {
            path: path.to_path_buf(),
            found,
            expected,
            form: "10000 records of 1 label byte and 3072 pixel bytes",
        });
    }
    let mut pixels = vec![0; IMAGES_PER_FILE * IMAGE_SIZE];
    let mut labels = Vec::with_capacity(IMAGES_PER_FILE);
    let mut chunk = vec![0; 100 * RECORD_SIZE];
    for pixels in pixels.chunks_exact_mut(100 * IMAGE_SIZE) {
        file.read_exact(&mut chunk).map_err(|error| match error.kind() {
            // It was long enough a moment ago.
            ErrorKind::UnexpectedEof => read_error(std::io::Error::other("the file shrank while it was read")),
            _ => read_error(error),
        })?;
        for (record, image) in chunk.chunks_exact(RECORD_SIZE).zip(pixels.chunks_exact_mut(IMAGE_SIZE)) {
            if usize::from(record[0]) >= CLASS_NAMES.len() {
                return Err(DataError::BadLabel {
                    path: path.to_path_buf(),
                    offset: (labels.len() * RECORD_SIZE) as u64,
                    record: labels.len(),
                    found: record[0].into(),
                    classes: CLASS_NAMES.len(),
                });
            }
            labels.push(record[0].into());
            image.copy_from_slice(&record[1..]);
        }
    }
    Ok((pixels, labels))
}
