//! Image folders in all their forms.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use qare_data::{DataError, DatasetName, LoadOptions, Splits, load};
use tempfile::{TempDir, tempdir};

mod image_files;

use image_files::{contents, reds, write, write_all};

fn folder(dir: &Path) -> Result<Splits, DataError> {
    load(DatasetName::Folder, &LoadOptions { dir: Some(dir), ..Default::default() })
}

fn with_files(names: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    write_all(dir.path(), names);
    dir
}

fn assert_message(dir: &Path, parts: &[&str]) {
    let text = folder(dir).expect_err("a damaged dataset").to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn train_and_test_folders_are_the_splits() {
    let dir = with_files(&[
        "train/dog/2.png",
        "train/dog/10.PNG",
        "train/cat/deep/er/1.bmp",
        "train/cat/0.webp",
        "test/dog/x.png",
        "test/cat/y.png",
        "val/cat/z.png",
        "elsewhere/w.png",
    ]);
    fs::write(dir.path().join("train/cat/notes.txt"), "no image").unwrap();
    fs::write(dir.path().join("train/cat/.hidden.png"), "no image").unwrap();
    fs::create_dir(dir.path().join("train/empty")).unwrap();
    let splits = folder(dir.path()).unwrap();
    assert_eq!(splits.train.class_names(), ["cat", "dog"]);
    assert_eq!(
        contents(&splits.train),
        [("train/cat/0.webp", 0), ("train/cat/deep/er/1.bmp", 0), ("train/dog/10.PNG", 1), ("train/dog/2.png", 1)]
    );
    assert_eq!(reds(&splits.train), [3, 2, 1, 0]);
    assert_eq!(contents(&splits.test), [("test/cat/y.png", 0), ("test/dog/x.png", 1)]);
    assert_eq!((splits.test.side(), splits.test.classes()), (64, 2));
    let part = splits.train.select(&[2, 0]);
    assert_eq!((part.file_name(0), part.file_name(1)), (Some("train/dog/10.PNG"), Some("train/cat/0.webp")));
}

#[test]
fn val_stands_in_for_a_test_split_that_is_not_there_or_has_no_classes() {
    let dir = with_files(&["train/a/1.png", "train/b/1.png", "val/b/2.png"]);
    let splits = folder(dir.path()).unwrap();
    assert_eq!(contents(&splits.test), [("val/b/2.png", 1)]);
    assert_eq!(
        splits.notes,
        [
            "train/ is the training split; val/ serves as the test split, for there is no test folder",
            "class a has no images in val/"
        ]
    );
    write(&dir.path().join("test/of-no-class.png"), 8, [0; 3]);
    let splits = folder(dir.path()).unwrap();
    assert_eq!(contents(&splits.test), [("val/b/2.png", 1)]);
    let note = "train/ is the training split; val/ serves as the test split, for the images in test/ have no labels";
    assert_eq!(splits.notes[0], note);
    assert!(splits.notes.contains(&"test/ has no class folders and is left out (1 image)".to_owned()));
}

#[test]
fn without_a_test_split_the_last_fifth_of_each_class_is_held_out() {
    let mut names: Vec<String> = (0..11).map(|image| format!("a/{image:02}.png")).collect();
    names.extend((0..4).map(|image| format!("b/{image}.png")));
    for prefix in ["", "train/"] {
        let names: Vec<String> = names.iter().map(|name| format!("{prefix}{name}")).collect();
        let dir = with_files(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let splits = folder(dir.path()).unwrap();
        assert_eq!((splits.train.len(), splits.train.classes()), (9 + 4, 2));
        assert_eq!(contents(&splits.test), [(&*format!("{prefix}a/09.png"), 0), (&*format!("{prefix}a/10.png"), 0)]);
    }
}

#[test]
fn images_in_no_class_folders_are_for_training_without_labels() {
    let dir = with_files(&["1.png", "2.png", "3.png", "4.png", "5.png", "6.png"]);
    let splits = folder(dir.path()).unwrap();
    assert_eq!((splits.train.len(), splits.test.len()), (6, 0));
    assert_eq!(
        (splits.train.class_names(), splits.pretraining().labels()),
        (&["unlabeled".to_owned()][..], &[0; 6][..])
    );
    assert_eq!(contents(&splits.train)[5], ("6.png", 0));
}

#[test]
fn folders_that_make_no_dataset_are_errors() {
    let empty = tempdir().unwrap();
    assert_message(empty.path(), &["train/CLASS/", &empty.path().display().to_string(), "jpg, png"]);
    assert_message(&empty.path().join("nowhere"), &["nowhere"]);
    let dir = with_files(&["train/a/1.png", "test/a/1.png", "test/b/1.png"]);
    assert_message(dir.path(), &["test/b: there are no training images of class b"]);
    let dir = with_files(&["train/a/1.png", "train/montage.png", "train/other.png"]);
    assert_message(dir.path(), &["train/montage.png: 2 images beside class folders are of no class"]);
    let dir = with_files(&["test/a/1.png", "val/a/1.png"]);
    assert_message(dir.path(), &["images in test/ and val/ but none in train/"]);
}

#[test]
fn broken_images_are_named_together() {
    let dir = with_files(&["a/1.png", "a/2.png", "a/3.png", "b/4.png", "b/5.png"]);
    for name in ["a/3.png", "b/4.png", "b/5.png"] {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    fs::write(dir.path().join("b/5.png"), "").unwrap();
    let parts =
        ["3 broken images; replace or delete them, or go on without them (--skip-broken):", "a/3.png: ", "b/4.png: "];
    assert_message(dir.path(), &parts);
    assert_message(dir.path(), &["b/5.png: the file is empty"]);
    for name in ["a/3.png", "b/4.png"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    assert_message(
        dir.path(),
        &["b/5.png: broken image: the file is empty; replace or delete it, or go on without it"],
    );
}

#[test]
fn images_of_any_size_become_the_size_asked_for_and_progress_counts_them() {
    let dir = tempdir().unwrap();
    for (name, side) in [("a/1.png", 5), ("a/2.png", 300), ("b/3.jpg", 33), ("b/4.png", 20)] {
        write(&dir.path().join(name), side, [side as u8, 0, 255]);
    }
    let calls = Mutex::new(Vec::new());
    let count = |done, total| calls.lock().unwrap().push((done, total));
    let options =
        LoadOptions { dir: Some(dir.path()), image_size: Some(20), progress: Some(&count), ..Default::default() };
    let splits = load(DatasetName::Folder, &options).unwrap();
    assert_eq!(splits.train.side(), 20);
    for (index, red) in [5, 44, 33, 20].into_iter().enumerate() {
        let pixels = splits.train.pixels(index);
        // JPEG changes the pixels.
        assert!(pixels[..400].iter().all(|value: &u8| value.abs_diff(red) <= 3), "image {index}: {:?}", &pixels[..3]);
        assert!(pixels[400..800].iter().all(|&value| value <= 3) && pixels[800..].iter().all(|&value| value >= 252));
    }
    let mut calls = calls.into_inner().unwrap();
    calls.sort_unstable();
    assert_eq!(calls, [(1, 4), (2, 4), (3, 4), (4, 4)]);
}

#[test]
fn slim_is_its_folder_or_the_one_that_holds_it() {
    let dir = with_files(&["SlimageNet64/train/n1/1.png", "SlimageNet64/train/n2/2.png", "SlimageNet64/test/n2/3.png"]);
    for dir in [dir.path().to_path_buf(), dir.path().join("SlimageNet64")] {
        let splits = load(DatasetName::Slim, &LoadOptions { dir: Some(&dir), ..Default::default() }).unwrap();
        assert_eq!(contents(&splits.train), [("train/n1/1.png", 0), ("train/n2/2.png", 1)]);
        assert_eq!(contents(&splits.test), [("test/n2/3.png", 1)]);
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_unless_they_lead_back() {
    use std::os::unix::fs::symlink;

    let dir = with_files(&["a/1.png", "b/2.png"]);
    let other = with_files(&["3.png", "deep/4.png"]);
    symlink(other.path(), dir.path().join("c")).unwrap();
    let expected = [("a/1.png", 0), ("b/2.png", 1), ("c/3.png", 2), ("c/deep/4.png", 2)];
    assert_eq!(contents(&folder(dir.path()).unwrap().train), expected);
    // Links to the root, to another class, to their own folder, to the target of another link, out and back in, and to nothing.
    symlink(dir.path(), dir.path().join("b/back")).unwrap();
    symlink(dir.path().join("a"), dir.path().join("b/a")).unwrap();
    symlink(dir.path().join("b"), dir.path().join("a/b")).unwrap();
    symlink(dir.path().join("a"), dir.path().join("a/self")).unwrap();
    symlink(other.path().join("deep"), dir.path().join("d")).unwrap();
    symlink(dir.path().join("a"), other.path().join("deep/again")).unwrap();
    symlink(other.path(), other.path().join("deep/round")).unwrap();
    symlink(dir.path().join("nowhere"), dir.path().join("e")).unwrap();
    let splits = folder(dir.path()).unwrap();
    assert_eq!(contents(&splits.train), expected);
    for part in [
        "b/back is a link to a folder that holds it and is not followed",
        "b/a is a link to a, whose images count there, and is not followed",
        "a/b is a link to b, whose",
        "a/self is a link to a, whose",
        "d is a link to where c leads, too, and is not followed",
        "c/deep/again is a link to a, whose",
        "c/deep/round is a link to where c leads, too",
        "e is a link that leads nowhere",
    ] {
        assert!(splits.notes.iter().any(|note| note.starts_with(part)), "{part}: {:#?}", splits.notes);
    }
    // The images of a hidden folder do not count where they are, so a link to it is followed.
    let dir = with_files(&[".store/x/1.png", "b/2.png"]);
    symlink(dir.path().join(".store/x"), dir.path().join("a")).unwrap();
    assert_eq!(contents(&folder(dir.path()).unwrap().train), [("a/1.png", 0), ("b/2.png", 1)]);
}

#[cfg(unix)]
#[test]
fn a_link_to_no_file_and_what_is_no_file_are_broken_images() {
    use std::os::unix::fs::symlink;

    let dir = with_files(&["a/1.png", "b/2.png"]);
    symlink(dir.path().join("nowhere.png"), dir.path().join("a/3.png")).unwrap();
    assert_message(dir.path(), &["a/3.png: broken image: it cannot be read: "]);
    fs::remove_file(dir.path().join("a/3.png")).unwrap();
    // The file has no end.
    symlink("/dev/zero", dir.path().join("a/3.png")).unwrap();
    assert_message(dir.path(), &["a/3.png: broken image: it is not a file"]);
}
