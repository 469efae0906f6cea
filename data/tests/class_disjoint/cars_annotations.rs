//! Stanford Cars as published, with the annotations that `make_cars_annotations.py` writes.

use std::fs;
use std::path::{Path, PathBuf};

use qare_data::{DatasetName, check};
use tempfile::tempdir;

use crate::image_files::{contents, reds, write, write_all};
use crate::{assert_named, assert_note, read};

/// Copies a file of annotations.
fn copy(name: &str, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cars196").join(name), to).unwrap();
}

/// All images in one folder.
fn together(dir: &Path) {
    let names: Vec<String> = (1..=7).map(|number| format!("car_ims/{number:06}.jpg")).collect();
    write_all(dir, &names.iter().map(String::as_str).collect::<Vec<_>>());
    copy("cars_annos.mat", &dir.join("cars_annos.mat"));
}

/// The images of the two parts, and the annotations of the test part beside the others.
fn in_parts(dir: &Path) {
    let names: Vec<String> = (1..=3)
        .map(|number| format!("cars_train/{number:05}.jpg"))
        .chain((1..=4).map(|number| format!("cars_test/{number:05}.jpg")))
        .collect();
    write_all(dir, &names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in ["cars_meta.mat", "cars_train_annos.mat", "cars_test_annos.mat"] {
        copy(name, &dir.join("devkit").join(name));
    }
    fs::write(dir.join("devkit/README.txt"), "about the files").unwrap();
    copy("cars_test_annos_withlabels.mat", &dir.join("cars_test_annos_withlabels.mat"));
}

#[test]
fn images_in_one_folder_are_divided_by_class() {
    let dir = tempdir().unwrap();
    let root = dir.path().join("stanford_cars");
    together(&root);
    for place in [dir.path(), &root] {
        let splits = read(DatasetName::Cars196, place).unwrap();
        assert_eq!(splits.train.class_names(), ["001.Model 1 2012", "002.Model 2 2012", "098.Model 98 2012"]);
        assert_eq!(splits.test.class_names(), ["099.Model 99 2012", "196.Model 196 2012"]);
        let train = [
            ("car_ims/000002.jpg", 0),
            ("car_ims/000005.jpg", 0),
            ("car_ims/000007.jpg", 1),
            ("car_ims/000004.jpg", 2),
        ];
        assert_eq!(contents(&splits.train), train);
        let test = [("car_ims/000003.jpg", 0), ("car_ims/000001.jpg", 1), ("car_ims/000006.jpg", 1)];
        assert_eq!(contents(&splits.test), test);
        for (red, expected) in reds(&splits.test).into_iter().zip([2u8, 0, 5]) {
            assert!(red.abs_diff(expected) <= 2, "a JPEG is not exact, but {red} is not {expected}");
        }
        assert_note(&splits, "the classes 1 to 98 are the training split");
        assert_eq!(splits.notes.len(), 1, "{:?}", splits.notes);
        let report = check(place, None).unwrap();
        assert!(report.is_sound() && report.to_string().starts_with("cars196 (image files) in "), "{report}");
        assert_eq!((report.findings.len(), report.findings[0].complete), (1, Some(false)));
    }
}

#[test]
fn both_parts_are_divided_by_class() {
    for way in 0..3 {
        let dir = tempdir().unwrap();
        let root = dir.path();
        in_parts(root);
        let moved = |from: &str, to: &str| {
            fs::create_dir_all(root.join(to).parent().unwrap()).unwrap();
            fs::rename(root.join(from), root.join(to)).unwrap();
        };
        let mut inside = "";
        match way {
            // As a common copy has them.
            1 => {
                moved("devkit", "car_devkit/devkit");
                for part in ["cars_train", "cars_test"] {
                    moved(part, "moved");
                    moved("moved", &format!("{part}/{part}"));
                }
                inside = "cars_train/";
            }
            2 => moved("cars_test_annos_withlabels.mat", "devkit/cars_test_annos_withlabels.mat"),
            _ => {}
        }
        let splits = read(DatasetName::Cars196, root).unwrap();
        let train = ["cars_train/00002.jpg", "cars_test/00002.jpg", "cars_test/00004.jpg", "cars_test/00001.jpg"];
        let test = ["cars_train/00003.jpg", "cars_train/00001.jpg", "cars_test/00003.jpg"];
        let names = |images: &qare_data::ImageSet| -> Vec<String> {
            (0..images.len())
                .map(|index| images.file_name(index).unwrap().to_owned())
                .map(|name| match inside {
                    "" => name,
                    _ => name.split_once('/').unwrap().1.to_owned(),
                })
                .collect()
        };
        assert_eq!(
            (names(&splits.train), names(&splits.test)),
            (train.map(String::from).into(), test.map(String::from).into())
        );
        assert_eq!(splits.train.class_names(), ["001.Model 1 2012", "002.Model 2 2012", "098.Model 98 2012"]);
        assert_eq!(splits.notes.len(), 1, "{:?}", splits.notes);
        assert!(check(root, None).unwrap().is_sound());
    }
}

#[test]
fn images_without_annotations_are_noted() {
    let dir = tempdir().unwrap();
    in_parts(dir.path());
    write(&dir.path().join("cars_test/00005.jpg"), 8, [0; 3]);
    let splits = read(DatasetName::Cars196, dir.path()).unwrap();
    assert_note(&splits, "1 image that no list names, left out: cars_test/00005.jpg");
    // With the annotations of both forms, the folders that are there decide.
    copy("cars_annos.mat", &dir.path().join("cars_annos.mat"));
    assert_eq!(read(DatasetName::Cars196, dir.path()).unwrap().train.len(), 4);
    together(dir.path());
    assert!(read(DatasetName::Cars196, dir.path()).unwrap().train.file_name(0).unwrap().starts_with("car_ims/"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let together_damages: [crate::Damage; 8] = [
        (|root| fs::remove_dir_all(root.join("car_ims")).unwrap(), &["car_ims is missing: Stanford Cars is car_ims/"]),
        (
            |root| fs::remove_file(root.join("car_ims/000003.jpg")).unwrap(),
            &["000003.jpg is missing: an annotation names it"],
        ),
        (
            |root| fs::write(root.join("cars_annos.mat"), "<html>").unwrap(),
            &["cars_annos.mat: it is not a MAT-file of version 5", "download it again"],
        ),
        (
            |root| {
                let bytes = fs::read(root.join("cars_annos.mat")).unwrap();
                fs::write(root.join("cars_annos.mat"), &bytes[..1000]).unwrap();
            },
            &["cars_annos.mat: it is damaged at offset 128: ", "bytes are announced, 864 are there"],
        ),
        (
            |root| copy("cars_meta.mat", &root.join("cars_annos.mat")),
            &["cars_annos.mat: it has no annotations with the fields relative_im_path and class"],
        ),
        (|root| copy("cars_train_annos.mat", &root.join("cars_annos.mat")), &["cars_annos.mat: it has no class_names"]),
        (
            |root| copy("few_names.mat", &root.join("cars_annos.mat")),
            &["cars_annos.mat: it names 12 classes; expected"],
        ),
        (
            |root| copy("first_half.mat", &root.join("cars_annos.mat")),
            &["there are no images of the classes 99 to 196, the test split"],
        ),
    ];
    assert_named(DatasetName::Cars196, together, &together_damages);
    let damages: [crate::Damage; 7] = [
        (
            |root| fs::remove_file(root.join("cars_test_annos_withlabels.mat")).unwrap(),
            &["cars_test_annos_withlabels.mat: it is missing; expected the classes of cars_test/"],
        ),
        (|root| fs::remove_dir_all(root.join("cars_test")).unwrap(), &["cars_test is missing: "]),
        (|root| fs::remove_file(root.join("devkit/cars_meta.mat")).unwrap(), &["devkit/cars_meta.mat: it is missing"]),
        (
            |root| fs::remove_file(root.join("devkit/cars_train_annos.mat")).unwrap(),
            &["devkit/cars_train_annos.mat: it is missing"],
        ),
        (
            |root| copy("cars_test_annos.mat", &root.join("cars_test_annos_withlabels.mat")),
            &["cars_test_annos_withlabels.mat: it has no annotations with the fields fname and class"],
        ),
        (
            |root| copy("class_197.mat", &root.join("cars_test_annos_withlabels.mat")),
            &[
                "cars_test_annos_withlabels.mat: annotation 2, of 00002.jpg, has the class 197; expected one from 1 to 196",
            ],
        ),
        (
            |root| copy("no_file_names.mat", &root.join("devkit/cars_train_annos.mat")),
            &["cars_train_annos.mat: annotation 1 has no text in the field fname"],
        ),
    ];
    assert_named(DatasetName::Cars196, in_parts, &damages);
}

#[test]
fn damaged_annotations_end_in_an_error() {
    let dir = tempdir().unwrap();
    together(dir.path());
    let path = dir.path().join("cars_annos.mat");
    let bytes = fs::read(&path).unwrap();
    for place in (0..bytes.len()).step_by(7) {
        fs::write(&path, &bytes[..place]).unwrap();
        assert!(read(DatasetName::Cars196, dir.path()).is_err(), "{place} bytes");
        let mut changed = bytes.clone();
        changed[place] ^= 0xff;
        fs::write(&path, changed).unwrap();
        if let Err(error) = read(DatasetName::Cars196, dir.path()) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}
