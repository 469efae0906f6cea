//! Stanford Cars in class folders.

use std::path::Path;

use qare_data::{DatasetName, check};
use tempfile::tempdir;

use crate::image_files::write;
use crate::read;

/// Writes an image of each class into `train`, and another of every second class into `test`.
fn cars(root: &Path, classes: usize) {
    for class in 0..classes {
        write(&root.join(format!("train/Model {class:03} 2012/0001.png")), 8, [class as u8, 0, 0]);
        if class % 2 == 0 {
            write(&root.join(format!("test/Model {class:03} 2012/0002.png")), 8, [class as u8, 9, 0]);
        }
    }
}

#[test]
fn the_first_half_of_the_classes_is_for_training() {
    let dir = tempdir().unwrap();
    cars(&dir.path().join("cars196"), 196);
    for root in [dir.path().to_path_buf(), dir.path().join("cars196")] {
        let splits = read(DatasetName::Cars196, &root).unwrap();
        assert_eq!((splits.train.classes(), splits.test.classes()), (98, 98));
        assert_eq!((splits.train.len(), splits.test.len()), (98 + 49, 98 + 49));
        assert_eq!(splits.train.class_names()[97], "Model 097 2012");
        assert_eq!(splits.test.class_names()[0], "Model 098 2012");
        assert_eq!(splits.test.file_name(1), Some("test/Model 098 2012/0002.png"));
        let report = check(&root, None).unwrap();
        assert!(report.is_sound() && report.to_string().starts_with("cars196 (image files) in "), "{report}");
    }
}

#[test]
fn other_folders_are_not_taken_for_it() {
    for (classes, part) in [(1, "it has 1 class folder;"), (10, "it has 10 class folders;")] {
        let dir = tempdir().unwrap();
        cars(dir.path(), classes);
        let message = read(DatasetName::Cars196, dir.path()).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("--dataset folder"), "{message}");
    }
    let empty = tempdir().unwrap();
    let message = read(DatasetName::Cars196, empty.path()).unwrap_err().to_string();
    assert!(message.contains("196 class folders") && message.contains("cars_annos.mat"), "{message}");
}
