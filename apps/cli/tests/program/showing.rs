//! `qare data show` writes a contact sheet.

use std::fs;

use tempfile::tempdir;

use crate::driving::{fails, qare, succeeds, text};

#[test]
fn a_sheet_shows_images_by_class_and_views() {
    let out = tempdir().unwrap();
    let sheet = |name: &str, arguments: &[&str]| {
        let file = out.path().join(name);
        let printed = succeeds(qare(&["data", "show", "shapes", "--out", text(&file)]).args(arguments));
        assert!(printed.contains("train: 5000 images of 10 classes") && printed.contains(name), "{printed}");
        image::open(&file).unwrap().to_rgb8()
    };
    let (first, again) = (sheet("a.png", &[]), sheet("b.png", &[]));
    assert_eq!(first, again, "the same call gives the same sheet");
    assert_ne!(first, sheet("c.png", &["--seed", "2"]));
    // Without views, the sheet is the upper part of the other.
    let upper = sheet("d.png", &["--images", "0"]);
    assert!(upper.height() < first.height());
    for (x, y, pixel) in upper.enumerate_pixels().filter(|(_, y, _)| *y + 10 < upper.height()) {
        assert_eq!(pixel, first.get_pixel(x, y));
    }
    let more = sheet("e.png", &["--per-class", "12", "--method", "standard", "--classes", "3"]);
    assert!(more.height() < first.height());
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 5, "nothing else is written");

    fails(&mut qare(&["data", "show", "shapes", "--out", "sheet.gif"]), 2, &["--out sheet.gif", ".png"]);
    fails(&mut qare(&["data", "show", "shapes"]), 2, &["--out"]);
    let file = out.path().join("x.png");
    fails(&mut qare(&["data", "show", "cifar10", "--out", text(&file)]), 2, &["--data-dir"]);
    fails(&mut qare(&["data", "show", "shapes", "--split", "unlabeled", "--out", text(&file)]), 2, &["has no images"]);
    assert!(!file.exists());
}
