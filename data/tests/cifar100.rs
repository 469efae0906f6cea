//! CIFAR-100 in both of its official forms and with both kinds of labels, whole and damaged.
//!
//! The files have their full size but are almost all zeros, which the file system need not store.

use std::fs::{self, File};
use std::path::Path;

mod file_bytes;
mod pickles;

use file_bytes::{set_len, write_at};
use qare_data::{DataError, DatasetName, LoadOptions, Splits, load};

const IMAGE_SIZE: usize = 3072;
const RECORD_SIZE: usize = 2 + IMAGE_SIZE;
const FILES: [(&str, usize); 2] = [("train", 50_000), ("test", 10_000)];

/// The images of each file that are not all zero.
fn marked(images: usize) -> [usize; 4] {
    [0, 1, 5_678, images - 1]
}

fn coarse(index: usize) -> u8 {
    (index * 3 % 20) as u8
}

fn fine(index: usize) -> u8 {
    (index * 7 % 100) as u8
}

fn marks(index: usize) -> [u8; 4] {
    [(index >> 16) as u8, (index >> 8) as u8, index as u8, 0xa5]
}

fn write_binary(dir: &Path) {
    for (name, images) in FILES {
        let path = dir.join(format!("{name}.bin"));
        File::create(&path).unwrap().set_len((images * RECORD_SIZE) as u64).unwrap();
        for index in marked(images) {
            let [a, b, c, d] = marks(index);
            write_at(&path, index * RECORD_SIZE, &[coarse(index), fine(index), a, b, c, d]);
        }
    }
}

fn write_python(dir: &Path) {
    for (name, images) in FILES {
        let (mut coarses, mut fines) = (vec![0; images], vec![0; images]);
        for index in marked(images) {
            (coarses[index], fines[index]) = (coarse(index), fine(index));
        }
        let labels = [("coarse_labels", &coarses[..]), ("fine_labels", &fines)];
        let start = pickles::write(&dir.join(name), &labels, images * IMAGE_SIZE);
        for index in marked(images) {
            write_at(&dir.join(name), start + index * IMAGE_SIZE, &marks(index));
        }
    }
}

fn read(name: DatasetName, dir: &Path) -> Result<Splits, DataError> {
    load(name, &LoadOptions { dir: Some(dir), ..Default::default() })
}

fn assert_whole(dir: &Path) {
    for (name, classes, label) in
        [(DatasetName::Cifar100, 100, fine as fn(usize) -> u8), (DatasetName::Supercifar100, 20, coarse)]
    {
        let splits = read(name, dir).unwrap();
        for (images, (_, count)) in [&splits.train, &splits.test].into_iter().zip(FILES) {
            assert_eq!((images.len(), images.side(), images.classes()), (count, 32, classes));
            for index in marked(count) {
                assert_eq!(images.label(index), u16::from(label(index)), "{name}, image {index}");
                assert_eq!(images.pixels(index)[..4], marks(index));
                assert!(images.pixels(index)[4..].iter().all(|&pixel| pixel == 0));
            }
        }
        assert!(splits.unlabeled.is_none());
        assert_eq!(splits.pretraining().len(), 50_000);
    }
}

fn assert_message(dir: &Path, parts: &[&str]) {
    for name in [DatasetName::Cifar100, DatasetName::Supercifar100] {
        let text = read(name, dir).expect_err("a damaged dataset").to_string();
        for part in parts {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }
}

#[test]
fn reads_the_binary_version_and_names_its_damage() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("cifar-100-binary");
    fs::create_dir(&dir).unwrap();
    write_binary(&dir);
    assert_whole(parent.path());
    assert_whole(&dir);

    let file = dir.join("train.bin");
    write_at(&file, 5 * RECORD_SIZE, &[20]);
    assert_message(&dir, &["train.bin: bad label 20 at byte offset 15370 (record 5), expected 0 to 19"]);
    write_at(&file, 5 * RECORD_SIZE, &[0, 100]);
    assert_message(&dir, &["train.bin: bad label 100 at byte offset 15371 (record 5), expected 0 to 99"]);
    set_len(&file, 153_700_001);
    assert_message(&dir, &["train.bin", "153700001 bytes", "unexpected data starts at byte offset 153700000"]);
    set_len(&file, 12_345);
    let parts = ["train.bin", "12345 bytes, expected 153700000", "2 label bytes and 3072 pixel bytes", "cut off"];
    assert_message(&dir, &parts);
    fs::remove_file(&file).unwrap();
    assert_message(&dir, &["train.bin is missing", "train.bin and test.bin", "unpack the archive again"]);
}

#[test]
fn reads_the_python_version_and_names_its_damage() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("cifar-100-python");
    fs::create_dir(&dir).unwrap();
    write_python(&dir);
    assert_whole(parent.path());
    assert_whole(&dir);

    let file = dir.join("test");
    let (mut labels, size) = (vec![3; 10_000], 10_000 * IMAGE_SIZE);
    pickles::write(&file, &[("coarse_labels", &labels)], size);
    assert_message(&dir, &["test", "no entry `fine_labels`", "python version of CIFAR-100"]);
    pickles::write(&file, &[("coarse_labels", &labels), ("fine_labels", &labels[1..])], size);
    assert_message(&dir, &["test", "entry `fine_labels` has 9999 labels, expected 10000"]);
    pickles::write(&file, &[("coarse_labels", &labels), ("fine_labels", &labels)], size - 1);
    assert_message(&dir, &["test", "30719999 bytes, expected 30720000"]);
    labels[17] = 99;
    pickles::write(&file, &[("coarse_labels", &labels), ("fine_labels", &labels)], size);
    assert_message(&dir, &["test", "bad label 99 of record 17 in `coarse_labels`, expected 0 to 19"]);
    set_len(&file, 1_000_000);
    assert_message(&dir, &["test", "damaged pickle of 1000000 bytes", "EOF"]);
}

#[test]
fn class_names_come_from_the_archive_if_it_has_them() {
    let dir = tempfile::tempdir().unwrap();
    write_binary(dir.path());
    let names = |name| read(name, dir.path()).map(|splits| splits.test.class_names().to_vec());
    let known = names(DatasetName::Cifar100).unwrap();
    assert_eq!((known[0].as_str(), known[53].as_str(), known[99].as_str()), ("apple", "orange", "worm"));
    assert_eq!(names(DatasetName::Supercifar100).unwrap()[14], "people");

    let list: Vec<String> = (0..20).map(|class| format!("kind {class}")).collect();
    fs::write(dir.path().join("coarse_label_names.txt"), list.join("\n") + "\n").unwrap();
    assert_eq!(names(DatasetName::Supercifar100).unwrap(), list);
    assert_eq!(names(DatasetName::Cifar100).unwrap(), known);
    fs::write(dir.path().join("coarse_label_names.txt"), "fish\nbirds\n").unwrap();
    let text = names(DatasetName::Supercifar100).unwrap_err().to_string();
    assert!(text.contains("coarse_label_names.txt: 2 class names, but there are 20 classes"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    write_python(dir.path());
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    pickles::write_names(&dir.path().join("meta"), "coarse_label_names", &list);
    assert_eq!(read(DatasetName::Supercifar100, dir.path()).unwrap().train.class_names(), list);
    let text = read(DatasetName::Cifar100, dir.path()).unwrap_err().to_string();
    assert!(text.contains("meta") && text.contains("no entry `fine_label_names`"), "{text}");
}

#[test]
fn a_folder_without_the_dataset_says_what_is_expected() {
    let dir = tempfile::tempdir().unwrap();
    assert_message(dir.path(), &["cifar-100-binary or cifar-100-python", "cifar-100-binary.tar.gz"]);
}
