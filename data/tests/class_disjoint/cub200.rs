//! CUB-200-2011: lists of images, labels and classes.

use std::fs;
use std::path::Path;

use qare_data::{DatasetName, check};
use tempfile::tempdir;

use crate::image_files::{contents, reds, write, write_all};
use crate::{append, assert_named, assert_note, read, replace};

fn birds(dir: &Path) {
    let root = dir.join("CUB_200_2011");
    let files = [
        "001.Albatross/A_01.jpg",
        "001.Albatross/A_02.jpg",
        "100.Pelican/P_01.jpg",
        "101.Pelican/P_02.jpg",
        "200.Wren/W_01.jpg",
    ];
    write_all(&root.join("images"), &files);
    // In the official files, the numbers of the images are ascending; here they are not.
    fs::write(
        root.join("images.txt"),
        "7 200.Wren/W_01.jpg\n1 001.Albatross/A_01.jpg\n2 001.Albatross/A_02.jpg\n3 100.Pelican/P_01.jpg\n4 101.Pelican/P_02.jpg\n",
    )
    .unwrap();
    fs::write(root.join("image_class_labels.txt"), "1 1\n2 1\n3 100\n4 101\n7 200\n").unwrap();
    fs::write(root.join("classes.txt"), "1 001.Albatross\n100 100.Pelican\n101 101.Pelican\n200 200.Wren\n").unwrap();
    fs::write(root.join("train_test_split.txt"), "1 0\n2 1\n3 0\n4 1\n7 1\n").unwrap();
}

#[test]
fn the_first_hundred_classes_are_for_training() {
    let dir = tempdir().unwrap();
    birds(dir.path());
    for root in [dir.path().to_path_buf(), dir.path().join("CUB_200_2011")] {
        let splits = read(DatasetName::Cub200, &root).unwrap();
        assert_eq!(splits.train.class_names(), ["001.Albatross", "100.Pelican"]);
        assert_eq!(splits.test.class_names(), ["101.Pelican", "200.Wren"]);
        let train = [
            ("images/001.Albatross/A_01.jpg", 0),
            ("images/001.Albatross/A_02.jpg", 0),
            ("images/100.Pelican/P_01.jpg", 1),
        ];
        assert_eq!(contents(&splits.train), train);
        assert_eq!(contents(&splits.test), [("images/101.Pelican/P_02.jpg", 0), ("images/200.Wren/W_01.jpg", 1)]);
        for (red, expected) in reds(&splits.test).into_iter().zip([3u8, 4]) {
            assert!(red.abs_diff(expected) <= 2, "a JPEG is not exact, but {red} is not {expected}");
        }
        assert_eq!((splits.train.cameras(), splits.test.roles()), (None, None));
    }
}

#[test]
fn images_that_no_list_names_are_noted() {
    let dir = tempdir().unwrap();
    birds(dir.path());
    write(&dir.path().join("CUB_200_2011/images/200.Wren/W_02.jpg"), 8, [0; 3]);
    let splits = read(DatasetName::Cub200, dir.path()).unwrap();
    assert_note(&splits, "1 image that no list names, left out: images/200.Wren/W_02.jpg");
    let report = check(dir.path(), None).unwrap();
    assert!(report.to_string().contains("cub200 (image files) in "), "{report}");
    assert_eq!((report.is_sound(), report.findings.len(), report.findings[0].complete), (true, 1, Some(false)));
}

#[test]
fn a_missing_image_is_one_problem() {
    let dir = tempdir().unwrap();
    birds(dir.path());
    fs::remove_file(dir.path().join("CUB_200_2011/images/001.Albatross/A_02.jpg")).unwrap();
    let report = check(dir.path(), None).unwrap();
    assert_eq!(report.findings[0].problems.len(), 1, "{report}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let damages: [crate::Damage; 12] = [
        (
            |root| fs::remove_file(root.join("CUB_200_2011/images.txt")).unwrap(),
            &["images.txt is missing", "classes.txt"],
        ),
        (|root| fs::remove_file(root.join("CUB_200_2011/classes.txt")).unwrap(), &["classes.txt is missing"]),
        (
            |root| fs::remove_file(root.join("CUB_200_2011/image_class_labels.txt")).unwrap(),
            &["image_class_labels.txt is missing"],
        ),
        (|root| fs::remove_dir_all(root.join("CUB_200_2011/images")).unwrap(), &["images is missing"]),
        (
            |root| fs::remove_file(root.join("CUB_200_2011/images/001.Albatross/A_02.jpg")).unwrap(),
            &["A_02.jpg is missing: images.txt lists it"],
        ),
        (
            |root| append(&root.join("CUB_200_2011/images.txt"), "8\n"),
            &["images.txt, line 6: `8` has fewer than 2 fields"],
        ),
        (
            |root| append(&root.join("CUB_200_2011/images.txt"), "1 001.Albatross/A_02.jpg\n"),
            &["images.txt, line 6: image 1 is listed before"],
        ),
        (
            |root| append(&root.join("CUB_200_2011/images.txt"), "9 001.Albatross/A_02.jpg\n"),
            &["images.txt, line 6: image 9 has no class in image_class_labels.txt"],
        ),
        (
            |root| {
                append(&root.join("CUB_200_2011/images.txt"), "9 001.Albatross/A_02.jpg\n");
                append(&root.join("CUB_200_2011/image_class_labels.txt"), "9 200\n");
            },
            &["A_02.jpg: it is listed twice; expected each image once"],
        ),
        (
            |root| append(&root.join("CUB_200_2011/image_class_labels.txt"), "8 150\n"),
            &["image_class_labels.txt, line 6: class 150 is not in classes.txt"],
        ),
        (
            |root| replace(&root.join("CUB_200_2011/image_class_labels.txt"), "3 100", "3 x"),
            &["image_class_labels.txt, line 3: `x` is no number"],
        ),
        (
            |root| {
                replace(&root.join("CUB_200_2011/image_class_labels.txt"), "4 101", "4 100");
                replace(&root.join("CUB_200_2011/image_class_labels.txt"), "7 200", "7 100");
            },
            &["images.txt: there are no images of the classes 101 to 200, the test split"],
        ),
    ];
    assert_named(DatasetName::Cub200, birds, &damages);
}
