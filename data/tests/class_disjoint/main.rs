//! Datasets whose test split has classes of its own, in small files of their official forms, sound and damaged.

mod cars196;
mod cars_annotations;
mod cub200;
#[path = "../image_files/mod.rs"]
mod image_files;
mod omniglot;
mod people;
mod sop;
mod test_classes;

use std::fs;
use std::path::Path;

use qare_data::{DataError, DatasetName, LoadOptions, Splits, check, load};

/// Loads a dataset with images of 8×8 pixels.
fn read(dataset: DatasetName, dir: &Path) -> Result<Splits, DataError> {
    load(dataset, &LoadOptions { dir: Some(dir), image_size: Some(8), ..Default::default() })
}

/// A damage of a dataset's folder, and parts of the message about it.
type Damage = (fn(&Path), &'static [&'static str]);

/// Applies each damage to files of its own. The dataset cannot be loaded, its check is not sound, and both say why.
fn assert_named(dataset: DatasetName, write: fn(&Path), damages: &[Damage]) {
    for (damage, parts) in damages {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        assert!(read(dataset, dir.path()).is_ok(), "{:?}", read(dataset, dir.path()).err());
        damage(dir.path());
        let message = read(dataset, dir.path()).expect_err("a damaged dataset").to_string();
        let report = check(dir.path(), None).unwrap();
        let said = report.to_string();
        assert!(!report.is_sound(), "{said}");
        for part in *parts {
            assert!(message.contains(part), "`{part}` is not in: {message}");
            assert!(said.contains(part), "`{part}` is not in: {said}");
        }
        assert!(!message.contains('\n'), "{message}");
    }
}

fn append(path: &Path, text: &str) {
    let before = fs::read_to_string(path).unwrap();
    fs::write(path, before + text).unwrap();
}

fn replace(path: &Path, old: &str, new: &str) {
    let before = fs::read_to_string(path).unwrap();
    assert!(before.contains(old), "{before}");
    fs::write(path, before.replace(old, new)).unwrap();
}

fn assert_note(splits: &Splits, part: &str) {
    assert!(splits.notes.iter().any(|note| note.contains(part)), "`{part}` is not in {:?}", splits.notes);
}
