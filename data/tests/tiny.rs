//! tiny-ImageNet in its official layout and in the layouts people make of it.

use std::fs;
use std::path::{Path, PathBuf};

use qare_data::{DataError, DatasetName, LoadOptions, Splits, load};
use tempfile::{TempDir, tempdir};

mod image_files;

use image_files::{contents, reds, write_all};

fn tiny(dir: &Path) -> Result<Splits, DataError> {
    load(DatasetName::Tiny, &LoadOptions { dir: Some(dir), ..Default::default() })
}

/// A dataset of two classes with training images. `wnids.txt` lists them unsorted, and `val` has an image of another class.
fn official() -> (TempDir, PathBuf) {
    let parent = tempdir().unwrap();
    let root = parent.path().join("tiny-imagenet-200");
    write_all(
        &root,
        &[
            "train/n01/images/n01_0.jpeg",
            "train/n01/images/n01_1.jpeg",
            "train/n02/images/n02_0.jpeg",
            "train/n02/images/n02_1.jpeg",
            "val/images/val_0.jpeg",
            "val/images/val_1.jpeg",
            "val/images/val_2.jpeg",
            "val/images/val_3.jpeg",
        ],
    );
    fs::write(root.join("wnids.txt"), "n02\nn03\nn01\n").unwrap();
    fs::write(root.join("words.txt"), "n00\tthing\nn01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane\n")
        .unwrap();
    let boxes = "n01_0.jpeg\t0\t0\t63\t63\nn01_1.jpeg\t0\t0\t63\t63\n";
    fs::write(root.join("train/n01/n01_boxes.txt"), boxes).unwrap();
    let annotations = "val_2.jpeg\tn02\t0\t0\t63\t63\nval_0.jpeg\tn01\t0\t0\t63\t63\n\
                       val_3.jpeg\tn03\t0\t0\t63\t63\nval_1.jpeg\tn01\t0\t0\t63\t63\n";
    fs::write(root.join("val/val_annotations.txt"), annotations).unwrap();
    (parent, root)
}

fn assert_message(dir: &Path, parts: &[&str]) {
    let text = tiny(dir).expect_err("a damaged dataset").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn reads_the_official_layout_and_parts_of_it() {
    let (parent, root) = official();
    for dir in [parent.path(), &root] {
        let splits = tiny(dir).unwrap();
        assert_eq!(splits.train.class_names(), ["crane", "goldfish"]);
        assert_eq!(
            contents(&splits.train),
            [
                ("train/n02/images/n02_0.jpeg", 0),
                ("train/n02/images/n02_1.jpeg", 0),
                ("train/n01/images/n01_0.jpeg", 1),
                ("train/n01/images/n01_1.jpeg", 1)
            ]
        );
        // The class of val_3 has no training images.
        let expected = [("val/images/val_0.jpeg", 1), ("val/images/val_1.jpeg", 1), ("val/images/val_2.jpeg", 0)];
        assert_eq!(contents(&splits.test), expected);
        assert_eq!(splits.train.side(), 64);
        for (red, expected) in reds(&splits.test).into_iter().zip([4u8, 5, 6]) {
            assert!(red.abs_diff(expected) <= 2, "a JPEG is not exact, but {red} is not {expected}");
        }
    }
}

#[test]
fn without_lists_classes_are_sorted_and_named_by_their_folders() {
    let (_parent, root) = official();
    fs::remove_file(root.join("wnids.txt")).unwrap();
    fs::remove_file(root.join("words.txt")).unwrap();
    let splits = tiny(&root).unwrap();
    assert_eq!(splits.train.class_names(), ["n01", "n02"]);
    assert_eq!(contents(&splits.test)[2], ("val/images/val_2.jpeg", 1));
}

#[test]
fn classes_of_the_same_name_stay_apart() {
    let (_parent, root) = official();
    write_all(&root, &["train/n03/images/n03_0.jpeg"]);
    let splits = tiny(&root).unwrap();
    assert_eq!(splits.train.class_names(), ["crane (n02)", "crane (n03)", "goldfish"]);
    assert_eq!(contents(&splits.test).last(), Some(&("val/images/val_3.jpeg", 1)));
}

#[test]
fn validation_images_may_be_sorted_into_folders_and_images_lie_directly_in_their_class() {
    for inner in ["images/", ""] {
        let dir = tempdir().unwrap();
        let names = ["train/n01/a.png", "train/n02/b.png"].map(str::to_owned).into_iter();
        let names: Vec<String> =
            names.chain(["n01", "n02", "n09"].map(|wnid| format!("val/{wnid}/{inner}val_{wnid}.png"))).collect();
        write_all(dir.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
        // The list may remain after the images are sorted into folders by it.
        fs::write(dir.path().join("val/val_annotations.txt"), "val_n01.png\tn01\t0\t0\t1\t1\n").unwrap();
        let splits = tiny(dir.path()).unwrap();
        assert_eq!(contents(&splits.train), [("train/n01/a.png", 0), ("train/n02/b.png", 1)]);
        assert_eq!(contents(&splits.test), [(names[2].as_str(), 0), (names[3].as_str(), 1)]);
        assert_eq!(reds(&splits.test), [2, 3]);
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    type Damage = fn(&Path);
    let damages: [(Damage, &[&str]); 11] = [
        (|root| fs::remove_file(root.join("val/val_annotations.txt")).unwrap(), &["val_annotations.txt is missing"]),
        (|root| fs::remove_file(root.join("val/images/val_1.jpeg")).unwrap(), &["val_1.jpeg is missing", "lists it"]),
        (|root| fs::remove_dir_all(root.join("val")).unwrap(), &["val is missing", "test split"]),
        (|root| fs::remove_dir_all(root.join("train")).unwrap(), &["is not in", "with train and val"]),
        (
            |root| fs::remove_file(root.join("train/n01/images/n01_1.jpeg")).unwrap(),
            &["n01_1.jpeg is missing", "boxes"],
        ),
        (|root| fs::remove_dir_all(root.join("train/n02/images")).unwrap(), &["train/n02: the class has no images"]),
        (
            |root| fs::create_dir(root.join("train/n77")).unwrap(),
            &["train/n77: the folder is not a class of wnids.txt"],
        ),
        (|root| fs::write(root.join("wnids.txt"), "n02\nn01\nn02\n").unwrap(), &["wnids.txt, line 3: class n02"]),
        (
            |root| fs::write(root.join("val/val_annotations.txt"), "val_0.jpeg\tn01\nval_1.jpeg n01\n").unwrap(),
            &["val_annotations.txt, line 2: `val_1.jpeg n01` has no tab"],
        ),
        (
            |root| fs::write(root.join("val/val_annotations.txt"), "val_0.jpeg\tn01\n").unwrap(),
            &["val_1.jpeg: the image has no class", "a line for it"],
        ),
        (|root| fs::write(root.join("train/n01/images/n01_0.jpeg"), "no").unwrap(), &["n01_0.jpeg: broken image"]),
    ];
    for (damage, parts) in damages {
        let (_parent, root) = official();
        damage(&root);
        assert_message(&root, parts);
    }
    let empty = tempdir().unwrap();
    assert_message(empty.path(), &["a folder tiny-imagenet-200", "tiny-imagenet-200.zip"]);
}
