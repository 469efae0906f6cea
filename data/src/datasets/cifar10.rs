//! CIFAR-10 (Krizhevsky 2009) from its official files, in the binary version (`cifar-10-batches-bin/`) or the python
//! version (`cifar-10-batches-py/`).

use std::path::Path;

use super::cifar::{self, Archive, Form, LabelKind, Layout};
use super::splits::Splits;
use crate::error::DataError;
use crate::transforms::Normalization;

/// Height and width of an image in pixels.
pub const SIDE: usize = cifar::SIDE;

/// The names of the classes, indexed by label.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Channel statistics of the training images.
pub const NORMALIZATION: Normalization = Normalization { mean: [0.491, 0.482, 0.447], std: [0.247, 0.243, 0.262] };

pub(crate) const ARCHIVE: Archive = Archive {
    title: "CIFAR-10",
    layouts: [
        Layout {
            form: Form::Binary,
            folder: "cifar-10-batches-bin",
            train: &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            test: "test_batch.bin",
            images: (10_000, 10_000),
            expected: "the binary version of CIFAR-10 is data_batch_1.bin to data_batch_5.bin and test_batch.bin",
        },
        Layout {
            form: Form::Pickle,
            folder: "cifar-10-batches-py",
            train: &["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"],
            test: "test_batch",
            images: (10_000, 10_000),
            expected: "the python version of CIFAR-10 is data_batch_1 to data_batch_5 and test_batch",
        },
    ],
    labels: &[LabelKind { entry: "labels", classes: 10 }],
    expected: "a folder cifar-10-batches-bin or cifar-10-batches-py",
    advice: "download and unpack https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
};

/// Loads CIFAR-10 from `dir`: `cifar-10-batches-bin/`, `cifar-10-batches-py/`, or the folder that contains one of them.
///
/// # Errors
/// If the folder or a file is missing, a file is unreadable or has the wrong size, or a label is out of range.
pub fn load(dir: Option<&Path>) -> Result<Splits, DataError> {
    ARCHIVE.load("cifar10", dir, 0, |_, _| Ok(CLASS_NAMES.map(str::to_owned).to_vec()))
}
