//! Folders of images in many layouts: every command names the splits and the files that are left out.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

use crate::driving::{RunFolder, fails, qare, succeeds, text};

fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 9 + seed) as u8, (y * 9 + 3 * seed) as u8, (x * y + seed) as u8]))
}

/// Writes `count` pictures.
fn pictures(folder: &Path, count: u32, extension: &str) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        picture(37 * number).save(folder.join(format!("{number:03}.{extension}"))).unwrap();
    }
}

/// A folder of images with `count` pictures in each of the subfolders `parts`.
fn dataset(parts: &[(&str, u32)]) -> TempDir {
    let data = tempdir().unwrap();
    for (part, count) in parts {
        pictures(&data.path().join(part), *count, "png");
    }
    data
}

fn run_on(command: &str, data: &Path, out: &Path) -> Command {
    let mut call = qare(&[command, "--dataset", "folder", "--image-size", "16", "--batch-size", "4", "--no-tui"]);
    call.args(["--epochs", "1", "--method", "simclr", "--data-dir", text(data), "--out", text(out)]);
    call
}

fn run_in(out: &Path) -> RunFolder {
    RunFolder(fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap())
}

#[test]
fn every_command_names_the_folder_of_the_test_split() {
    let data = dataset(&[("Training/a", 10), ("Training/b", 10), ("Validation/a", 3), ("Validation/b", 3)]);
    let out = tempdir().unwrap();
    let printed = succeeds(&mut qare(&["data", "check", text(&data)]));
    assert!(printed.contains("Validation"), "{printed}");
    let printed = succeeds(&mut run_on("pretrain", data.path(), out.path()));
    assert!(printed.contains("note: ") && printed.contains("Validation"), "{printed}");
    let run = run_in(out.path());
    let printed = succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
    assert!(printed.contains("Validation"), "{printed}");
    succeeds(&mut qare(&["test", "--checkpoint", text(run.path())]));
    assert_eq!(run.results()["test"]["images"], 6);
}

#[test]
fn unlabelled_test_images_are_embedded_and_not_tested_on() {
    let data = dataset(&[("train/cat", 10), ("train/dog", 10), ("test", 7)]);
    let out = tempdir().unwrap();
    succeeds(&mut run_on("pretrain", data.path(), out.path()));
    let run = run_in(out.path());
    fails(&mut qare(&["probe", "--checkpoint", text(run.path())]), 2, &["test images have no labels", "embed"]);
    // `run` refuses before the first stage.
    let recipe = data.path().join("recipe.toml");
    fs::write(&recipe, "seed = 2\n").unwrap();
    let made = out.path().join("made");
    fails(run_on("run", data.path(), &made).arg(&recipe), 2, &["test images have no labels"]);
    assert!(!made.exists());
    let features = out.path().join("test.npy");
    let mut call = qare(&["embed", "--checkpoint", text(run.path()), "--split", "test", "--output", text(&features)]);
    let printed = succeeds(&mut call);
    assert!(printed.contains("no labels"), "{printed}");
    assert!(!out.path().join("test.labels.npy").exists() && !out.path().join("test.classes.txt").exists());
    assert_eq!(fs::read_to_string(out.path().join("test.files.txt")).unwrap().lines().count(), 7);
    // Beside labelled images, unlabelled ones get the label -1.
    let all = out.path().join("all.safetensors");
    succeeds(&mut qare(&["embed", "--checkpoint", text(run.path()), "--output", text(&all)]));
    let bytes = fs::read(&all).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let labels =
        file.tensor("labels").unwrap().data().as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes));
    assert_eq!(labels.filter(|label| *label == -1).count(), 7);
}

#[test]
fn broken_images_are_all_named_or_left_out_and_counted() {
    let data = dataset(&[("a", 10), ("b", 10)]);
    let out = tempdir().unwrap();
    for name in ["a/001.png", "b/002.png"] {
        fs::write(data.path().join(name), b"no picture").unwrap();
    }
    let words = ["a/001.png", "b/002.png", "--skip-broken"];
    fails(&mut run_on("pretrain", data.path(), out.path()), 1, &words);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    let printed = succeeds(run_on("pretrain", data.path(), out.path()).arg("--skip-broken"));
    assert!(printed.contains("2 broken images left out:") && printed.contains("a/001.png"), "{printed}");
    // The run records the flag, and its later stages apply it.
    let run = run_in(out.path());
    assert_eq!(run.recipe()["skip_broken"].as_bool(), Some(true));
    assert_eq!(run.results()["run"]["skipped"], 2);
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
}

#[test]
fn an_image_that_declares_too_many_pixels_is_broken() {
    let data = dataset(&[("a", 4), ("b", 4)]);
    let out = tempdir().unwrap();
    // A bitmap of 65,535 × 65,535 in 54 bytes.
    let mut header = b"BM".to_vec();
    for field in [54u32, 0, 54, 40, 65535, 65535, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        header.extend(field.to_le_bytes());
    }
    fs::write(data.path().join("a/huge.bmp"), header).unwrap();
    fails(&mut run_on("pretrain", data.path(), out.path()), 1, &["huge.bmp", "pixels"]);
    succeeds(run_on("pretrain", data.path(), out.path()).arg("--skip-broken"));
    // A custom limit.
    let output = qare(&["data", "check", text(&data), "--max-pixels", "100"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("pixels"));
}

#[test]
fn a_subset_of_the_images_is_stratified_and_the_header_says_so() {
    let data = dataset(&[("a", 40), ("b", 40), ("c", 20)]);
    let out = tempdir().unwrap();
    let printed = succeeds(run_on("pretrain", data.path(), out.path()).args(["--train-images", "10"]));
    let header = printed.lines().find(|line| !line.starts_with("note: ")).unwrap();
    assert!(header.starts_with("simclr on folder (10 of 80 training images") && header.contains("seed 1"), "{printed}");
    let run = run_in(out.path());
    // The first ten images are all of one class; a probe on them would fail.
    let printed = succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
    assert!(printed.contains("10 of 80 training images"), "{printed}");
}

#[test]
fn two_folders_of_images_have_two_runs() {
    let (one, other) = (dataset(&[("a", 6), ("b", 6)]), dataset(&[("a", 6), ("b", 6)]));
    let out = tempdir().unwrap();
    succeeds(&mut run_on("pretrain", one.path(), out.path()));
    succeeds(&mut run_on("pretrain", other.path(), out.path()));
    let names: Vec<String> =
        fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.starts_with("simclr_folder_conv4_4_64_64_1.0_1.0_")), "{names:?}");
    fails(&mut run_on("pretrain", one.path(), out.path()), 2, &["holds a run already"]);
}

#[test]
fn a_run_finds_its_images_from_any_folder() {
    let (data, out, elsewhere) = (dataset(&[("data/a", 10), ("data/b", 10)]), tempdir().unwrap(), tempdir().unwrap());
    pictures(&elsewhere.path().join("data/x"), 9, "png");
    let mut call = run_on("pretrain", Path::new("data"), out.path());
    succeeds(call.current_dir(data.path()));
    let run = run_in(out.path());
    let probe = || {
        let mut call = qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]);
        call.current_dir(elsewhere.path());
        call
    };
    succeeds(&mut probe());
    let moved = data.path().join("moved");
    fs::rename(data.path().join("data"), &moved).unwrap();
    fails(&mut probe(), 2, &["was trained on images in", "not there", "--data-dir"]);
    succeeds(probe().args(["--data-dir", text(&moved)]));
}

#[test]
fn resume_does_not_start_over_when_the_images_have_moved() {
    let (data, out) = (dataset(&[("old/a", 4), ("old/b", 4)]), tempdir().unwrap());
    succeeds(&mut run_on("pretrain", &data.path().join("old"), out.path()));
    let run = run_in(out.path());
    fs::rename(data.path().join("old"), data.path().join("new")).unwrap();
    let mut resume = run_on("pretrain", &data.path().join("new"), out.path());
    resume.args(["--epochs", "2", "--resume"]);
    let message = fails(&mut resume, 2, &[text(run.path()), "moved", "rename"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    // Follows the message's advice.
    assert!(message.contains("choose another --id"), "{message}");
    let name = message.split("rename the run to ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    fs::rename(run.path(), out.path().join(name)).unwrap();
    let printed = succeeds(&mut resume);
    assert!(printed.contains("resuming after epoch 1 of 2"), "{printed}");
    // While the first folder of images exists, another one gets its own run.
    pictures(&data.path().join("other/a"), 4, "png");
    pictures(&data.path().join("other/b"), 4, "png");
    succeeds(run_on("pretrain", &data.path().join("other"), out.path()).arg("--resume"));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
}

#[test]
fn a_classifier_is_tested_at_the_size_it_was_trained_at() {
    let (data, out) = (dataset(&[("a", 10), ("b", 10)]), tempdir().unwrap());
    succeeds(&mut run_on("pretrain", data.path(), out.path()));
    let run = run_in(out.path());
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
    let test = |size: &str| qare(&["test", "--checkpoint", text(run.path()), "--image-size", size]);
    succeeds(&mut test("16"));
    fails(&mut test("24"), 2, &["--image-size 24", "16×16", "qare probe"]);
}

#[test]
fn a_check_can_leave_broken_images_out() {
    let data = dataset(&[("a", 6), ("b", 6)]);
    fs::write(data.path().join("a/001.png"), b"no picture").unwrap();
    let check = |flags: &[&str]| {
        let mut call = qare(&["data", "check", text(&data)]);
        call.args(flags);
        call
    };
    fails(&mut check(&[]), 1, &[]);
    let printed = succeeds(&mut check(&["--skip-broken"]));
    assert!(
        printed.contains("sound") && printed.contains("1 broken image left out:") && printed.contains("a/001.png"),
        "{printed}"
    );
    for name in 0..6 {
        fs::write(data.path().join(format!("b/{name:03}.png")), b"").unwrap();
        fs::write(data.path().join(format!("a/{name:03}.png")), b"").unwrap();
    }
    fails(&mut check(&["--skip-broken"]), 1, &[]);
    fails(&mut check(&["--max-pixels", "0"]), 2, &["--max-pixels"]);
}
