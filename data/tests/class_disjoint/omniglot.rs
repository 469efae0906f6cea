//! Omniglot: alphabets, characters and drawers, in its large and in its small splits.

use std::fs;
use std::path::Path;

use qare_data::{DatasetName, ImageSet, LoadOptions, check, load};
use tempfile::tempdir;

use crate::image_files::{contents, reds, write, write_all};
use crate::{assert_named, assert_note, read};

/// Writes the drawings of two characters of an alphabet by three people.
fn alphabet(root: &Path, path: &str) {
    let names: Vec<String> = (1..=2)
        .flat_map(|character| {
            (1..=3).map(move |drawer| format!("{path}/character{character:02}/{character:04}_{drawer:02}.png"))
        })
        .collect();
    write_all(root, &names.iter().map(String::as_str).collect::<Vec<_>>());
}

fn small(root: &Path) {
    for path in ["small1/Greek", "small1/Korean", "small2/Greek", "small2/Sanskrit", "small2/Tagalog"] {
        alphabet(root, &format!("images_background_{path}"));
    }
}

fn large(root: &Path) {
    for path in ["images_background/Korean", "images_evaluation/Oriya"] {
        alphabet(root, path);
    }
}

fn cameras(images: &ImageSet) -> &[u16] {
    images.cameras().unwrap()
}

#[test]
fn characters_are_classes_and_drawers_are_cameras() {
    let dir = tempdir().unwrap();
    large(dir.path());
    let splits = read(DatasetName::Omniglot, dir.path()).unwrap();
    assert_eq!(splits.train.class_names(), ["Korean/character01", "Korean/character02"]);
    assert_eq!(splits.test.class_names(), ["Oriya/character01", "Oriya/character02"]);
    let file = |character: u16, drawer: u16| {
        format!("images_evaluation/Oriya/character{:02}/{:04}_{drawer:02}.png", character + 1, character + 1)
    };
    let expected: Vec<(String, u16)> =
        (0..2).flat_map(|character| (1..=3).map(move |drawer| (file(character, drawer), character))).collect();
    let expected: Vec<(&str, u16)> = expected.iter().map(|(name, label)| (name.as_str(), *label)).collect();
    assert_eq!(contents(&splits.test), expected);
    assert_eq!(cameras(&splits.train), [1, 2, 3, 1, 2, 3]);
    assert_eq!(cameras(&splits.test), [1, 2, 3, 1, 2, 3]);
    assert_eq!((splits.test.roles(), splits.train.is_labeled()), (None, true));
    let part = splits.test.select(&[5, 0]);
    assert_eq!((cameras(&part), part.labels()), (&[3, 1][..], &[1, 0][..]));
    // Without a size, that of the literature.
    let options = LoadOptions { dir: Some(dir.path()), ..Default::default() };
    assert_eq!(load(DatasetName::Omniglot, &options).unwrap().train.side(), 28);
}

#[test]
fn subsets_keep_cameras_with_their_images() {
    let dir = tempdir().unwrap();
    small(dir.path());
    let train = read(DatasetName::Omniglot, dir.path()).unwrap().train;
    for seed in 0..20 {
        let part = train.stratified(6, seed);
        assert_eq!(part.len(), 6);
        for image in 0..part.len() {
            let name = part.file_name(image).unwrap();
            assert!(name.ends_with(&format!("_{:02}.png", cameras(&part)[image])), "{name}");
        }
    }
}

#[test]
fn of_the_small_splits_shared_alphabets_are_for_training() {
    let dir = tempdir().unwrap();
    small(dir.path());
    let splits = read(DatasetName::Omniglot, dir.path()).unwrap();
    assert_eq!((splits.train.len(), splits.train.classes()), (12, 4));
    let names = ["Sanskrit/character01", "Sanskrit/character02", "Tagalog/character01", "Tagalog/character02"];
    assert_eq!(splits.test.class_names(), names);
    assert!(contents(&splits.train).iter().all(|(name, _)| name.starts_with("images_background_small1/")));
    assert_note(&splits, "images_background_small1/ is the training split: 2 alphabets");
    assert_note(&splits, "images_background_small2/ is the test split: 2 alphabets");
    assert_note(&splits, "alphabets of both splits, in training only: Greek");
    let report = check(dir.path(), None).unwrap();
    let expected =
        "train: 12 images, 4 classes (labels 0 to 3), 3 images each\n  test: 12 images, 4 classes (labels 0 to 3)";
    assert!(report.is_sound() && report.to_string().contains(expected), "{report}");
    assert_eq!((report.findings.len(), report.findings[0].complete), (1, Some(false)));
    // The large splits come first.
    large(dir.path());
    assert_eq!(read(DatasetName::Omniglot, dir.path()).unwrap().test.class_names().len(), 2);
}

#[test]
fn each_folder_may_lie_in_one_of_its_own() {
    let dir = tempdir().unwrap();
    alphabet(dir.path(), "one/images_background_small1/Greek");
    alphabet(dir.path(), "images_background_small2/images_background_small2/Tagalog");
    let splits = read(DatasetName::Omniglot, dir.path()).unwrap();
    assert_eq!(splits.train.file_name(0), Some("one/images_background_small1/Greek/character01/0001_01.png"));
    let inner = "images_background_small2/images_background_small2/Tagalog/character01/0001_01.png";
    assert_eq!(splits.test.file_name(0), Some(inner));
}

#[test]
fn broken_images_are_left_out_with_their_cameras() {
    let dir = tempdir().unwrap();
    large(dir.path());
    fs::write(dir.path().join("images_background/Korean/character01/0001_02.png"), "no image").unwrap();
    let options = LoadOptions { dir: Some(dir.path()), skip_broken: true, ..Default::default() };
    // In memory, and in a file.
    for memory_limit in [1 << 30, 0] {
        let splits = load(DatasetName::Omniglot, &LoadOptions { memory_limit, ..options }).unwrap();
        assert_eq!(splits.train.is_in_memory(), memory_limit > 0);
        assert_eq!((cameras(&splits.train), splits.train.labels()), (&[1, 3, 1, 2, 3][..], &[0, 0, 1, 1, 1][..]));
        assert_eq!(reds(&splits.train), [0, 2, 3, 4, 5]);
    }
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let damages: [crate::Damage; 4] = [
        (
            |root| fs::remove_dir_all(root.join("images_background_small2")).unwrap(),
            &["images_background_small2 is missing: the folders images_background and images_evaluation, or"],
        ),
        (
            |root| {
                for alphabet in ["Sanskrit", "Tagalog"] {
                    fs::remove_dir_all(root.join("images_background_small2").join(alphabet)).unwrap();
                }
            },
            &["images_background_small2: there are no alphabets for the test split", "that training has not"],
        ),
        (
            |root| write(&root.join("images_background_small1/Greek/character01/omega.png"), 8, [0; 3]),
            &["character01/omega.png: its name does not say who drew it; expected NNNN_DD.png"],
        ),
        (
            |root| write(&root.join("images_background_small1/Greek/0001_01.png"), 8, [0; 3]),
            &["Greek/0001_01.png: the image is in the folder of an alphabet, and of no character"],
        ),
    ];
    assert_named(DatasetName::Omniglot, small, &damages);
    let empty = tempdir().unwrap();
    let message = read(DatasetName::Omniglot, empty.path()).unwrap_err().to_string();
    assert!(message.contains("dataset `omniglot` is not in") && message.contains("images_background.zip"), "{message}");
}
