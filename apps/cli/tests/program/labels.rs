//! Labels are matched by class name, and meaningless scores are not shown.

use std::fs;
use std::path::Path;

use image::{Rgb, RgbImage};
use tempfile::{TempDir, tempdir};

use crate::driving::{RunFolder, Snapshot, fails, qare, succeeds, text};

/// Writes pictures of one colour with a little noise.
fn pictures(folder: &Path, colour: [u8; 3], count: u32) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        let shade = |x: u32, y: u32| Rgb(colour.map(|value| value.saturating_add(((x * y + 7 * number) % 40) as u8)));
        RgbImage::from_fn(16, 16, shade).save(folder.join(format!("{number:03}.png"))).unwrap();
    }
}

const GREEN: [u8; 3] = [30, 200, 30];
const RED: [u8; 3] = [200, 30, 30];
const BLUE: [u8; 3] = [30, 30, 200];

/// A folder of images by class.
fn folder(classes: &[(&str, [u8; 3])]) -> TempDir {
    let data = tempdir().unwrap();
    for (name, colour) in classes {
        pictures(&data.path().join(name), *colour, 20);
    }
    data
}

fn pretrain(data: &Path, out: &Path, flags: &[&str]) -> std::process::Command {
    let mut call = qare(&["pretrain", "--dataset", "folder", "--image-size", "16", "--batch-size", "8", "--no-tui"]);
    call.args(["--epochs", "1", "--data-dir", text(data), "--out", text(out)]).args(flags);
    call
}

/// The only run folder in a folder.
fn only_run(out: &Path) -> RunFolder {
    let mut folders = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let run = RunFolder(folders.next().expect("a run"));
    assert!(folders.next().is_none());
    run
}

fn test_on(run: &RunFolder, data: &Path) -> std::process::Command {
    qare(&["test", "--checkpoint", text(run.path()), "--data-dir", text(data)])
}

#[test]
fn a_classifier_is_tested_on_the_classes_it_knows_by_name() {
    let (a, out) = (folder(&[("green", GREEN), ("red", RED)]), tempdir().unwrap());
    succeeds(&mut pretrain(a.path(), out.path(), &[]));
    let run = only_run(out.path());
    succeeds(&mut qare(&["probe", "--epochs", "40", "--learning-rate", "0.05", "--checkpoint", text(run.path())]));
    succeeds(&mut test_on(&run, a.path()));
    let accuracy = || run.results()["test"]["accuracy"].as_f64().unwrap();
    let own = accuracy();
    assert!(own > 80.0, "{own}");

    // An additional class changes the labels of the known classes, but not their names.
    let more = folder(&[("green", GREEN), ("red", RED)]);
    pictures(&more.path().join("train/blue"), BLUE, 4);
    for class in ["green", "red"] {
        fs::rename(more.path().join(class), more.path().join("train").join(class)).unwrap();
    }
    pictures(&more.path().join("test/green"), GREEN, 6);
    pictures(&more.path().join("test/red"), RED, 6);
    let output = test_on(&run, more.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("matched by name"), "{output:?}");
    assert!(accuracy() > 80.0, "{}", accuracy());

    // The same images under other names, and images of other classes.
    let before = run.results();
    for other in [&[("rouge", RED), ("zgreen", GREEN)], &[("blue", BLUE), ("red", RED)]] {
        let data = folder(other);
        let absent = other.iter().map(|(name, _)| *name).find(|name| *name != "red").unwrap();
        fails(&mut test_on(&run, data.path()), 2, &["green", absent, "qare probe"]);
        assert_eq!(run.results(), before);
    }
}

#[test]
fn a_run_is_not_resumed_on_other_classes() {
    let (data, out) = (folder(&[("green", GREEN), ("red", RED)]), tempdir().unwrap());
    succeeds(&mut pretrain(data.path(), out.path(), &[]));
    let before = Snapshot::of(out.path());
    fs::rename(data.path().join("green"), data.path().join("zgreen")).unwrap();
    let mut call = pretrain(data.path(), out.path(), &["--resume", "--epochs", "2"]);
    fails(&mut call, 2, &["cannot be resumed", "`green`", "`zgreen`"]);
    before.assert_unchanged(out.path());
    fs::rename(data.path().join("zgreen"), data.path().join("green")).unwrap();
    succeeds(&mut call);
}

#[test]
fn training_does_not_start_from_a_classifier_of_other_classes() {
    let out = tempdir().unwrap();
    let (one, other) = (folder(&[("green", GREEN), ("red", RED)]), folder(&[("blue", BLUE), ("red", RED)]));
    succeeds(&mut pretrain(one.path(), out.path(), &["--method", "standard"]));
    let run = only_run(out.path());
    for (data, started) in [(&one, "backbone and standard of"), (&other, "from the backbone of")] {
        let out = tempdir().unwrap();
        let flags = ["--method", "standard", "--checkpoint", text(run.path())];
        let printed = succeeds(&mut pretrain(data.path(), out.path(), &flags));
        assert!(printed.contains(started), "{printed}");
    }
}

#[test]
fn class_names_are_in_the_run_its_weights_and_its_features() {
    let (data, out) = (folder(&[("green", GREEN), ("red", RED)]), tempdir().unwrap());
    succeeds(&mut pretrain(data.path(), out.path(), &[]));
    let run = only_run(out.path());
    let record = run.results()["run"].clone();
    assert_eq!(record["classes"], serde_json::json!(["green", "red"]));
    assert_eq!(record["data_dir"].as_str(), Some(text(data.path())));
    let features = out.path().join("features.npy");
    succeeds(&mut qare(&["embed", "--checkpoint", text(run.path()), "--output", text(&features)]));
    assert_eq!(fs::read_to_string(out.path().join("features.classes.txt")).unwrap(), "green\nred\n");
}

#[test]
fn images_without_labels_have_no_accuracy() {
    let flat = tempdir().unwrap();
    pictures(flat.path(), GREEN, 24);
    let one_class = folder(&[("only", RED)]);
    for (data, why) in [(&flat, "no labels"), (&one_class, "one class")] {
        let out = tempdir().unwrap();
        let output = pretrain(data.path(), out.path(), &[]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains(why), "{printed}");
        assert!(printed.contains("epoch 1/1: loss") && !printed.contains("knn accuracy"), "{printed}");
        let run = only_run(out.path());
        assert!(run.results()["pretrain"].get("held_out_knn_accuracy").is_none());
        let log = run.read("log.csv");
        assert_eq!(log.lines().nth(1).unwrap().split(',').nth(2), Some(""), "{log}");
        // The run can be resumed, and stages that need labels report their absence.
        succeeds(&mut pretrain(data.path(), out.path(), &["--epochs", "2", "--resume"]));
        fails(&mut qare(&["probe", "--checkpoint", text(run.path())]), 2, &["labelled images of two classes"]);
        let mut supervised = pretrain(data.path(), out.path(), &["--method", "standard"]);
        fails(&mut supervised, 2, &["learns from labels"]);
    }
}

#[test]
fn a_sweep_does_not_mix_classes() {
    let (data, out) = (folder(&[("green", GREEN), ("red", RED)]), tempdir().unwrap());
    let sweep = || {
        let mut call = qare(&["sweep", "--seeds", "1", "--methods", "randomweights", "--dataset", "folder"]);
        call.args(["--image-size", "16", "--no-tui", "--data-dir", text(data.path()), "--out", text(&out)]);
        call
    };
    succeeds(&mut sweep());
    assert!(succeeds(&mut sweep()).contains("already complete"));
    fs::rename(data.path().join("red"), data.path().join("rouge")).unwrap();
    let output = sweep().output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("`rouge`"), "{output:?}");
}

#[test]
fn a_probe_of_other_images_does_not_replace_the_runs_own() {
    let (data, other, out) =
        (folder(&[("a", GREEN), ("b", RED)]), folder(&[("c", BLUE), ("d", RED)]), tempdir().unwrap());
    succeeds(&mut pretrain(data.path(), out.path(), &[]));
    let run = only_run(out.path());
    let probe = |flags: &[&str]| {
        let mut call = qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]);
        call.args(flags);
        call
    };
    succeeds(&mut probe(&[]));
    let before = Snapshot::of(out.path());
    fails(&mut probe(&["--data-dir", text(other.path())]), 2, &["--output", text(other.path())]);
    before.assert_unchanged(out.path());
    let file = other.path().join("classifier.safetensors");
    succeeds(&mut probe(&["--data-dir", text(other.path()), "--output", text(&file)]));
    before.assert_unchanged(out.path());
    let printed = succeeds(&mut qare(&["test", "--checkpoint", text(&file)]));
    assert!(printed.contains(text(other.path())), "{printed}");
}
