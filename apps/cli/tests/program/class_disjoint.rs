//! Datasets whose test split has classes of its own: trained on, embedded, and refused by a probe.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma};
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
    fails(&mut call("omega"), 2, &["there is no class omega", "character01"]);
    fails(pretrain("omniglot", data.path(), out.path()).args(["--test-classes", "1"]), 2, &["only dataset folder"]);
    let printed = succeeds(&mut call("1"));
    assert!(printed.contains("the test split has 1 other class that training has not (character03)"), "{printed}");
    let run = run_in(out.path());
    assert_eq!(run.recipe()["test_classes"].as_integer(), Some(1));
    // The division of the run.
    assert_eq!(classes_of_embedding(&run, out.path(), "train"), ["character01", "character02"]);
    assert_eq!(classes_of_embedding(&run, out.path(), "test"), ["character03"]);
    fails(call("2").arg("--resume"), 2, &["test_classes = 2 (the run has 1)"]);
    let refused = ["the test images of folder are of other classes"];
    fails(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]), 2, &refused);
}
