//! Files of the CIFAR archives, in both forms.

use tempfile::tempdir;

use crate::{choice, told};

/// The files to read: batches of both forms, and names of classes.
const FILES: [&str; 6] = [
    "cifar-10-batches-py/data_batch_1",
    "cifar-10-batches-bin/data_batch_1.bin",
    "cifar-100-python/train",
    "cifar-100-python/meta",
    "cifar-100-binary/train.bin",
    "cifar-100-binary/fine_label_names.txt",
];

/// Checks a folder with one file of a dataset.
pub fn file(bytes: &[u8]) {
    let Some((which, contents)) = choice(bytes, FILES.len() as u8) else { return };
    let folder = tempdir().expect("a folder");
    let path = folder.path().join(FILES[usize::from(which)]);
    std::fs::create_dir_all(path.parent().expect("a folder of the archive")).expect("a folder");
    std::fs::write(&path, contents).expect("a file");
    let report = qare_data::check(folder.path(), None).expect("there is such a folder");
    for finding in report.findings {
        assert!(!finding.is_sound(), "an archive of one file");
        for problem in finding.problems {
            told(problem);
        }
    }
}
