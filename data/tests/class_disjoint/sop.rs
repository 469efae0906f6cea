//! Stanford Online Products: lists of the training and the test split.

use std::fs;
use std::path::Path;

use qare_data::{DatasetName, check};
use tempfile::tempdir;

use crate::image_files::{contents, write_all};
use crate::{append, assert_named, read, replace};

const HEADER: &str = "image_id class_id super_class_id path\n";

fn products(dir: &Path) {
    let root = dir.join("Stanford_Online_Products");
    let files = ["bicycle_final/1_0.JPG", "bicycle_final/1_1.JPG", "chair_final/2_0.JPG", "chair_final/11319_0.JPG"];
    write_all(&root, &files);
    let train = "1 1 1 bicycle_final/1_0.JPG\n2 1 1 bicycle_final/1_1.JPG\n3 2 4 chair_final/2_0.JPG\n";
    fs::write(root.join("Ebay_train.txt"), format!("{HEADER}{train}")).unwrap();
    fs::write(root.join("Ebay_test.txt"), format!("{HEADER}4 11319 4 chair_final/11319_0.JPG\n")).unwrap();
    fs::write(root.join("Ebay_info.txt"), "other\n").unwrap();
}

#[test]
fn products_are_classes() {
    let dir = tempdir().unwrap();
    products(dir.path());
    for root in [dir.path().to_path_buf(), dir.path().join("Stanford_Online_Products")] {
        let splits = read(DatasetName::Sop, &root).unwrap();
        assert_eq!(splits.train.class_names(), ["bicycle_final/1", "chair_final/2"]);
        assert_eq!(splits.test.class_names(), ["chair_final/11319"]);
        let train = [("bicycle_final/1_0.JPG", 0), ("bicycle_final/1_1.JPG", 0), ("chair_final/2_0.JPG", 1)];
        assert_eq!(contents(&splits.train), train);
        assert_eq!(contents(&splits.test), [("chair_final/11319_0.JPG", 0)]);
    }
    let report = check(dir.path(), None).unwrap();
    assert!(report.is_sound() && report.to_string().starts_with("sop (image files) in "), "{report}");
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let damages: [crate::Damage; 8] = [
        (
            |root| fs::remove_file(root.join("Stanford_Online_Products/Ebay_test.txt")).unwrap(),
            &["Ebay_test.txt is missing"],
        ),
        (
            |root| fs::remove_file(root.join("Stanford_Online_Products/chair_final/2_0.JPG")).unwrap(),
            &["2_0.JPG is missing: a list of the dataset names it"],
        ),
        (
            |root| append(&root.join("Stanford_Online_Products/Ebay_train.txt"), "9 2 chair_final/2_0.JPG\n"),
            &["Ebay_train.txt, line 5: `9 2 chair_final/2_0.JPG` has fewer than 4 fields"],
        ),
        (
            |root| append(&root.join("Stanford_Online_Products/Ebay_train.txt"), "9 2 4 chair_final/2_0.JPG\n"),
            &["chair_final/2_0.JPG: it is listed twice; expected each image once"],
        ),
        (
            |root| append(&root.join("Stanford_Online_Products/Ebay_test.txt"), "9 11319 4 chair_final/2_0.JPG\n"),
            &["chair_final/2_0.JPG: it is listed twice; expected each image once"],
        ),
        (
            |root| replace(&root.join("Stanford_Online_Products/Ebay_train.txt"), "3 2 4", "3 two 4"),
            &["Ebay_train.txt, line 4: `two` is no number"],
        ),
        (
            |root| replace(&root.join("Stanford_Online_Products/Ebay_test.txt"), "11319 4", "2 4"),
            &["Ebay_test.txt, line 2: product 2 is in Ebay_train.txt as well"],
        ),
        (
            |root| fs::write(root.join("Stanford_Online_Products/Ebay_test.txt"), HEADER).unwrap(),
            &["Ebay_test.txt: it lists no images"],
        ),
    ];
    assert_named(DatasetName::Sop, products, &damages);
}
