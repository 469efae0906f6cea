//! Folders of images as people have them: what serves as what is said, and what is left out is named.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

use crate::driving::{RunFolder, fails, qare, succeeds, text};

fn picture(seed: u32) -> RgbImage {
    RgbImage::from_fn(16, 16, |x, y| Rgb([(x * 9 + seed) as u8, (y * 9 + 3 * seed) as u8, (x * y + seed) as u8]))
}

/// Writes some pictures.
fn pictures(folder: &Path, count: u32, extension: &str) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        picture(37 * number).save(folder.join(format!("{number:03}.{extension}"))).unwrap();
    }
}

/// A folder of images: `train` with ten pictures of each class, and others.
fn dataset(parts: &[(&str, u32)]) -> TempDir {
    let data = tempdir().unwrap();
    for (part, count) in parts {
        pictures(&data.path().join(part), *count, "png");
    }
    data
}

fn on(command: &str, data: &Path, out: &Path) -> Command {
    let mut call = qare(&[command, "--dataset", "folder", "--image-size", "16", "--batch-size", "4", "--no-tui"]);
    call.args(["--epochs", "1", "--method", "simclr", "--data-dir", text(data), "--out", text(out)]);
    call
}

fn run_in(out: &Path) -> RunFolder {
    RunFolder(fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap())
}

#[test]
fn what_serves_as_the_test_split_is_said_by_every_command() {
    let data = dataset(&[("Training/a", 10), ("Training/b", 10), ("Validation/a", 3), ("Validation/b", 3)]);
    let out = tempdir().unwrap();
    let said = succeeds(&mut qare(&["data", "check", text(&data)]));
    assert!(said.contains("Validation"), "{said}");
    let said = succeeds(&mut on("pretrain", data.path(), out.path()));
    assert!(said.contains("note: ") && said.contains("Validation"), "{said}");
    let run = run_in(out.path());
    let said = succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
    assert!(said.contains("Validation"), "{said}");
    succeeds(&mut qare(&["test", "--checkpoint", text(run.path())]));
    assert_eq!(run.results()["test"]["images"], 6);
}

#[test]
fn unlabelled_test_images_are_embedded_and_not_tested_on() {
    let data = dataset(&[("train/cat", 10), ("train/dog", 10), ("test", 7)]);
    let out = tempdir().unwrap();
    succeeds(&mut on("pretrain", data.path(), out.path()));
    let run = run_in(out.path());
    fails(&mut qare(&["probe", "--checkpoint", text(run.path())]), 2, &["test images have no labels", "embed"]);
    // All three stages are refused before the first.
    let recipe = data.path().join("recipe.toml");
    fs::write(&recipe, "seed = 2\n").unwrap();
    let made = out.path().join("made");
    fails(on("run", data.path(), &made).arg(&recipe), 2, &["test images have no labels"]);
    assert!(!made.exists());
    let features = out.path().join("test.npy");
    let mut call = qare(&["embed", "--checkpoint", text(run.path()), "--split", "test", "--output", text(&features)]);
    let said = succeeds(&mut call);
    assert!(said.contains("no labels"), "{said}");
    assert!(!out.path().join("test.labels.npy").exists() && !out.path().join("test.classes.txt").exists());
    assert_eq!(fs::read_to_string(out.path().join("test.files.txt")).unwrap().lines().count(), 7);
    // With labelled ones beside them, they are those of label -1.
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
    fails(&mut on("pretrain", data.path(), out.path()), 1, &words);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    let said = succeeds(on("pretrain", data.path(), out.path()).arg("--skip-broken"));
    assert!(said.contains("2 broken images left out:") && said.contains("a/001.png"), "{said}");
    // The run knows, and its later stages do likewise.
    let run = run_in(out.path());
    assert_eq!(run.recipe()["skip_broken"].as_bool(), Some(true));
    assert_eq!(run.results()["run"]["skipped"], 2);
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
}

#[test]
fn an_image_that_announces_too_many_pixels_is_broken_like_any_other() {
    let data = dataset(&[("a", 4), ("b", 4)]);
    let out = tempdir().unwrap();
    // A bitmap of 65,535 × 65,535 in 54 bytes.
    let mut header = b"BM".to_vec();
    for field in [54u32, 0, 54, 40, 65535, 65535, 1 | 24 << 16, 0, 0, 0, 0, 0, 0] {
        header.extend(field.to_le_bytes());
    }
    fs::write(data.path().join("a/huge.bmp"), header).unwrap();
    fails(&mut on("pretrain", data.path(), out.path()), 1, &["huge.bmp", "pixels"]);
    succeeds(on("pretrain", data.path(), out.path()).arg("--skip-broken"));
    // A limit of one's own.
    let output = qare(&["data", "check", text(&data), "--max-pixels", "100"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("pixels"));
}

#[test]
fn a_part_of_the_images_is_of_all_classes_and_the_header_says_so() {
    let data = dataset(&[("a", 40), ("b", 40), ("c", 20)]);
    let out = tempdir().unwrap();
    let said = succeeds(on("pretrain", data.path(), out.path()).args(["--train-images", "10"]));
    let header = said.lines().find(|line| !line.starts_with("note: ")).unwrap();
    assert!(header.starts_with("simclr on folder (10 of 80 training images") && header.contains("seed 1"), "{said}");
    let run = run_in(out.path());
    // The first ten images are of one class, of which a probe could learn nothing.
    let said = succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
    assert!(said.contains("10 of 80 training images"), "{said}");
}

#[test]
fn two_folders_of_images_have_two_runs() {
    let (one, other) = (dataset(&[("a", 6), ("b", 6)]), dataset(&[("a", 6), ("b", 6)]));
    let out = tempdir().unwrap();
    succeeds(&mut on("pretrain", one.path(), out.path()));
    succeeds(&mut on("pretrain", other.path(), out.path()));
    let names: Vec<String> =
        fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|name| name.starts_with("simclr_folder_conv4_4_64_64_1.0_1.0_")), "{names:?}");
    fails(&mut on("pretrain", one.path(), out.path()), 2, &["holds a run already"]);
}

#[test]
fn a_run_knows_its_images_from_anywhere() {
    let (data, out, elsewhere) = (dataset(&[("data/a", 10), ("data/b", 10)]), tempdir().unwrap(), tempdir().unwrap());
    pictures(&elsewhere.path().join("data/x"), 9, "png");
    let mut call = on("pretrain", Path::new("data"), out.path());
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
fn a_run_whose_images_were_moved_is_not_begun_anew_by_resume() {
    let (data, out) = (dataset(&[("old/a", 4), ("old/b", 4)]), tempdir().unwrap());
    succeeds(&mut on("pretrain", &data.path().join("old"), out.path()));
    let run = run_in(out.path());
    fs::rename(data.path().join("old"), data.path().join("new")).unwrap();
    let mut resume = on("pretrain", &data.path().join("new"), out.path());
    resume.args(["--epochs", "2", "--resume"]);
    let message = fails(&mut resume, 2, &[text(run.path()), "moved", "rename"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
    // As it says.
    assert!(message.contains("choose another --id"), "{message}");
    let name = message.split("rename the run to ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    fs::rename(run.path(), out.path().join(name)).unwrap();
    let said = succeeds(&mut resume);
    assert!(said.contains("resuming after epoch 1 of 2"), "{said}");
    // Another folder of images has a run of its own as long as the first is there.
    pictures(&data.path().join("other/a"), 4, "png");
    pictures(&data.path().join("other/b"), 4, "png");
    succeeds(on("pretrain", &data.path().join("other"), out.path()).arg("--resume"));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
}

#[test]
fn a_classifier_is_tested_at_the_size_it_was_trained_at() {
    let (data, out) = (dataset(&[("a", 10), ("b", 10)]), tempdir().unwrap());
    succeeds(&mut on("pretrain", data.path(), out.path()));
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
    let said = succeeds(&mut check(&["--skip-broken"]));
    assert!(
        said.contains("sound") && said.contains("1 broken image left out:") && said.contains("a/001.png"),
        "{said}"
    );
    for name in 0..6 {
        fs::write(data.path().join(format!("b/{name:03}.png")), b"").unwrap();
        fs::write(data.path().join(format!("a/{name:03}.png")), b"").unwrap();
    }
    fails(&mut check(&["--skip-broken"]), 1, &[]);
    fails(&mut check(&["--max-pixels", "0"]), 2, &["--max-pixels"]);
}
