//! Folders as people have them: which of their folders are splits and classes, and what the notes say.

use std::fs;
use std::path::Path;

use qare_data::{CheckOptions, DataError, DatasetName, LoadOptions, Splits, check, check_with, load};
use tempfile::{TempDir, tempdir};

mod image_files;

use image_files::{contents, write_all};

fn with_files(names: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    write_all(dir.path(), names);
    dir
}

fn folder(dir: &Path) -> Result<Splits, DataError> {
    load(DatasetName::Folder, &LoadOptions { dir: Some(dir), image_size: Some(8), ..Default::default() })
}

/// Loads a folder, and asserts that the report of a check says the same.
fn loaded(dir: &TempDir) -> Splits {
    let splits = folder(dir.path()).unwrap();
    let report = check(dir.path(), None).unwrap();
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.findings[0].notes, splits.notes);
    let images: Vec<usize> = report.findings[0].splits.iter().map(|split| split.images).collect();
    let unlabeled = splits.unlabeled.iter().map(|set| set.len());
    assert_eq!(images, [splits.train.len(), splits.test.len()].into_iter().chain(unlabeled).collect::<Vec<_>>());
    splits
}

fn assert_refused(names: &[&str], parts: &[&str]) {
    let dir = with_files(names);
    let text = folder(dir.path()).expect_err(&format!("{names:?}")).to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let report = check(dir.path(), None).unwrap();
    assert_eq!(report.findings[0].problems[0].to_string(), text);
}

fn has_note(splits: &Splits, note: &str) {
    assert!(splits.notes.iter().any(|found| found == note), "`{note}` is not in {:#?}", splits.notes);
}

#[test]
fn splits_have_any_usual_name_in_any_case() {
    let pairs = [
        ("Training", "Testing"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("train", "valid"),
        ("train", "validation"),
        ("train", "dev"),
        ("train", "eval"),
        ("training_set", "test_set"),
        ("trainset", "testset"),
        ("train-images", "evaluation"),
        ("01_train", "02_test"),
        ("train2017", "val2017"),
        ("TrainImages", "TestImages"),
        ("seg_train", "seg_test"),
        ("asl_alphabet_train", "asl_alphabet_test"),
        ("archive/train", "archive/test"),
        ("images/train", "images/val"),
        ("a/b/c/Train", "a/b/c/Test"),
        ("train/images", "test/images"),
        ("training_set/training_set", "test_set/test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
    ];
    for (train, test) in pairs {
        let files = [format!("{train}/cat/1.png"), format!("{train}/dog/2.png"), format!("{test}/dog/3.png")];
        let dir = with_files(&files.each_ref().map(String::as_str));
        let splits = loaded(&dir);
        assert_eq!(splits.train.class_names(), ["cat", "dog"], "{train}");
        assert_eq!(contents(&splits.train), [(files[0].as_str(), 0), (files[1].as_str(), 1)]);
        assert_eq!(contents(&splits.test), [(files[2].as_str(), 1)]);
        assert!(splits.test.is_labeled());
        let note = match test.to_lowercase().contains("test") {
            true => format!("{train}/ is the training split and {test}/ the test split"),
            false => {
                format!("{train}/ is the training split; {test}/ serves as the test split, for there is no test folder")
            }
        };
        has_note(&splits, &note);
        has_note(&splits, &format!("class cat has no images in {test}/"));
        assert_eq!(splits.describe(), "train: 2 images of 2 classes; test: 1 image of 2 classes");
    }
}

#[test]
fn the_other_splits_and_folders_are_said_to_be_left_out() {
    let dir = with_files(&[
        "train/a/1.png",
        "train/b/2.png",
        "test/a/3.png",
        "val/a/4.png",
        "val/b/5.png",
        "extra/x.png",
        "logo.png",
    ]);
    let splits = loaded(&dir);
    assert_eq!((splits.train.len(), contents(&splits.test)), (2, vec![("test/a/3.png", 0)]));
    has_note(&splits, "val/ is left out (2 images)");
    has_note(&splits, "1 image in no split, left out: extra/");
    has_note(&splits, "1 image beside the splits, left out: logo.png");
}

#[test]
fn a_class_may_be_called_like_a_split() {
    for (name, others) in [("train", ["bus", "car"]), ("test", ["control", "placebo"]), ("valid", ["invalid", "void"])]
    {
        let mut names = vec![name, others[0], others[1]];
        names.sort_unstable();
        let files: Vec<String> = names.iter().map(|name| format!("{name}/1.png")).collect();
        let splits = loaded(&with_files(&files.iter().map(String::as_str).collect::<Vec<_>>()));
        assert_eq!(splits.train.class_names(), names);
        has_note(
            &splits,
            &format!(
                "{name}/ is taken for a class: it has images only, as the folders beside it; a split would hold class folders"
            ),
        );
    }
    // Names that only contain the word of a split get no note.
    let splits = loaded(&with_files(&["train_station/1.png", "test_tube/2.png", "contest/3.png"]));
    assert_eq!(splits.train.class_names(), ["contest", "test_tube", "train_station"]);
    assert!(!splits.notes.iter().any(|note| note.contains("taken for")));
}

#[test]
fn what_looks_like_splits_and_fits_no_pattern_is_refused() {
    assert_refused(&["train/a/1.png", "Training/a/2.png"], &["Training/ and train/ both look like the training split"]);
    assert_refused(
        &["train/a/1.png", "val/a/2.png", "valid/a/3.png"],
        &["val/ and valid/ both look like a split for tests"],
    );
    assert_refused(&["test/a/1.png", "test/b/2.png"], &["there are images in test/ but none in train/"]);
    assert_refused(&["val/1.png"], &["images in val/ but none in train/"]);
    assert_refused(&["eval/a/1.png", "Test/a/2.png"], &["images in Test/ and eval/ but none in train/"]);
    assert_refused(
        &["train/a/1.png", "train/b/2.png", "cat/3.png", "dog/4.png"],
        &["train/ is named like a split, but the folders beside it are not: cat/, dog/", "rename or move"],
    );
    assert_refused(&["train/1.png", "test/2.png", "bus/3.png"], &["test/, train/ are named like splits"]);
    assert_refused(&["cat/1.png", "dog/2.png", "test/cat/3.png"], &["test/ is named like a split"]);
    assert_refused(
        &["bottle/train/1.png", "bottle/test/2.png", "cable/train/3.png"],
        &["bottle: it looks like a class, but bottle/test/ and bottle/train/ in it like splits"],
    );
    assert_refused(
        &["Trainingsdaten/a/1.png", "Trainingsdaten/b/2.png", "Testdaten/a/3.png", "Testdaten/b/4.png"],
        &["Testdaten/ and Trainingsdaten/ hold the same folders: they look like splits"],
    );
    assert_refused(
        &["train/1.png", "test/a/2.png"],
        &["the images in train/ are in no class folders, but those in test/ are"],
    );
    assert_refused(
        &["train/a/1.png", "test/a/2.png", "test/3.png"],
        &["test/3.png: an image beside class folders is of no class"],
    );
    assert_refused(&["train/Cat/1.png", "test/cat/2.png"], &["there are no training images of class cat, but of Cat"]);
}

#[test]
fn unlabelled_test_images_are_a_test_split_without_labels() {
    for test in ["test", "test/images", "Test1", "test/unknown", "test/test"] {
        let files = ["train/cat/1.png", "train/dog/2.png", &format!("{test}/3.png"), &format!("{test}/4.png")];
        let splits = loaded(&with_files(&files));
        assert_eq!((splits.train.len(), splits.train.is_labeled()), (2, true));
        assert_eq!(contents(&splits.test), [(files[2], 0), (files[3], 0)]);
        assert!(!splits.test.is_labeled() && !splits.test.select(&[1]).is_labeled());
        assert_eq!(splits.test.class_names(), ["unlabeled"]);
        has_note(
            &splits,
            &format!(
                "train/ is the training split; the images in {test}/ have no labels: nothing can be tested on them"
            ),
        );
        assert_eq!(splits.describe(), "train: 2 images of 2 classes; test: 2 images without labels");
    }
}

#[test]
fn images_without_classes_have_no_labels() {
    let flat = loaded(&with_files(&["1.png", "2.png"]));
    assert!(!flat.train.is_labeled() && flat.test.is_empty());
    let both = loaded(&with_files(&["train/1.png", "train/2.png", "test/3.png"]));
    assert!(!both.train.is_labeled() && !both.test.is_labeled());
    assert_eq!((both.train.len(), both.test.len()), (2, 1));
    let wrapped = loaded(&with_files(&["images/1.png", "images/2.png"]));
    assert!(!wrapped.train.is_labeled());
    has_note(&wrapped, "all images are in images/, which is taken for the dataset's folder");
    // A single class is a class all the same.
    let one = loaded(&with_files(&["only/1.png", "only/2.png"]));
    assert_eq!((one.train.is_labeled(), one.train.class_names()), (true, &["only".to_owned()][..]));
}

#[test]
fn an_unlabelled_folder_is_for_training_without_labels() {
    for (name, labelled) in [("unlabeled", ["cat", "dog"]), ("unsup", ["train/cat", "train/dog"])] {
        let files = [format!("{name}/x/1.png"), format!("{}/2.png", labelled[0]), format!("{}/3.png", labelled[1])];
        let splits = loaded(&with_files(&files.each_ref().map(String::as_str)));
        assert_eq!(splits.train.class_names(), ["cat", "dog"]);
        assert_eq!(contents(splits.unlabeled.as_ref().unwrap()), [(files[0].as_str(), 0)]);
        assert!(!splits.pretraining().is_labeled() && splits.pretraining().len() == 1);
        has_note(
            &splits,
            &format!(
                "the images in {name}/ have no labels: methods that learn without labels train on them, and not on those of the classes"
            ),
        );
    }
}

#[test]
fn what_is_left_out_is_named_wherever_a_folder_is_loaded() {
    let dir = with_files(&["a/1.png", "b/2.png"]);
    for name in ["a/x.heic", "a/y.heic", "b/z.psd", "a/notes.txt", "a/nothing", "c/1.heic", "c/2.AVIF", "labels.csv"] {
        fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
        fs::write(dir.path().join(name), "x").unwrap();
    }
    for junk in ["a/Thumbs.db", "a/.DS_Store", "b/desktop.ini", "__MACOSX/a/1.png", ".git/2.png"] {
        fs::create_dir_all(dir.path().join(junk).parent().unwrap()).unwrap();
        fs::write(dir.path().join(junk), "x").unwrap();
    }
    fs::create_dir(dir.path().join("d")).unwrap();
    let splits = loaded(&dir);
    assert_eq!(splits.train.class_names(), ["a", "b"]);
    has_note(&splits, "the class c is left out: its 2 files (avif 1, heic 1) are not read");
    has_note(&splits, "the folder d has no images and is not a class");
    has_note(
        &splits,
        "5 files in image formats that are not read, left out (heic 3, avif 1, psd 1): a/x.heic, a/y.heic, b/z.psd, c/1.heic, c/2.AVIF",
    );
    has_note(
        &splits,
        "3 files whose names are not those of images, left out (no extension 1, csv 1, txt 1): a/notes.txt, a/nothing, labels.csv",
    );
    assert!(
        !splits
            .notes
            .iter()
            .any(|note| note.contains("DS_Store") || note.contains("Thumbs") || note.contains("MACOSX"))
    );
}

#[test]
fn classes_that_differ_in_case_only_are_pointed_out() {
    let splits = loaded(&with_files(&["Cat/1.png", "cat/2.png"]));
    assert_eq!(splits.train.classes(), 2);
    has_note(&splits, "the classes Cat and cat differ only in the case of letters");
}

#[test]
fn broken_images_can_be_left_out() {
    let names: Vec<String> = (0..12).map(|image| format!("{}/{image:02}.png", ["a", "b"][image % 2])).collect();
    let dir = with_files(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in ["a/02.png", "b/11.png"] {
        fs::write(dir.path().join(name), "<!DOCTYPE html>").unwrap();
    }
    let options = LoadOptions { dir: Some(dir.path()), skip_broken: true, ..Default::default() };
    let splits = load(DatasetName::Folder, &options).unwrap();
    let expected: Vec<(&str, u16)> = vec![
        ("a/00.png", 0),
        ("a/04.png", 0),
        ("a/06.png", 0),
        ("a/08.png", 0),
        ("b/01.png", 1),
        ("b/03.png", 1),
        ("b/05.png", 1),
        ("b/07.png", 1),
        ("b/09.png", 1),
    ];
    assert_eq!(contents(&splits.train), expected);
    assert_eq!(image_files::reds(&splits.train), [0, 4, 6, 8, 1, 3, 5, 7, 9]);
    assert_eq!(contents(&splits.test), [("a/10.png", 0)]);
    let skipped: Vec<String> = splits.skipped.iter().map(ToString::to_string).collect();
    assert_eq!(skipped.len(), 2);
    assert!(skipped[0].contains("a/02.png: broken image: it is a web page, which is not read"), "{}", skipped[0]);
    let note = splits.notes.iter().find(|note| note.starts_with("2 broken images left out:")).unwrap();
    assert!(note.contains("a/02.png: it is a web page") && note.contains("b/11.png: "), "{note}");
    assert!(!note.contains("--skip-broken"), "{note}");
    // First one class has only broken images, then the whole dataset.
    for name in names.iter().filter(|name| name.starts_with('b')) {
        fs::write(dir.path().join(name), "").unwrap();
    }
    has_note(&load(DatasetName::Folder, &options).unwrap(), "all training images of class b are broken");
    for name in &names {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let text = load(DatasetName::Folder, &options).unwrap_err().to_string();
    assert!(text.contains("all 10 training images are broken, the first of them") && !text.contains("skip"), "{text}");
    let options = LoadOptions { skip_broken: false, ..options };
    let text = load(DatasetName::Folder, &options).unwrap_err().to_string();
    assert!(text.starts_with("12 broken images") && text.ends_with("and 2 more"), "{text}");
}

#[test]
fn a_test_split_that_cannot_be_read_is_not_made_up() {
    let unread = |names: &[&str]| {
        let dir = with_files(&["train/a/1.png", "train/b/2.png"]);
        for name in names {
            fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            fs::write(dir.path().join(name), "x").unwrap();
        }
        dir
    };
    for names in
        [&["test/a/1.heic", "test/b/2.heic"][..], &["Val/1.AVIF", "Val/2.avif"], &["eval/x/y/1.jxl", "eval/x/z/1.JXL"]]
    {
        let dir = unread(names);
        let text = folder(dir.path()).unwrap_err().to_string();
        assert!(text.contains("2 images in formats that are not read") && text.contains("convert"), "{text}");
        assert_eq!(check(dir.path(), None).unwrap().findings[0].problems[0].to_string(), text);
    }
    // Another split with images that are read serves as the test split.
    let dir = unread(&["test/a/1.heic"]);
    write_all(dir.path(), &["val/a/1.png", "val/b/2.png"]);
    assert_eq!(loaded(&dir).test.len(), 2);
    // The split has a further word in its name, or lies beside classes without a training split.
    for (train, test) in [("seg_train/a/1.png", "seg_test/a/1.heic"), ("a/1.png", "test/1.heic")] {
        let dir = with_files(&[train]);
        fs::create_dir_all(dir.path().join(test).parent().unwrap()).unwrap();
        fs::write(dir.path().join(test), "x").unwrap();
        assert!(folder(dir.path()).unwrap_err().to_string().contains("not read"), "{test}");
    }
    // The split may be in another folder than the images that are read. A class with `test` in its name is no split.
    for (train, test) in [("train/train/a/1.png", "train/test/a/1.heic"), ("x/train/a/1.png", "y/test/a/1.heic")] {
        let dir = with_files(&[train]);
        fs::create_dir_all(dir.path().join(test).parent().unwrap()).unwrap();
        fs::write(dir.path().join(test), "x").unwrap();
        assert!(folder(dir.path()).unwrap_err().to_string().contains("not read"), "{test}");
    }
    let dir = with_files(&["a/1.png", "b/1.png"]);
    fs::create_dir(dir.path().join("pregnancy test")).unwrap();
    fs::write(dir.path().join("pregnancy test/1.heic"), "x").unwrap();
    has_note(&loaded(&dir), "the class pregnancy test is left out: its 1 file (heic 1) are not read");
    // Another split serves, and the note does not say that there is no test folder.
    let dir = unread(&["test/a/1.heic"]);
    write_all(dir.path(), &["val/a/1.png", "val/b/2.png"]);
    let note =
        "train/ is the training split; val/ serves as the test split, for there are no images in test/ that are read";
    has_note(&loaded(&dir), note);
    // A note names a split without any images.
    let dir = unread(&["test/readme.md"]);
    has_note(&loaded(&dir), "test/ has no images and does not count");
}

#[test]
fn classes_of_which_nothing_is_held_out_are_named() {
    let names: Vec<String> = (0..5).map(|image| format!("large/{image}.png")).chain(["small/1.png".into()]).collect();
    let splits = loaded(&with_files(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(splits.test.len(), 1);
    let note = "there is no test split: the last fifth of each class is held out for it; classes of fewer than five images are not tested: small";
    has_note(&splits, note);
}

#[test]
fn splits_inside_of_splits_are_no_classes() {
    for names in [
        &["train/train/a/1.png", "train/train/b/1.png", "train/test/a/1.png"][..],
        &["labeled/train/a/1.png", "labeled/test/a/1.png", "unlabeled/1.png"],
        &["train/a/1.png", "train/b/1.png", "train/val/a/1.png", "train/val/b/1.png"],
        &["train/train/1.png", "train/test/2.png", "test/train/1.png", "test/test/1.png"],
        &["train/a/1.png", "test/a/1.png", "test/b/val/1.png", "test/b/train/1.png", "train/b/1.png"],
    ] {
        assert_refused(names, &["like"]);
    }
    assert_refused(&["mnist_train/a/1.png", "mnist_train/b/1.png", "fashion_test/a/1.png"], &["not of one dataset"]);
    // The vehicle `train` is a class.
    let splits = loaded(&with_files(&["train/bus/1.png", "train/train/1.png", "test/bus/1.png", "test/train/1.png"]));
    assert_eq!(splits.train.class_names(), ["bus", "train"]);
    let splits = loaded(&with_files(&["train_station/1.png", "test_tube/1.png"]));
    assert_eq!(splits.train.class_names(), ["test_tube", "train_station"]);
}

#[test]
fn a_check_with_broken_images_left_out_says_what_loading_says() {
    let dir = with_files(&["train/a/1.png", "train/b/2.png", "test/a/1.png"]);
    for name in ["train/b/2.png", "test/a/1.png"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let options = LoadOptions { dir: Some(dir.path()), skip_broken: true, ..Default::default() };
    let splits = load(DatasetName::Folder, &options).unwrap();
    let check = |options: &CheckOptions| check_with(dir.path(), options).unwrap();
    let report = check(&CheckOptions { skip_broken: true, ..Default::default() });
    assert!(report.is_sound(), "{report}");
    assert_eq!(report.findings[0].notes, splits.notes);
    has_note(&splits, "all training images of class b are broken");
    has_note(&splits, "all test images are broken");
    fs::write(dir.path().join("train/a/1.png"), "").unwrap();
    let report = check(&CheckOptions { skip_broken: true, ..Default::default() });
    let text = load(DatasetName::Folder, &options).unwrap_err().to_string();
    assert_eq!(report.findings[0].problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [text]);
}
