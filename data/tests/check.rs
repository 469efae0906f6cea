//! The report on a folder of datasets: sound ones are counted, damaged ones have all of their damage named.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use qare_data::report::NAMED_PROBLEMS;
use qare_data::{DatasetName, LoadOptions, Report, check, load};
use tempfile::tempdir;

mod file_bytes;
mod image_files;

use file_bytes::{set_len, write_at};
use image_files::{write, write_all};

const STL10_IMAGE: usize = 3 * 96 * 96;

/// Writes files of the full size. All labels of CIFAR are 0.
fn write_binary_datasets(root: &Path) {
    for file in ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"] {
        set_len(&root.join(format!("cifar-10-batches-bin/{file}.bin")), 10_000 * 3073);
    }
    set_len(&root.join("cifar-100-binary/train.bin"), 50_000 * 3074);
    set_len(&root.join("cifar-100-binary/test.bin"), 10_000 * 3074);
    let stl10 = root.join("stl10_binary");
    for (split, images) in [("train", 5_000), ("test", 8_000), ("unlabeled", 100_000)] {
        set_len(&stl10.join(format!("{split}_X.bin")), images * STL10_IMAGE);
        if split != "unlabeled" {
            let labels: Vec<u8> = (0..images).map(|index| (index % 10) as u8 + 1).collect();
            fs::write(stl10.join(format!("{split}_y.bin")), labels).unwrap();
        }
    }
}

fn report(dir: &Path) -> Report {
    check(dir, None).unwrap()
}

fn assert_says(report: &Report, parts: &[&str]) {
    let text = report.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn binary_datasets_side_by_side_are_told_apart_and_counted() {
    let dir = tempdir().unwrap();
    write_binary_datasets(dir.path());
    let report = report(dir.path());
    assert!(report.is_sound(), "{report}");
    let datasets: Vec<_> = report.findings.iter().map(|finding| &finding.datasets[..]).collect();
    use DatasetName::{Cifar10, Cifar100, Stl10, Supercifar100};
    assert_eq!(datasets, [&[Cifar10][..], &[Cifar100, Supercifar100], &[Stl10]]);
    assert!(report.findings.iter().all(|finding| finding.complete == Some(true)));
    assert_says(
        &report,
        &[
            "cifar10 (binary version) in ",
            "train: 50000 images, 1 class (labels 0 to 0), 50000 images each",
            "cifar100, supercifar100 (binary version) in ",
            "stl10 (binary version) in ",
            "train: 5000 images, 10 classes (labels 0 to 9), 500 images each\n",
            "test: 8000 images, 10 classes (labels 0 to 9), 800 images each\n",
            "unlabeled: 100000 images",
        ],
    );
    assert_eq!(report.to_string().matches("sound and complete").count(), 3);
}

#[test]
fn all_that_is_wrong_is_named_up_to_a_limit() {
    let dir = tempdir().unwrap();
    write_binary_datasets(dir.path());
    let cifar10 = dir.path().join("cifar-10-batches-bin");
    fs::remove_file(cifar10.join("data_batch_2.bin")).unwrap();
    set_len(&cifar10.join("data_batch_4.bin"), 999);
    write_at(&cifar10.join("test_batch.bin"), 3073, &[44]);
    write_at(&cifar10.join("test_batch.bin"), 2 * 3073, &[45]);
    let cifar100 = dir.path().join("cifar-100-binary");
    fs::write(cifar100.join("fine_label_names.txt"), "apple\n").unwrap();
    for record in 0..250 {
        write_at(&cifar100.join("train.bin"), record * 3074, &[20]);
    }
    let stl10 = dir.path().join("stl10_binary");
    write_at(&stl10.join("train_y.bin"), 3, &[0, 11]);
    set_len(&stl10.join("test_X.bin"), 7);
    fs::remove_file(stl10.join("unlabeled_X.bin")).unwrap();

    let report = report(dir.path());
    assert!(!report.is_sound());
    let count = |place: usize| (report.findings[place].problems.len(), report.findings[place].further_problems);
    assert_eq!([count(0), count(1), count(2)], [(4, 0), (NAMED_PROBLEMS, 250 + 1 - NAMED_PROBLEMS), (3, 0)]);
    assert!(report.findings.iter().all(|finding| !finding.is_sound() && finding.complete == Some(false)));
    assert_says(
        &report,
        &[
            ": 4 problems\n  train: 30000 images",
            "problem: ",
            "data_batch_2.bin is missing",
            "data_batch_4.bin has the wrong size: 999 bytes",
            "test_batch.bin: bad label 44 at byte offset 3073 (record 1)",
            "test_batch.bin: bad label 45 at byte offset 6146 (record 2)",
            ": 251 problems",
            "train.bin: bad label 20 at byte offset 304326 (record 99), expected 0 to 19",
            "and 151 more",
            "train_y.bin: bad label 0 at byte offset 3 (record 3), expected 1 to 10",
            "train_y.bin: bad label 11 at byte offset 4",
            "test_X.bin has the wrong size: 7 bytes",
            "note: unlabeled_X.bin is missing",
        ],
    );
}

#[test]
fn stl10_without_unlabeled_images_is_a_part() {
    let dir = tempdir().unwrap();
    write_binary_datasets(dir.path());
    fs::remove_file(dir.path().join("stl10_binary/unlabeled_X.bin")).unwrap();
    let report = report(&dir.path().join("stl10_binary"));
    assert!(report.is_sound());
    assert_eq!((report.findings.len(), report.findings[0].complete), (1, Some(false)));
    assert_says(
        &report,
        &["sound, but only a part of the dataset", "pre-training takes the labelled training images instead"],
    );
}

#[test]
fn every_broken_image_is_named() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("tiny-imagenet-200");
    let names = ["train/n1/images/a.png", "train/n1/images/b.png", "train/n2/images/c.png", "train/n2/images/d.png"];
    write_all(&root, &names);
    write_all(&root, &["val/images/e.png", "val/images/f.png"]);
    write(&root.join(names[3]), 20, [0; 3]);
    fs::write(root.join("wnids.txt"), "n1\nn2\nn3\n").unwrap();
    fs::write(root.join("val/val_annotations.txt"), "e.png\tn1\nf.png\tn2\n").unwrap();

    let calls = AtomicUsize::new(0);
    let count = |_, total| {
        assert_eq!(total, 6);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let report = check(dir.path(), Some(&count)).unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(calls.into_inner(), 6);
    assert_says(
        &report,
        &[
            "tiny (image files) in ",
            "sound, but only a part of the dataset",
            "train: 4 images, 2 classes (labels 0 to 1), 2 images each",
            "test: 2 images, 2 classes (labels 0 to 1), 1 image each",
            "note: 1 of the 3 classes of wnids.txt without a folder in train/",
            "note: 1 image not 64x64",
        ],
    );

    for broken in ["train/n1/images/b.png", "train/n2/images/c.png", "val/images/f.png"] {
        fs::write(root.join(broken), "no image").unwrap();
    }
    fs::write(root.join("val/val_annotations.txt"), "e.png\tn1\nf.png\tn2\ng.png\tn2\n").unwrap();
    let report = self::report(dir.path());
    assert_eq!(report.findings[0].problems.len(), 4);
    let parts = ["b.png: broken image", "c.png: broken image", "f.png: broken image", "g.png is missing"];
    assert_says(&report, &parts);
    assert_says(&report, &["train: 2 images, 2 classes (labels 0 to 1), 1 image each", "test: 1 image,"]);
}

#[test]
fn slim_is_known_by_its_name_and_any_other_images_are_a_folder() {
    let dir = tempdir().unwrap();
    write_all(dir.path(), &["SlimageNet64/train/a/1.png", "SlimageNet64/test/a/2.png"]);
    assert_says(&report(dir.path()), &["slim (image files) in ", "SlimageNet64: sound, but only a part"]);
    let dir = tempdir().unwrap();
    write_all(dir.path(), &["a/1.png", "b/2.png"]);
    let found = report(dir.path());
    assert!(found.is_sound() && found.findings[0].complete.is_none());
    assert_says(&found, &["folder (image files) in ", ": sound\n", "note: there is no test split"]);
}

#[test]
fn what_is_sound_can_be_loaded_and_what_is_not_cannot() {
    let dir = tempdir().unwrap();
    write_all(dir.path(), &["train/a/1.png", "test/a/2.png"]);
    let loads = || {
        let options = LoadOptions { dir: Some(dir.path()), ..Default::default() };
        load(DatasetName::Folder, &options).is_ok()
    };
    assert!(report(dir.path()).is_sound() && loads());
    write_all(dir.path(), &["test/b/3.png"]);
    assert!(!report(dir.path()).is_sound() && !loads());
}

#[test]
fn a_folder_without_datasets_is_not_sound() {
    let dir = tempdir().unwrap();
    let empty = report(dir.path());
    assert!(!empty.is_sound());
    let looked_for = "no dataset found (looked for cifar10, cifar100, supercifar100, tiny, stl10, slim, omniglot, cub200, \
                      cars196, sop, market1501, cuhk03, folder)";
    assert_says(&empty, &[looked_for, "\n  note: the folder is empty"]);
    File::create(dir.path().join("readme.txt")).unwrap();
    let found = report(dir.path());
    assert!(!found.is_sound());
    assert_says(
        &found,
        &[looked_for, "\n  note: 1 file whose names are not those of images, left out (txt 1): readme.txt"],
    );
    let shown = dir.path().display();
    for found in [empty, found] {
        assert_eq!(found.fault(), Some(format!("there is no dataset in {shown}")));
    }
    fs::write(dir.path().join("cifar-10-binary.tar.gz"), b"\x1f\x8b\x08\0").unwrap();
    assert_says(&report(dir.path()), &["\n  note: an archive is not unpacked: cifar-10-binary.tar.gz"]);
}

#[test]
fn the_end_of_a_message_counts_what_is_above() {
    let dir = tempdir().unwrap();
    write_all(dir.path(), &["a/1.png", "b/2.png"]);
    assert_eq!(report(dir.path()).fault(), None);
    fs::write(dir.path().join("a/3.png"), "no image").unwrap();
    assert_eq!(report(dir.path()).fault(), Some(format!("1 problem in {}, see above", dir.path().display())));
    fs::write(dir.path().join("a/4.png"), "no image").unwrap();
    assert_eq!(report(dir.path()).fault(), Some(format!("2 problems in {}, see above", dir.path().display())));
}

#[test]
fn what_is_no_folder_is_called_what_it_is() {
    let dir = tempdir().unwrap();
    let (archive, text) = (dir.path().join("x.zip"), dir.path().join("x.txt"));
    fs::write(&archive, b"PK\x03\x04").unwrap();
    fs::write(&text, "").unwrap();
    let unpack = "x.zip is a file, expected the folder of a dataset: it is an archive, unpack it";
    let name =
        "x.txt is a file, expected the folder of a dataset: name the folder that the files of the dataset are in";
    let missing = dir.path().join("nowhere");
    for (path, expected) in [(&archive, unpack), (&text, name), (&missing, "nowhere: there is no such folder")] {
        let mut errors = vec![check(path, None).unwrap_err()];
        errors.extend(
            DatasetName::ALL
                .iter()
                .filter(|dataset| dataset.needs_files())
                .map(|dataset| load(*dataset, &LoadOptions { dir: Some(path), ..Default::default() }).unwrap_err()),
        );
        for error in errors {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    let drawn = LoadOptions { dir: Some(&missing), ..Default::default() };
    assert!(load(DatasetName::Shapes, &drawn).is_ok(), "a drawn dataset has no folder");
}
