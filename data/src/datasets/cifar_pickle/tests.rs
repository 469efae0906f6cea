//! Batches that Python 3 has pickled again, by `data/tests/make_cifar_pickles.py`.

use std::path::PathBuf;

use super::*;
use crate::datasets::{cifar10, cifar100};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cifar_pickles")
}

fn batch(name: &str) -> Result<Part, Vec<DataError>> {
    read(&folder().join(name).with_extension("pickle"), 2, &cifar10::ARCHIVE)
}

/// The names of some of the files.
fn files(are: impl Fn(&str) -> bool) -> Vec<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let names = names.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| are(name)).collect()
}

#[test]
fn every_protocol_and_kind_of_keys_arrays_and_labels_is_read() {
    let mut pixels = vec![0; 2 * IMAGE_SIZE];
    for value in 0..=255 {
        pixels[usize::from(value)] = value;
        pixels[2 * IMAGE_SIZE - 1 - usize::from(value)] = value;
    }
    let names = files(|name| !name.starts_with("not_") && !name.starts_with("meta_"));
    assert_eq!(names.len(), 32);
    for name in names {
        let part = batch(&name).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
        assert_eq!(part.labels, [[3, 7]], "{name}");
        assert!(part.pixels == pixels, "{name}");
    }
}

#[test]
fn what_is_no_batch_says_what_it_is() {
    for (name, problem) in [
        (
            "not_outside",
            "in a separate buffer (protocol 5 with `buffer_callback`) at offset 115; pickle it again without",
        ),
        ("not_readonly_outside", "in a separate buffer"),
        ("not_floats", "entry `data` is a numpy array of type f4, expected u1, which is uint8"),
        ("not_pictures", "entry `data` has shape (2, 32, 32, 3), expected (2, 3072)"),
        ("not_a_table", "entry `labels` is an array of type i8 and shape (1, 2), expected 2 integers"),
        ("not_integers", "entry `labels` is an array of type f4 and shape (2), expected 2 integers"),
    ] {
        let problems = batch(name).err().unwrap_or_else(|| panic!("{name} is read"));
        let text: Vec<String> = problems.iter().map(DataError::to_string).collect();
        assert!(text.len() == 1 && text[0].contains(problem), "{name}: {text:?}");
        assert!(!text[0].contains("damaged"), "{name}: {text:?}");
    }
    assert_eq!(files(|name| name.starts_with("not_")).len(), 6);
}

#[test]
fn names_of_classes_are_read_from_every_protocol() {
    let files = files(|name| name.starts_with("meta_"));
    assert_eq!(files.len(), 4);
    for name in files {
        let path = folder().join(&name).with_extension("pickle");
        let names = read_names(&path, "coarse_label_names", 20, &cifar100::ARCHIVE).unwrap();
        assert!((names.len(), names[0].as_str(), names[19].as_str()) == (20, "kind 0", "kind 19"), "{name}");
        let error = read_names(&path, "coarse_label_names", 100, &cifar100::ARCHIVE).unwrap_err().to_string();
        assert!(error.contains("entry `coarse_label_names` has 20 names, but there are 100 classes"), "{error}");
    }
}
