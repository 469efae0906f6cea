//! Sets that are too large for memory keep their decoded pixels in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use qare_data::{DataError, DatasetName, ImageSet, LoadOptions, Splits, load};
use tempfile::{TempDir, tempdir};

mod image_files;

use image_files::{write, write_all};

const IMAGE_SIZE: usize = 3 * 64 * 64;

/// Nine training and two test images.
fn dataset() -> TempDir {
    let dir = tempdir().unwrap();
    let names: Vec<String> = (0..9).map(|image| format!("train/{}/{image}.png", ["a", "b"][image % 2])).collect();
    let names = names.iter().map(String::as_str).chain(["test/a/9.png", "test/b/10.png"]);
    write_all(dir.path(), &names.collect::<Vec<_>>());
    dir
}

fn read(dir: &Path, memory_limit: usize) -> Result<Splits, DataError> {
    load(DatasetName::Folder, &LoadOptions { dir: Some(dir), memory_limit, ..Default::default() })
}

/// Loads with a limit that only the training split exceeds.
fn mapped(dir: &Path) -> ImageSet {
    let splits = read(dir, 8 * IMAGE_SIZE).unwrap();
    assert!(!splits.train.is_in_memory() && splits.test.is_in_memory());
    splits.train
}

fn cache(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(".qare-cache")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn assert_same(found: &ImageSet, expected: &ImageSet) {
    assert_eq!((found.labels(), found.class_names()), (expected.labels(), expected.class_names()));
    for index in 0..expected.len() {
        assert_eq!(found.pixels(index), expected.pixels(index), "image {index}");
        assert_eq!(found.file_name(index), expected.file_name(index));
    }
}

#[test]
fn a_file_holds_what_memory_would() {
    let dir = dataset();
    let expected = read(dir.path(), usize::MAX).unwrap();
    assert!(expected.train.is_in_memory() && cache(dir.path()).is_empty());
    // First with blocks of two images, of which the last one is not full, then with blocks of one image.
    for limit in [8 * IMAGE_SIZE, 0] {
        let dir = dataset();
        for _ in 0..2 {
            let splits = read(dir.path(), limit).unwrap();
            assert_same(&splits.train, &expected.train);
            assert_same(&splits.test, &expected.test);
            assert_same(&splits.train.select(&[3, 3, 8]), &expected.train.select(&[3, 3, 8]));
        }
        assert_eq!(cache(dir.path()).len(), if limit == 0 { 2 } else { 1 });
    }
}

#[test]
fn the_next_run_takes_the_file() {
    let dir = dataset();
    mapped(dir.path());
    let [file] = &cache(dir.path())[..] else { panic!("one file is expected") };
    // A changed byte shows that the file is used.
    let mut open = OpenOptions::new().write(true).open(file).unwrap();
    open.seek(SeekFrom::End(-1)).unwrap();
    open.write_all(&[77]).unwrap();
    assert_eq!(*mapped(dir.path()).pixels(8).last().unwrap(), 77);

    let calls = AtomicUsize::new(0);
    let count = |_, total| {
        assert_eq!(total, 11);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let options = LoadOptions { dir: Some(dir.path()), memory_limit: 0, progress: Some(&count), ..Default::default() };
    load(DatasetName::Folder, &options).unwrap();
    // One call for the whole training split, and one for each test image.
    assert_eq!(calls.into_inner(), 3);
}

#[test]
fn a_file_of_other_images_is_never_taken() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 5] = [
        ("other pixels", |root| write(&root.join("train/a/4.png"), 64, [200, 0, 0])),
        ("a time", |root| {
            let file = OpenOptions::new().write(true).open(root.join("train/a/4.png")).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
        }),
        ("a name", |root| fs::rename(root.join("train/a/4.png"), root.join("train/a/44.png")).unwrap()),
        ("one more", |root| write(&root.join("train/a/5.png"), 64, [200, 0, 0])),
        ("one less", |root| fs::remove_file(root.join("train/a/4.png")).unwrap()),
    ];
    for (name, change) in changes {
        let dir = dataset();
        write(&dir.path().join("train/a/99.png"), 64, [9; 3]);
        mapped(dir.path());
        let before = cache(dir.path());
        change(dir.path());
        let expected = read(dir.path(), usize::MAX).unwrap();
        assert_same(&mapped(dir.path()), &expected.train);
        let after = cache(dir.path());
        assert_eq!(after.len(), 1, "{name}: the old file is removed");
        assert_ne!(after, before, "{name}");
    }
}

#[test]
fn each_size_has_its_file() {
    let dir = dataset();
    for size in [64, 32, 64] {
        let options =
            LoadOptions { dir: Some(dir.path()), image_size: Some(size), memory_limit: 0, ..Default::default() };
        let splits = load(DatasetName::Folder, &options).unwrap();
        assert_eq!((splits.train.side(), splits.train.pixels(8).len()), (size, 3 * size * size));
    }
    assert_eq!(cache(dir.path()).len(), 4);
}

#[test]
fn a_damaged_file_is_replaced() {
    let dir = dataset();
    let expected = mapped(dir.path());
    let [file] = &cache(dir.path())[..] else { panic!("one file is expected") };
    let mut whole = Vec::new();
    File::open(file).unwrap().read_to_end(&mut whole).unwrap();
    let other_head = [b"Q", &whole[1..]].concat();
    let other_fingerprint = [&whole[..40], &[!whole[40]], &whole[41..]].concat();
    for damaged in
        [&whole[..whole.len() - 1], &whole[..30], b"", &[&whole[..], b"x"].concat(), &other_head, &other_fingerprint]
    {
        // The file is mapped above, so another one takes its name.
        let beside = dir.path().join("beside");
        fs::write(&beside, damaged).unwrap();
        fs::rename(beside, file).unwrap();
        assert_same(&mapped(dir.path()), &expected);
        assert_eq!(fs::read(file).unwrap(), whole);
        assert_eq!(cache(dir.path()).len(), 1);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_no_obstacle() {
    let dir = dataset();
    let expected = read(dir.path(), usize::MAX).unwrap().train;
    // A file has the name of the folder.
    fs::write(dir.path().join(".qare-cache"), "").unwrap();
    let images = mapped(dir.path());
    assert_same(&images, &expected);
    // A temporary file has no name, even while it is in use.
    let ours = format!("qare-images.{}-", std::process::id());
    for entry in fs::read_dir(std::env::temp_dir()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().contains(&ours), "{name:?}");
    }
}

#[test]
fn broken_images_leave_no_file() {
    let dir = dataset();
    fs::write(dir.path().join("train/a/4.png"), "no image").unwrap();
    fs::write(dir.path().join("test/b/10.png"), "no image").unwrap();
    let text = read(dir.path(), 0).unwrap_err().to_string();
    assert!(
        text.contains("2 broken images") && text.contains("train/a/4.png: it is in no known image format"),
        "{text}"
    );
    assert!(text.contains("test/b/10.png: "), "{text}");
    assert_eq!(cache(dir.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_file_knows_which_images_were_left_out() {
    let dir = dataset();
    let expected = read(dir.path(), usize::MAX).unwrap().train;
    fs::write(dir.path().join("train/a/4.png"), "no\timage").unwrap();
    fs::write(dir.path().join("train/b/7.png"), "").unwrap();
    let sound = |limit: usize| {
        let options =
            LoadOptions { dir: Some(dir.path()), memory_limit: limit, skip_broken: true, ..Default::default() };
        load(DatasetName::Folder, &options).unwrap()
    };
    let places: Vec<usize> = (0..9)
        .filter(|&place| {
            let name = expected.file_name(place).unwrap();
            name != "train/a/4.png" && name != "train/b/7.png"
        })
        .collect();
    let expected = expected.select(&places);
    let names = |splits: &Splits| splits.skipped.iter().map(ToString::to_string).collect::<Vec<_>>();
    let in_memory = sound(usize::MAX);
    assert!(in_memory.train.is_in_memory() && cache(dir.path()).is_empty());
    assert_eq!(names(&in_memory).len(), 2);
    assert!(names(&in_memory)[0].contains("train/a/4.png: broken image: it is in no known image format"));
    let note = in_memory.notes.iter().find(|note| note.starts_with("2 broken images left out:")).unwrap();
    assert!(note.contains("train/a/4.png: it is in no known") && note.contains("train/b/7.png: "), "{note}");
    // The first time writes the files, the second one finds them.
    for _ in 0..2 {
        for limit in [8 * IMAGE_SIZE, 0] {
            let splits = sound(limit);
            assert!(!splits.train.is_in_memory());
            assert_same(&splits.train, &expected);
            assert_eq!((names(&splits), &splits.notes), (names(&in_memory), &in_memory.notes));
        }
    }
    // Without `skip_broken` the broken images are an error, although the file exists.
    let text = read(dir.path(), 0).unwrap_err().to_string();
    assert!(text.contains("2 broken images") && text.contains("train/b/7.png: the file is empty"), "{text}");
    // With another limit, other images may be broken.
    let options = LoadOptions {
        dir: Some(dir.path()),
        memory_limit: 0,
        skip_broken: true,
        max_pixels: 64 * 64 - 1,
        ..Default::default()
    };
    let text = load(DatasetName::Folder, &options).unwrap_err().to_string();
    assert!(text.contains("all 9 training images are broken, the first of them"), "{text}");
    assert!(text.contains("it announces 64x64 pixels, more than the 4095 that are allowed (--max-pixels)"), "{text}");
}

#[test]
fn several_runs_at_once_do_not_disturb_each_other() {
    let dir = dataset();
    let expected = read(dir.path(), usize::MAX).unwrap().train;
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_same(&mapped(dir.path()), &expected));
        }
    });
    assert_eq!(cache(dir.path()).len(), 1);
}
