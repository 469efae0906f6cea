//! `--source-size`: random crops are drawn from whole photographs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

use crate::driving::{EXACT, RunFolder, assert_same_weights, fails, qare, succeeds, text};

/// Photographs of two classes, as JPEG files of several sizes.
fn photographs() -> TempDir {
    let data = tempdir().unwrap();
    for (class, number) in (0..2).flat_map(|class| (0..10).map(move |number| (class, number))) {
        let folder = data.path().join(format!("class_{class}"));
        fs::create_dir_all(&folder).unwrap();
        let (width, height) = (80 + 6 * number, 90 - 3 * number);
        let pixel = |x: u32, y: u32| Rgb([(x * 3 + 9 * number) as u8, (y * 2) as u8, (x * y / 40 + 90 * class) as u8]);
        RgbImage::from_fn(width, height, pixel).save(folder.join(format!("{number}.jpg"))).unwrap();
    }
    data
}

fn pretrain(data: &Path, out: &Path, flags: &[&str]) -> Command {
    let mut call = qare(&["pretrain", "--dataset", "folder", "--data-size", "8", "--no-tui", "--image-size", "24"]);
    call.args(["--data-dir", text(data), "--out", text(out)]).args(flags);
    if !flags.contains(&"--method") {
        call.args(["--method", "simclr"]);
    }
    call
}

fn run_in(out: &Path) -> RunFolder {
    RunFolder(fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap())
}

/// The weights of an epoch.
fn weights(run: &RunFolder, epoch: usize) -> PathBuf {
    let end = format!("_epoch_{epoch}.safetensors");
    run.file(run.names().iter().find(|name| name.ends_with(&end)).unwrap_or_else(|| panic!("{end}: {:?}", run.names())))
}

/// A training that stops after its first epoch, as a run of two that is resumed later.
fn stopped(data: &Path, flags: &[&str]) -> (TempDir, RunFolder) {
    let out = tempdir().unwrap();
    succeeds(pretrain(data, out.path(), flags).args(["--epochs", "1"]));
    let run = run_in(out.path());
    (out, run)
}

fn trained(data: &Path, flags: &[&str]) -> (TempDir, RunFolder, String) {
    let out = tempdir().unwrap();
    let printed = succeeds(pretrain(data, out.path(), flags).args(["--epochs", "2"]));
    let run = run_in(out.path());
    (out, run, printed)
}

/// The log without times.
fn log(run: &RunFolder) -> Vec<String> {
    run.log_without_times()
}

#[test]
fn crops_are_of_whole_photographs_unless_the_square_is_asked_for() {
    let data = photographs();
    let (_a, whole, printed) = trained(data.path(), &[]);
    assert_eq!(whole.recipe()["source_size"].as_integer(), Some(27));
    assert!(printed.contains("random crops are drawn from 16 images whose shorter side has 27 pixels"), "{printed}");
    let (_b, same, _) = trained(data.path(), &["--source-size", "27", "--num-workers", "3"]);
    assert_same_weights(&weights(&same, 2), &weights(&whole, 2));
    let (_c, square, printed) = trained(data.path(), &["--source-size", "square"]);
    assert_eq!(square.recipe()["source_size"].as_str(), Some("square"));
    assert!(!printed.contains("random crops"), "{printed}");
    let (_d, larger, _) = trained(data.path(), &["--source-size", "60"]);
    let logs = [&whole, &square, &larger].map(log);
    assert!(logs[0] != logs[1] && logs[0] != logs[2], "{logs:?}");
    // A method whose views are no such crops needs no sources.
    let (_e, rotations, printed) = trained(data.path(), &["--method", "rotationnet", "--source-size", "60"]);
    assert!(printed.contains("--source-size has no effect on rotationnet"), "{printed}");
    assert!(weights(&rotations, 2).is_file() && !printed.contains("random crops are drawn"), "{printed}");
}

#[test]
fn views_of_a_device_are_those_of_the_host() {
    let data = photographs();
    let (_a, host, _) = trained(data.path(), &[]);
    let (_b, device, _) = trained(data.path(), &["--augment-on", "device"]);
    assert_same_weights(&weights(&device, 2), &weights(&host, 2));
    if EXACT {
        assert_eq!(log(&device), log(&host));
    }
}

#[test]
fn a_run_resumes_with_its_own_source() {
    let data = photographs();
    for (flags, source) in [(&[][..], Some(27)), (&["--source-size", "40"][..], Some(40))] {
        let (_whole_out, whole, _) = trained(data.path(), flags);
        let (out, run) = stopped(data.path(), flags);
        // The flag need not be repeated, and another value is refused.
        let other = ["--epochs", "2", "--resume", "--source-size", "50"];
        let words = ["cannot be resumed with other settings", "source_size = 50 (the run has"];
        fails(&mut pretrain(data.path(), out.path(), &other), 2, &words);
        succeeds(&mut pretrain(data.path(), out.path(), &["--epochs", "2", "--resume"]));
        assert_eq!(run.recipe()["source_size"].as_integer(), source);
        assert_same_weights(&weights(&run, 2), &weights(&whole, 2));
    }
}

/// Before there was the setting, crops were drawn from squares, and recipes did not say so.
#[test]
fn an_older_run_keeps_its_squares() {
    let data = photographs();
    let (_whole_out, whole, _) = trained(data.path(), &["--source-size", "square"]);
    let (out, run) = stopped(data.path(), &["--source-size", "square"]);
    let recipe = run.read("recipe.toml");
    let old: String =
        recipe.lines().filter(|line| !line.starts_with("source_size")).map(|line| format!("{line}\n")).collect();
    assert_ne!(old, recipe);
    fs::write(run.file("recipe.toml"), old).unwrap();
    let words = ["source_size = 27 (the run has none)"];
    fails(&mut pretrain(data.path(), out.path(), &["--epochs", "2", "--resume", "--source-size", "27"]), 2, &words);
    let printed = succeeds(&mut pretrain(data.path(), out.path(), &["--epochs", "2", "--resume"]));
    assert!(printed.contains("resuming after epoch 1 of 2") && !printed.contains("random crops"), "{printed}");
    assert!(run.recipe().get("source_size").is_none());
    assert_same_weights(&weights(&run, 2), &weights(&whole, 2));
    // A new run in its place has the default.
    succeeds(&mut pretrain(data.path(), out.path(), &["--epochs", "1", "--overwrite"]));
    assert_eq!(run.recipe()["source_size"].as_integer(), Some(27));
}

/// Features are computed of squares, whatever training has drawn its crops from.
#[test]
fn features_are_those_of_squares() {
    let data = photographs();
    let (out, run, _) = trained(data.path(), &[]);
    let features = |name: &str| {
        let file = out.path().join(name);
        succeeds(&mut qare(&["embed", "--checkpoint", text(run.path()), "--output", text(&file)]));
        fs::read(file).unwrap()
    };
    let before = features("before.npy");
    // The same weights in a run that has drawn its crops from squares.
    let recipe = run.read("recipe.toml").replace("source_size = 27", "source_size = \"square\"");
    fs::write(run.file("recipe.toml"), recipe).unwrap();
    assert_eq!(features("after.npy"), before);
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
}

#[test]
fn sizes_that_cannot_be_are_refused_before_anything_is_written() {
    let data = photographs();
    let out = tempdir().unwrap();
    let runs = out.path().join("runs");
    for (size, words) in [
        ("23", &["source_size is 23", "24, the image size", "square"][..]),
        ("0", &["source_size is 0"][..]),
        ("5000", &["source_size is 5000", "4096"][..]),
        ("whole", &["--source-size", "whole", "a number of pixels or square"][..]),
        ("-3", &["--source-size"][..]),
    ] {
        fails(&mut pretrain(data.path(), &runs, &["--source-size", size]), 2, words);
    }
    let fixed = ["pretrain", "--dataset", "shapes", "--source-size", "40", "--no-tui", "--out", text(&runs)];
    fails(&mut qare(&fixed), 2, &["source_size is 40", "the images of shapes are 32×32"]);
    let sheet = out.path().join("sheet.png");
    let show = ["data", "show", "shapes", "--source-size", "40", "--out", text(&sheet)];
    fails(&mut qare(&show), 2, &["source_size is 40"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn sheets_show_crops_of_whole_photographs() {
    let data = photographs();
    let out = tempdir().unwrap();
    let sheet = |name: &str, flags: &[&str]| {
        let file = out.path().join(name);
        let mut call = qare(&["data", "show", "folder", "--image-size", "24", "--data-dir", text(data.path())]);
        succeeds(call.args(["--out", text(&file)]).args(flags));
        image::open(&file).unwrap().to_rgb8()
    };
    let whole = sheet("whole.png", &[]);
    assert_eq!(whole, sheet("same.png", &["--source-size", "27"]));
    assert_ne!(whole, sheet("square.png", &["--source-size", "square"]));
}

/// Methods that need sources and methods that do not, in one sweep.
#[test]
fn a_sweep_gives_each_method_what_it_needs() {
    let data = photographs();
    let out = tempdir().unwrap();
    let mut call = qare(&["sweep", "--dataset", "folder", "--data-size", "8", "--no-tui", "--image-size", "24"]);
    let methods = ["--methods", "rotationnet,simclr", "--seeds", "1", "--epochs", "1"];
    succeeds(call.args(["--data-dir", text(data.path()), "--out", text(out.path())]).args(methods));
    let runs = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    for run in runs.map(RunFolder) {
        let source = run.recipe().get("source_size").and_then(|size| size.as_integer());
        assert_eq!(source.is_some(), run.path().to_str().unwrap().contains("simclr"), "{:?}", run.path());
    }
}
