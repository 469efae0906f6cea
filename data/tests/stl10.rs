//! STL-10 in its official form, whole and damaged.
//!
//! The files have their full size but are almost all zeros, which the file system need not store.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

mod file_bytes;

use file_bytes::{set_len, write_at};
use qare_data::{DataError, DatasetName, LoadOptions, Splits, load};
use tempfile::TempDir;

const IMAGE_SIZE: usize = 3 * 96 * 96;
const SPLITS: [(&str, usize); 3] = [("train", 5_000), ("test", 8_000), ("unlabeled", 100_000)];

/// The images of each split that are not all zero.
fn marked(images: usize) -> [usize; 4] {
    [0, 1, 4_321, images - 1]
}

fn label(index: usize) -> u8 {
    (index * 7 % 10) as u8
}

/// An image in row order. Every pixel is a function of its place.
fn pixel(index: usize, channel: usize, row: usize, column: usize) -> u8 {
    (index + 100 * channel + 3 * row + 7 * column) as u8
}

fn stl10_files() -> (TempDir, PathBuf) {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("stl10_binary");
    fs::create_dir(&dir).unwrap();
    for (split, images) in SPLITS {
        let path = dir.join(format!("{split}_X.bin"));
        File::create(&path).unwrap().set_len((images * IMAGE_SIZE) as u64).unwrap();
        for index in marked(images) {
            let mut stored = Vec::with_capacity(IMAGE_SIZE);
            for channel in 0..3 {
                for column in 0..96 {
                    stored.extend((0..96).map(|row| pixel(index, channel, row, column)));
                }
            }
            write_at(&path, index * IMAGE_SIZE, &stored);
        }
        if split != "unlabeled" {
            let labels: Vec<u8> = (0..images).map(|index| label(index) + 1).collect();
            fs::write(dir.join(format!("{split}_y.bin")), labels).unwrap();
        }
    }
    (parent, dir)
}

fn stl10(dir: &Path) -> Result<Splits, DataError> {
    load(DatasetName::Stl10, &LoadOptions { dir: Some(dir), ..Default::default() })
}

fn assert_message(dir: &Path, parts: &[&str]) {
    let text = stl10(dir).expect_err("a damaged dataset").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn reads_all_three_splits_row_by_row() {
    let (parent, dir) = stl10_files();
    for dir in [parent.path(), &dir] {
        let splits = stl10(dir).unwrap();
        let unlabeled = splits.unlabeled.as_ref().unwrap();
        for (images, (split, count)) in [&splits.train, &splits.test, unlabeled].into_iter().zip(SPLITS) {
            assert_eq!((images.len(), images.side()), (count, 96));
            // The 2.8 GB of the unlabelled images stay in their file.
            assert_eq!(images.is_in_memory(), split != "unlabeled");
            for index in marked(count) {
                let expected: Vec<u8> =
                    (0..IMAGE_SIZE).map(|place| pixel(index, place / (96 * 96), place / 96 % 96, place % 96)).collect();
                assert_eq!(*images.pixels(index), expected, "{split} image {index}");
                let label = if split == "unlabeled" { 0 } else { label(index) };
                assert_eq!(images.label(index), u16::from(label));
            }
            assert!(images.pixels(17).iter().all(|&pixel| pixel == 0));
        }
        assert_eq!((splits.train.classes(), unlabeled.classes()), (10, 1));
        assert_eq!(splits.train.class_names()[2], "car");
        assert_eq!(splits.pretraining().len(), 100_000);
    }
}

#[test]
fn probing_does_without_the_unlabeled_images() {
    let (_parent, dir) = stl10_files();
    fs::remove_file(dir.join("unlabeled_X.bin")).unwrap();
    fs::write(dir.join("class_names.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n").unwrap();
    let splits = stl10(&dir).unwrap();
    assert!(splits.unlabeled.is_none());
    assert_eq!(splits.test.class_names()[9], "j");
}

#[test]
fn damage_is_named() {
    let (parent, dir) = stl10_files();
    let unlabeled = dir.join("unlabeled_X.bin");
    set_len(&unlabeled, 1_234_567);
    assert_message(&dir, &["unlabeled_X.bin", "1234567 bytes, expected 2764800000", "cut off at byte offset 1234567"]);
    fs::remove_file(unlabeled).unwrap();

    fs::write(dir.join("class_names.txt"), "airplane\nbird\n").unwrap();
    assert_message(&dir, &["class_names.txt: 2 class names, but there are 10 classes"]);
    fs::remove_file(dir.join("class_names.txt")).unwrap();

    let labels = dir.join("train_y.bin");
    for bad in [0, 11] {
        write_at(&labels, 77, &[bad]);
        assert_message(
            &dir,
            &[&format!("train_y.bin: bad label {bad} at byte offset 77 (record 77), expected 1 to 10")],
        );
    }
    set_len(&labels, 4_999);
    assert_message(&dir, &["train_y.bin", "4999 bytes, expected 5000 (5000 labels of one byte)"]);
    set_len(&labels, 5_000);
    write_at(&labels, 0, &[1; 5_000]);
    set_len(&dir.join("test_X.bin"), 8_001 * IMAGE_SIZE);
    assert_message(&dir, &["test_X.bin", "unexpected data starts at byte offset 221184000"]);
    fs::remove_file(dir.join("test_X.bin")).unwrap();
    assert_message(&dir, &["test_X.bin is missing", "train_X.bin, train_y.bin", "unpack the archive again"]);
    let other = parent.path().join("other");
    assert_message(&other, &["other: there is no such folder"]);
    fs::create_dir(&other).unwrap();
    assert_message(&other, &["a folder stl10_binary", "stl10_binary.tar.gz"]);
}
