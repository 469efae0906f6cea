//! Names of files and classes that hold control characters: messages show them escaped, and labels have them as they are.
//!
//! Windows has no such names.
#![cfg(unix)]

use std::error::Error;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use qare_data::{CheckOptions, DataError, DatasetName, LoadOptions, check_with, load, printable};
use tempfile::tempdir;

mod image_files;

use image_files::{write, write_all};

/// A colour of the terminal, a tab, a change of the direction of text, and a line of its own.
const NAME: &str = "a\x1b[31m\t\u{202e}\nforged";
const SHOWN: &str = r"a\u{1b}[31m\t\u{202e}\nforged";

/// No message of this text sends anything to the terminal, and no line of it is the name's.
fn assert_printable(text: &str, of: &str) {
    let unseen = |letter: char| letter != '\n' && printable(letter.to_string()).chars().ne([letter]);
    assert!(!text.chars().any(unseen), "{of}: {text:?}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{of}: {text:?}");
}

fn with_causes(error: &DataError) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// All that is said of a folder: by a check, and by a dataset that is loaded from it.
fn said(dir: &Path, dataset: DatasetName) -> Vec<String> {
    let mut said = Vec::new();
    for skip_broken in [false, true] {
        let report = check_with(dir, &CheckOptions { skip_broken, ..Default::default() }).unwrap();
        said.push(report.to_string());
        said.extend(report.fault());
        match load(dataset, &LoadOptions { dir: Some(dir), skip_broken, ..Default::default() }) {
            Ok(splits) => {
                said.push(splits.describe());
                said.extend(splits.notes);
                said.extend(splits.skipped.iter().map(with_causes));
            }
            Err(error) => said.push(with_causes(&error)),
        }
    }
    said
}

#[test]
fn nothing_that_is_said_of_a_folder_is_sent_to_the_terminal() {
    // `@` is the name. Files of images are sound unless they are named so; folders end in a slash.
    for paths in [
        "@/broken.png b/2.png",
        "@/1.png b/1.png b/2.png b/3.png b/4.png b/5.png",
        "train/@X/1.png train/@x/2.png",
        "train/@X/1.png test/@x/2.png",
        "train/x/1.png @/y/2.png",
        "@/broken.png @/1.png b/2.png b/broken.png",
        "train/@/1.png train/b/2.png test/b/3.png",
        "train/b/1.png test/@/2.png",
        "train/@/1.png train/A@/2.png test/a@/3.png",
        "@/1.png b@/2.heic",
        "@/1.png b@/",
        "@/1.png b/2.png 3@.png",
        "@/1.png b/2.png 3@.heic 4@.txt",
        "@/1.png b/2.png c.@",
        "@/data/train/x/1.png @/data/test/x/2.png",
        "@/train/x/1.png @/test/x/2.png b/1.png",
        "train/x/1.png test/x/2.png @/x/3.png @.png",
        "train/@/test/x/1.png train/@/train/x/2.png",
        "@_train/x/1.png @_test/x/2.png",
        "@_train/x/1.png @_test/x/2.png @_train2/x/2.png",
        "@train/x/1.png @b/x/2.png @train/y/1.png @b/y/2.png",
        "@/x/1.png @/y/2.png b/x/1.png b/y/2.png",
        "train/@/1.png train/b/1.png test/2@.heic",
        "@.zip",
        "@/1.heic",
    ] {
        let dir = tempdir().unwrap();
        for path in paths.split(' ').map(|path| path.replace('@', NAME)) {
            let path = dir.path().join(path);
            if path.to_string_lossy().ends_with('/') {
                fs::create_dir_all(&path).unwrap();
            } else if path.ends_with("broken.png") || path.extension().is_none_or(|ending| ending != "png") {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, "PK\x03\x04").unwrap();
            } else {
                write(&path, 8, [1, 2, 3]);
            }
        }
        let said = said(dir.path(), DatasetName::Folder);
        assert!(said.concat().contains(SHOWN), "{paths}: {said:?}");
        said.iter().for_each(|text| assert_printable(text, paths));
    }
}

#[test]
fn links_in_messages_are_printable() {
    let dir = tempdir().unwrap();
    let class = dir.path().join(NAME);
    write_all(dir.path(), &[&format!("{NAME}/1.png"), "b/2.png"]);
    let outside = tempdir().unwrap();
    write_all(outside.path(), &["1.png"]);
    for (target, name) in [(Path::new("nowhere"), "1"), (dir.path(), "2"), (&class, "3")] {
        symlink(target, dir.path().join("b").join(format!("{NAME}{name}"))).unwrap();
    }
    for name in ["4", "5"] {
        symlink(outside.path(), dir.path().join(format!("{NAME}{name}"))).unwrap();
    }
    let said = said(dir.path(), DatasetName::Folder);
    for what in ["leads nowhere", "a folder that holds it", "whose images count there", "where a\\u{1b}"] {
        assert!(said.concat().contains(what), "{what}: {said:?}");
    }
    said.iter().for_each(|text| assert_printable(text, "links"));
}

#[test]
fn lists_of_tiny_imagenet_are_printable() {
    let bad = "n\x1b[31m\u{202e}1";
    let root = tempdir().unwrap();
    let dir = root.path().join(format!("{NAME}/tiny-imagenet-200"));
    write(&dir.join("train/n1/images/1.png"), 64, [1, 2, 3]);
    write(&dir.join("val/images/2.png"), 64, [1, 2, 3]);
    write(&dir.join(format!("train/{NAME}/images/1.png")), 64, [1, 2, 3]);
    fs::write(dir.join("wnids.txt"), format!("n1\n{bad}\n{bad}\n")).unwrap();
    let lines = [format!("no tab {bad}"), format!("{bad}.png\tn1"), "2.png\tn1".into(), "2.png\tn1".into()];
    fs::write(dir.join("val/val_annotations.txt"), lines.join("\n")).unwrap();
    fs::write(dir.join("train/n1/n1_boxes.txt"), format!("{bad}.png\t1\t2\t3\t4\n")).unwrap();
    let said = said(&root.path().join(NAME), DatasetName::Tiny);
    for what in ["is listed before", "has no tab", "is not a class of wnids.txt", "has it in its list", "lists it"] {
        assert!(said.concat().contains(what), "{what}: {said:?}");
    }
    said.iter().for_each(|text| assert_printable(text, "tiny"));
}

#[test]
fn labels_keep_the_names_of_their_classes() {
    let dir = tempdir().unwrap();
    write(&dir.path().join(NAME).join("1.png"), 8, [1, 2, 3]);
    write(&dir.path().join("b/2.png"), 8, [1, 2, 3]);
    let splits = load(DatasetName::Folder, &LoadOptions { dir: Some(dir.path()), ..Default::default() }).unwrap();
    assert_eq!(splits.train.class_names(), [NAME, "b"]);
}

#[test]
fn every_error_shows_a_name_escaped() {
    let (path, text) = (|| PathBuf::from(NAME), || "cause".to_owned());
    let io = || std::io::Error::other("cause");
    for error in [
        DataError::UnknownDataset { name: NAME.into(), known: text() },
        DataError::NoSuchFolder { path: path() },
        DataError::NoFolder { path: path(), is_archive: true },
        DataError::NotFound { dataset: "folder", dir: path(), expected: "images", advice: "look" },
        DataError::MissingFile { path: path(), expected: "it" },
        DataError::Read { path: path(), source: io() },
        DataError::WrongSize { path: path(), found: 1, expected: 2, form: text() },
        DataError::BadLabel { path: path(), offset: 1, record: 1, found: 1, first: 2, last: 3 },
        DataError::BadPickle { dataset: "CIFAR-10", path: path(), problem: text() },
        DataError::BadList { path: path(), line: 1, problem: text(), expected: "it" },
        DataError::BadImage { path: path(), problem: text() },
        DataError::BadImages { first: vec![(path(), text()), (path(), text())], more: 3 },
        DataError::Layout { path: path(), problem: text(), expected: "it" },
    ] {
        let text = with_causes(&error);
        assert!(text.contains(SHOWN), "{text}");
        assert_printable(&text, "an error");
    }
}
