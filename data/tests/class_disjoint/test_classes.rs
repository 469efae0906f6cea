//! Folders of images that `test_classes` divides by class.

use std::path::Path;

use qare_data::{DataError, DatasetName, LoadOptions, Splits, TestClasses, load};
use tempfile::{TempDir, tempdir};

use crate::assert_note;
use crate::image_files::{contents, write_all};

fn divided(dir: &Path, test_classes: &str) -> Result<Splits, DataError> {
    let test_classes: TestClasses = test_classes.parse()?;
    let options =
        LoadOptions { dir: Some(dir), image_size: Some(8), test_classes: Some(&test_classes), ..Default::default() };
    load(DatasetName::Folder, &options)
}

fn with_files(names: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    write_all(dir.path(), names);
    dir
}

#[test]
fn unseen_classes_are_the_test_split() {
    let dir = with_files(&["a/1.png", "b/1.png", "b/2.png", "c/1.png", "d/1.png", "d/2.png", "unlabeled/x.png"]);
    for setting in ["2", "0.5", "c,d", "d, c"] {
        let splits = divided(dir.path(), setting).unwrap();
        assert_eq!(
            (splits.train.class_names(), splits.test.class_names()),
            (&["a", "b"].map(String::from)[..], &["c", "d"].map(String::from)[..])
        );
        assert_eq!(contents(&splits.train), [("a/1.png", 0), ("b/1.png", 1), ("b/2.png", 1)]);
        assert_eq!(contents(&splits.test), [("c/1.png", 0), ("d/1.png", 1), ("d/2.png", 1)]);
        assert_eq!(splits.unlabeled.as_ref().map(|images| images.len()), Some(1));
        assert_note(
            &splits,
            "training has 2 classes (a, b), and the test split has 2 other classes that training has not (c, d)",
        );
        assert!(!splits.notes.iter().any(|note| note.contains("held out")), "{:?}", splits.notes);
    }
    let splits = divided(dir.path(), "a").unwrap();
    assert_eq!((splits.train.classes(), splits.test.class_names()), (3, &["a".to_owned()][..]));
}

#[test]
fn the_images_of_both_splits_are_divided_together() {
    let dir = with_files(&["train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png", "test/c/5.png"]);
    let splits = divided(dir.path(), "1").unwrap();
    let train = [("train/a/1.png", 0), ("test/a/3.png", 0), ("train/b/2.png", 1), ("test/b/4.png", 1)];
    assert_eq!(contents(&splits.train), train);
    assert_eq!(contents(&splits.test), [("test/c/5.png", 0)]);
    assert_note(&splits, "test_classes divides the images of train/ and test/ together, by class");
    let dir = with_files(&["train/a/1.png", "train/b/2.png", "test/3.png"]);
    let splits = divided(dir.path(), "1").unwrap();
    assert_eq!(contents(&splits.test), [("train/b/2.png", 0)]);
    assert_note(&splits, "test/ has no class folders and is left out (1 image)");
}

#[test]
fn a_division_that_cannot_be_is_an_error() {
    let dir = with_files(&["a/1.png", "b/1.png"]);
    let message = |dir: &Path, setting: &str| divided(dir, setting).unwrap_err().to_string();
    assert!(message(dir.path(), "2").contains("no class for training, as the folder has 2 classes"));
    assert!(message(dir.path(), "cat").contains("there is no class cat; there are a, b"));
    let flat = with_files(&["1.png", "2.png"]);
    assert!(message(flat.path(), "1").contains("the images are in no class folders, and test_classes divides classes"));
    let setting = TestClasses::Last(1);
    let options = LoadOptions { test_classes: Some(&setting), ..Default::default() };
    let of_shapes = load(DatasetName::Shapes, &options).unwrap_err().to_string();
    assert!(
        of_shapes.starts_with("test_classes is 1: the classes of dataset `shapes` are divided already"),
        "{of_shapes}"
    );
}
