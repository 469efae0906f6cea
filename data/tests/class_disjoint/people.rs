//! Market-1501 and CUHK03: identities, cameras, queries and gallery in file names and folders.

use std::fs;
use std::path::Path;

use qare_data::RetrievalRole::{Gallery, Query};
use qare_data::{DatasetName, check};
use tempfile::tempdir;

use crate::image_files::{contents, write, write_all};
use crate::{assert_named, assert_note, read};

const MARKET: &str = "Market-1501-v15.09.15";

fn market(dir: &Path) {
    let files = [
        "bounding_box_train/0002_c1s1_000451_03.jpg",
        "bounding_box_train/0002_c3s1_000551_01.jpg",
        "bounding_box_train/0007_c2s3_070952_01.jpg",
        "query/0001_c1s1_001051_00.jpg",
        "query/0005_c6s1_000001_00.jpg",
        "bounding_box_test/-1_c1s1_000401_03.jpg",
        "bounding_box_test/0000_c1s1_000151_01.jpg",
        "bounding_box_test/0001_c1s1_001051_01.jpg",
        "bounding_box_test/0001_c2s1_000301_00.jpg",
        "bounding_box_test/0005_c3s1_000011_02.jpg",
    ];
    write_all(&dir.join(MARKET), &files);
    fs::write(dir.join(MARKET).join("query/Thumbs.db"), "").unwrap();
    // Of the archive, and not read.
    write(&dir.join(MARKET).join("gt_bbox/0001_c1s1_001051_00.jpg"), 8, [0; 3]);
}

fn cuhk03(dir: &Path, boxes: &str) {
    let files = ["bounding_box_train/0001_c1_1.png", "query/0003_c1_1.png", "bounding_box_test/0003_c2_6.png"];
    write_all(&dir.join("cuhk03-np").join(boxes), &files);
}

#[test]
fn queries_and_gallery_are_the_test_split() {
    let dir = tempdir().unwrap();
    market(dir.path());
    for root in [dir.path().to_path_buf(), dir.path().join(MARKET)] {
        let splits = read(DatasetName::Market1501, &root).unwrap();
        assert_eq!(splits.train.class_names(), ["0002", "0007"]);
        assert_eq!((splits.train.labels(), splits.train.cameras()), (&[0, 0, 1][..], Some(&[1, 3, 2][..])));
        assert_eq!(splits.train.roles(), None);
        assert_eq!(splits.test.class_names(), ["0000", "0001", "0005"]);
        assert_eq!(
            contents(&splits.test),
            [
                ("bounding_box_test/0000_c1s1_000151_01.jpg", 0),
                ("query/0001_c1s1_001051_00.jpg", 1),
                ("bounding_box_test/0001_c1s1_001051_01.jpg", 1),
                ("bounding_box_test/0001_c2s1_000301_00.jpg", 1),
                ("query/0005_c6s1_000001_00.jpg", 2),
                ("bounding_box_test/0005_c3s1_000011_02.jpg", 2),
            ]
        );
        assert_eq!(splits.test.cameras(), Some(&[1, 1, 1, 2, 6, 3][..]));
        assert_eq!(splits.test.roles(), Some(&[Gallery, Query, Gallery, Gallery, Query, Gallery][..]));
        let part = splits.test.select(&[4, 0, 3]);
        assert_eq!((part.cameras(), part.roles()), (Some(&[6, 1, 2][..]), Some(&[Query, Gallery, Gallery][..])));
        assert_note(&splits, "the test split is 2 images in query/ and the gallery in bounding_box_test/");
        assert_note(&splits, "1 junk image (-1) in bounding_box_test/ left out");
        assert_note(&splits, "1 distractor (0000) in the gallery");
    }
    let report = check(dir.path(), None).unwrap();
    assert!(report.is_sound() && report.to_string().starts_with("market1501 (image files) in "), "{report}");
    assert_eq!(report.findings.len(), 1);
}

#[test]
fn distractors_are_no_queries_and_not_trained_on() {
    let dir = tempdir().unwrap();
    market(dir.path());
    for file in ["query/0000_c2s1_000001_00.jpg", "bounding_box_train/0000_c2s1_000002_00.jpg"] {
        write(&dir.path().join(MARKET).join(file), 8, [0; 3]);
    }
    let splits = read(DatasetName::Market1501, dir.path()).unwrap();
    assert_eq!((splits.train.class_names(), splits.train.len()), (&["0002".to_owned(), "0007".to_owned()][..], 3));
    assert_eq!(splits.test.roles().unwrap().iter().filter(|role| **role == Query).count(), 2);
    assert_note(&splits, "1 distractor (0000) in query/ left out");
    assert_note(&splits, "1 distractor (0000) in bounding_box_train/ left out");
    assert_note(&splits, "the test split is 2 images in query/");
    assert_note(&splits, "1 distractor (0000) in the gallery");
}

#[test]
fn subsets_keep_roles_with_their_images() {
    let dir = tempdir().unwrap();
    market(dir.path());
    let test = read(DatasetName::Market1501, dir.path()).unwrap().test;
    for seed in 0..20 {
        let part = test.stratified(4, seed);
        for (image, role) in part.roles().unwrap().iter().enumerate() {
            assert_eq!(*role == Query, part.file_name(image).unwrap().starts_with("query/"));
        }
    }
}

#[test]
fn one_of_the_two_sets_of_boxes_is_loaded() {
    let dir = tempdir().unwrap();
    cuhk03(dir.path(), "labeled");
    let root = dir.path().join("cuhk03-np");
    for place in [dir.path(), &root, &root.join("labeled")] {
        let splits = read(DatasetName::Cuhk03, place).unwrap();
        assert_eq!((splits.train.class_names(), splits.test.cameras()), (&["0001".to_owned()][..], Some(&[1, 2][..])));
        let report = check(place, None).unwrap();
        assert!(report.is_sound() && report.to_string().starts_with("cuhk03 (image files) in "), "{report}");
        assert_eq!(report.findings.len(), 1, "{report}");
    }
    cuhk03(dir.path(), "detected");
    for place in [dir.path(), &root] {
        let message = read(DatasetName::Cuhk03, place).unwrap_err().to_string();
        assert!(
            message.contains("cuhk03-np: labeled and detected are both there; expected one of the two"),
            "{message}"
        );
        assert_eq!(check(place, None).unwrap().findings.len(), 2);
    }
    assert!(read(DatasetName::Cuhk03, &root.join("detected")).is_ok());
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let damages: [crate::Damage; 4] = [
        (
            |root| fs::remove_dir_all(root.join(MARKET).join("query")).unwrap(),
            &["query is missing: Market-1501 is bounding_box_train"],
        ),
        (
            |root| fs::remove_dir_all(root.join(MARKET).join("bounding_box_train")).unwrap(),
            &["bounding_box_train is missing"],
        ),
        (
            |root| {
                for file in ["0001_c1s1_001051_00.jpg", "0005_c6s1_000001_00.jpg"] {
                    fs::remove_file(root.join(MARKET).join("query").join(file)).unwrap();
                }
            },
            &["query: there are no images in it"],
        ),
        (
            |root| write(&root.join(MARKET).join("query/person.jpg"), 8, [0; 3]),
            &["query/person.jpg: its name has no identity and camera; expected IDENTITY_cCAMERA"],
        ),
    ];
    assert_named(DatasetName::Market1501, market, &damages);
    let empty = tempdir().unwrap();
    for dataset in [DatasetName::Market1501, DatasetName::Cuhk03] {
        let message = read(dataset, empty.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("dataset `{dataset}` is not in")), "{message}");
    }
}
