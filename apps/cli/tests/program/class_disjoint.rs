//! Datasets whose test split has classes of its own: trained on, embedded, and refused by a probe.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma, Rgb, RgbImage};
use tempfile::tempdir;

use crate::driving::{RunFolder, fails, qare, succeeds, text};

/// Writes the drawings of three characters of an alphabet by four people.
fn alphabet(folder: &Path) {
    for character in 1..=3u32 {
        let folder = folder.join(format!("character{character:02}"));
        fs::create_dir_all(&folder).unwrap();
        for drawer in 1..=4u32 {
            let stroke = move |x: u32, y: u32| Luma([if (x * character + y) % 16 < 4 + drawer { 0 } else { 255 }]);
            let drawing = GrayImage::from_fn(105, 105, stroke);
            drawing.save(folder.join(format!("{character:04}_{drawer:02}.png"))).unwrap();
        }
    }
}

/// Writes ten images of each of four classes.
fn colours(folder: &Path) {
    for (number, name) in ["one", "two", "three", "four"].into_iter().enumerate() {
        fs::create_dir_all(folder.join(name)).unwrap();
        for image in 0..10 {
            let pixels = RgbImage::from_pixel(16, 16, Rgb([60 * number as u8, 9 * image, 0]));
            pixels.save(folder.join(name).join(format!("{image}.png"))).unwrap();
        }
    }
}

fn pretrain(dataset: &str, data: &Path, out: &Path) -> Command {
    let mut call =
        qare(&["pretrain", "--dataset", dataset, "--method", "simclr", "--epochs", "1", "--batch-size", "4"]);
    call.args(["--no-tui", "--data-dir", text(data), "--out", text(out)]);
    call
}

fn run_in(out: &Path) -> RunFolder {
    RunFolder(fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap())
}

fn classes_of_embedding(run: &RunFolder, out: &Path, split: &str) -> Vec<String> {
    let file = out.join(format!("{split}.npy"));
    succeeds(
        qare(&["embed", "--checkpoint", text(run.path()), "--split", split, "--output", text(&file)])
            .args(["--no-tui"]),
    );
    fs::read_to_string(file.with_extension("classes.txt")).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn omniglot_is_trained_on_and_embedded() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    for path in ["images_background_small1/Greek", "images_background_small2/Greek", "images_background_small2/Tagalog"]
    {
        alphabet(&data.path().join(path));
    }
    let printed = succeeds(&mut qare(&["data", "check", text(&data)]));
    assert!(printed.contains("omniglot (image files) in ") && printed.contains("12 images, 3 classes"), "{printed}");
    let printed = succeeds(&mut pretrain("omniglot", data.path(), out.path()));
    assert!(printed.contains("alphabets of both splits, in training only: Greek"), "{printed}");
    let run = run_in(out.path());
    let names = |alphabet: &'static str| (1..=3).map(move |character| format!("{alphabet}/character{character:02}"));
    assert_eq!(classes_of_embedding(&run, out.path(), "test"), names("Tagalog").collect::<Vec<_>>());
    assert_eq!(
        classes_of_embedding(&run, out.path(), "all"),
        names("Greek").chain(names("Tagalog")).collect::<Vec<_>>()
    );
    let refused = ["the test images of omniglot are of other classes than its training images"];
    fails(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]), 2, &refused);
}

#[test]
fn a_folder_is_divided_by_class() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    alphabet(data.path());
    let call = |classes: &str| {
        let mut call = pretrain("folder", data.path(), out.path());
        call.args(["--image-size", "16", "--test-classes", classes]);
        call
    };
    fails(&mut call("3"), 2, &["test_classes is 3", "no class for training"]);
    fails(&mut call("0"), 2, &["--test-classes", "at least 1 class"]);
    fails(&mut call("omega"), 2, &["there is no class omega; there are character01"]);
    fails(&mut call("Charakter02"), 2, &["no class Charakter02; did you mean character02? there are character01"]);
    fails(pretrain("omniglot", data.path(), out.path()).args(["--test-classes", "1"]), 2, &["only dataset folder"]);
    let printed = succeeds(&mut call("1"));
    assert!(printed.contains("the test split has 1 other class that training has not (character03)"), "{printed}");
    let run = run_in(out.path());
    assert_eq!(run.recipe()["test_classes"].as_integer(), Some(1));
    // The division of the run.
    assert_eq!(classes_of_embedding(&run, out.path(), "train"), ["character01", "character02"]);
    assert_eq!(classes_of_embedding(&run, out.path(), "test"), ["character03"]);
    fails(call("2").arg("--resume"), 2, &["test_classes = 2 (the run has 1)"]);
    let refused = ["the test images of folder are of other classes", "`qare retrieve` searches them"];
    fails(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]), 2, &refused);
}

/// The run's division is not that of another folder, whose figures do not replace the run's.
#[test]
fn another_folder_is_searched_with_a_division_of_its_own() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    alphabet(data.path());
    let mut call = pretrain("folder", data.path(), &out.path().join("runs"));
    succeeds(call.args(["--image-size", "16", "--test-classes", "character02,character03"]));
    let run = run_in(&out.path().join("runs"));
    succeeds(&mut qare(&["retrieve", text(run.path())]));
    let own = run.results()["retrieve"].clone();
    assert_eq!(own["classes"], 2);
    let other = out.path().join("other");
    colours(&other);
    let retrieve = |more: &[&str]| {
        let mut call = qare(&["retrieve", text(run.path()), "--dataset", "folder", "--data-dir", text(&other)]);
        call.args(more);
        call
    };
    let printed = succeeds(&mut retrieve(&["--at", "1,2,1"]));
    assert!(printed.contains("among 8 test images of 4 classes"), "the last fifth of each class: {printed}");
    assert_eq!(printed.matches("Recall@1 ").count(), 1, "{printed}");
    assert!(
        printed.contains("note: the figures are of other images than the run's, and are not recorded"),
        "{printed}"
    );
    let picture = out.path().join("all.png");
    let printed = succeeds(&mut retrieve(&["--picture", text(&picture), "--queries", "100"]));
    assert!(printed.contains("picture of 8 random queries saved as "), "there are no others: {printed}");
    let printed = succeeds(&mut retrieve(&["--test-classes", "three,one"]));
    assert!(printed.contains("among 20 test images of 2 classes"), "{printed}");
    let printed = succeeds(qare(&["retrieve", text(run.path())]).args(["--test-classes", "character01,character02"]));
    assert!(printed.contains("note: the figures are of other test classes than the run's"), "{printed}");
    assert_eq!(run.results()["retrieve"], own);
    let words = ["--test-classes 1: only dataset folder"];
    fails(qare(&["retrieve", text(run.path())]).args(["--dataset", "shapes", "--test-classes", "1"]), 2, &words);
}

/// The classifier that `standard` trains is not tested on classes that it has not seen.
#[test]
fn a_supervised_run_is_searched_where_the_test_classes_are_others() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    colours(data.path());
    let mut call = qare(&["sweep", "--dataset", "folder", "--data-dir", text(data.path()), "--out", text(out.path())]);
    call.args(["--methods", "standard", "--seeds", "1", "--epochs", "1", "--batch-size", "4", "--image-size", "16"]);
    let printed = succeeds(call.args(["--test-classes", "one,two", "--no-tui"]));
    assert!(printed.contains("| `standard` | 1 |"), "{printed}");
}
