//! CIFAR-10 in both of its official forms, whole and damaged.
//!
//! The files have their full size but are almost all zeros, which the file system need not store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

mod file_bytes;
mod pickles;

use file_bytes::{set_len, write_at};
use qare_data::{DataError, DatasetName, LoadOptions, Splits, load};
use tempfile::TempDir;

const IMAGES: usize = 10_000;
const IMAGE_SIZE: usize = 3072;
const RECORD_SIZE: usize = 1 + IMAGE_SIZE;
const BATCHES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// The images of each file that are not all zero.
const MARKED: [usize; 4] = [0, 1, 5_678, 9_999];

fn label(file: usize, index: usize) -> u8 {
    ((file + index * 7) % 10) as u8
}

fn marks(file: usize, index: usize) -> [u8; 4] {
    [file as u8, (index >> 8) as u8, index as u8, 0xa5]
}

fn write_binary(path: &Path, file: usize) {
    File::create(path).unwrap().set_len((IMAGES * RECORD_SIZE) as u64).unwrap();
    for index in MARKED {
        write_at(path, index * RECORD_SIZE, &[label(file, index)]);
        write_at(path, index * RECORD_SIZE + 1, &marks(file, index));
    }
}

/// Writes a pickle as Python 2 does, and returns the offset of its pixels.
fn write_pickle(path: &Path, labels: &[u8], pixels: usize) -> usize {
    pickles::write(path, &[("labels", labels)], pixels)
}

fn write_python(path: &Path, file: usize) {
    let mut labels = vec![0; IMAGES];
    MARKED.iter().for_each(|&index| labels[index] = label(file, index));
    let start = write_pickle(path, &labels, IMAGES * IMAGE_SIZE);
    for index in MARKED {
        write_at(path, start + index * IMAGE_SIZE, &marks(file, index));
    }
}

/// Writes all files of one form. Returns the folder that contains the archive's folder, and the archive's folder.
fn archive(folder: &str, extension: &str, write: fn(&Path, usize)) -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join(folder);
    fs::create_dir(&dir).unwrap();
    for (file, name) in BATCHES.iter().enumerate() {
        write(&dir.join(format!("{name}{extension}")), file);
    }
    (parent, dir)
}

fn cifar10(dir: &Path) -> Result<Splits, DataError> {
    load(DatasetName::Cifar10, &LoadOptions { dir: Some(dir), ..Default::default() })
}

fn assert_message(dir: &Path, parts: &[&str]) {
    let text = cifar10(dir).expect_err("a damaged dataset").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn assert_whole(splits: &Splits) {
    assert_eq!((splits.train.len(), splits.test.len()), (5 * IMAGES, IMAGES));
    assert_eq!((splits.train.side(), splits.train.classes()), (32, 10));
    assert_eq!(splits.test.class_names()[9], "truck");
    for file in 0..6 {
        for index in MARKED {
            let (images, place) = if file < 5 { (&splits.train, file * IMAGES + index) } else { (&splits.test, index) };
            assert_eq!(images.label(place), u16::from(label(file, index)));
            assert_eq!(images.pixels(place)[..4], marks(file, index));
            assert!(images.pixels(place)[4..].iter().all(|&pixel| pixel == 0));
        }
    }
}

#[test]
fn reads_the_binary_version_and_names_its_damage() {
    let (parent, dir) = archive("cifar-10-batches-bin", ".bin", write_binary);
    assert_whole(&cifar10(parent.path()).unwrap());
    assert_whole(&cifar10(&dir).unwrap());

    let file = dir.join("data_batch_3.bin");
    write_at(&file, 5 * RECORD_SIZE, &[10]);
    assert_message(&dir, &["data_batch_3.bin: bad label 10 at byte offset 15365 (record 5), expected 0 to 9"]);
    set_len(&file, 30_730_001);
    assert_message(&dir, &["data_batch_3.bin", "30730001 bytes", "unexpected data starts at byte offset 30730000"]);
    set_len(&file, 12_345);
    assert_message(&dir, &["data_batch_3.bin", "12345 bytes, expected 30730000", "cut off at byte offset 12345"]);
    fs::remove_file(&file).unwrap();
    assert_message(&dir, &["data_batch_3.bin is missing", "unpack the archive again"]);
}

#[test]
fn reads_the_python_version_and_names_its_damage() {
    let (parent, dir) = archive("cifar-10-batches-py", "", write_python);
    assert_whole(&cifar10(parent.path()).unwrap());
    assert_whole(&cifar10(&dir).unwrap());

    let file = dir.join("data_batch_1");
    let (labels, size) = (vec![3; IMAGES], IMAGES * IMAGE_SIZE);
    let mut wrong = labels.clone();
    wrong[17] = 10;
    write_pickle(&file, &wrong, size);
    assert_message(&dir, &["data_batch_1", "bad label 10 of record 17, expected 0 to 9"]);
    write_pickle(&file, &labels[1..], size);
    assert_message(&dir, &["data_batch_1", "9999 labels, expected 10000"]);
    write_pickle(&file, &labels, size - 1);
    assert_message(&dir, &["data_batch_1", "30719999 bytes, expected 30720000"]);
    set_len(&file, 1_000_000);
    assert_message(&dir, &["data_batch_1", "damaged pickle of 1000000 bytes", "EOF"]);
    for (bytes, problem) in [
        (&b"no pickle at all"[..], "at offset"),
        (b"", "damaged pickle of 0 bytes"),
        (b"\x80\x02]q\x01.", "no dictionary"),
        (b"\x80\x02}q\x01.", "no entry `labels`"),
    ] {
        fs::write(&file, bytes).unwrap();
        assert_message(&dir, &["data_batch_1", problem]);
    }
    // Nested lists: first as many as are allowed, then more values than a file of this dataset can have.
    for (levels, problem) in [(200_000, "no dictionary"), (2_000_000, "more than 2328576 values at offset")] {
        fs::write(&file, [b"\x80\x02", &vec![b']'; levels][..], &vec![b'a'; levels - 1], b"."].concat()).unwrap();
        assert_message(&dir, &["data_batch_1", problem]);
    }
    set_len(&file, 200_000_000);
    assert_message(&dir, &["data_batch_1", "it has 200000000 bytes, more than"]);
}

#[test]
fn a_folder_without_the_dataset_says_what_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    assert_message(dir, &[&dir.display().to_string(), "cifar-10-batches-bin", "cifar-10-binary.tar.gz"]);
}
