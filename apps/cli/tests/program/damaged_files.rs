//! Damaged files of a run: exit code 1, a message that names the file, and no file changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use crate::driving::{RunFolder, Snapshot, fails, qare, succeeds, text, tiny, tiny_run};

/// A run of two epochs, stopped after the first.
fn stopped_run(out: &Path) -> RunFolder {
    let run = tiny_run(out, 2);
    run.go_back_to_epoch_1();
    run
}

fn resume(out: &Path) -> Command {
    let mut call = tiny("pretrain", out);
    call.args(["--epochs", "2", "--resume"]);
    call
}

/// Overwrites a file with `bytes`, checks that the call fails and leaves the folder unchanged, and restores the file.
#[track_caller]
fn fails_with(call: &mut Command, folder: &Path, file: &Path, bytes: &[u8], words: &[&str]) {
    let whole = fs::read(file).unwrap();
    fs::write(file, bytes).unwrap();
    let before = Snapshot::of(folder);
    let name = file.file_name().unwrap().to_str().unwrap();
    fails(call, 1, &[&[name], words].concat());
    before.assert_unchanged(folder);
    fs::write(file, whole).unwrap();
}

#[test]
fn a_truncated_checkpoint_is_an_error() {
    let out = tempdir().unwrap();
    let run = stopped_run(out.path());
    let file = run.weights(1);
    let whole = fs::read(&file).unwrap();
    for length in [0, 5, 8, 200, whole.len() / 2, whole.len() - 1] {
        let cut = &whole[..length];
        fails_with(&mut qare(&["probe", "--checkpoint", text(run.path())]), out.path(), &file, cut, &["safetensors"]);
    }
    for (length, problem) in [(0, "it is empty"), (whole.len() - 1, "safetensors")] {
        let advice = "start the run again with --overwrite";
        fails_with(&mut resume(out.path()), out.path(), &file, &whole[..length], &[problem, advice]);
    }
    let long = [&whole[..], b"more"].concat();
    fails_with(&mut qare(&["probe", "--checkpoint", text(&file)]), out.path(), &file, &long, &["safetensors"]);
    succeeds(&mut resume(out.path()));
}

#[test]
fn a_checkpoint_with_a_damaged_header_is_an_error() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = run.weights(1);
    let whole = fs::read(&file).unwrap();
    // The header's length, its first brace, and the entry about the run.
    let origin = whole.windows(6).position(|bytes| bytes == b"\"qare\"").unwrap();
    for (place, byte) in [(0, 0xff), (2, 0xff), (7, 0x7f), (8, b'['), (9, 0), (origin + 8, b'!')] {
        let mut damaged = whole.clone();
        damaged[place] = byte;
        fails_with(&mut qare(&["probe", "--checkpoint", text(&file)]), out.path(), &file, &damaged, &[]);
        fails_with(&mut qare(&["test", "--checkpoint", text(&file)]), out.path(), &file, &damaged, &[]);
    }
    let other = b"PK\x03\x04 something else entirely";
    fails_with(&mut qare(&["probe", "--checkpoint", text(&file)]), out.path(), &file, other, &[]);

    // Without the recipe, the file counts as foreign and the call must name a dataset.
    let mut anonymous = whole.clone();
    anonymous[origin + 1] = b'x';
    fs::write(&file, anonymous).unwrap();
    fails(&mut qare(&["probe", "--checkpoint", text(&file)]), 2, &["does not say which run", "--dataset"]);
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(&file), "--dataset", "shapes"]));
}

#[test]
fn a_damaged_optimizer_state_is_an_error() {
    let out = tempdir().unwrap();
    let run = stopped_run(out.path());
    let file = run.optimizer(1);
    let whole = fs::read(&file).unwrap();
    for length in [0, whole.len() / 2, whole.len() - 1] {
        fails_with(&mut resume(out.path()), out.path(), &file, &whole[..length], &["damaged"]);
    }
    let other = b"PK\x03\x04 something else entirely";
    fails_with(&mut resume(out.path()), out.path(), &file, other, &["damaged"]);
    fs::remove_file(&file).unwrap();
    fails(&mut resume(out.path()), 1, &["cannot be read", text(&file), "--checkpoint"]);
}

#[test]
fn the_optimizer_state_of_another_network_is_an_error() {
    let (out, other) = (tempdir().unwrap(), tempdir().unwrap());
    let run = stopped_run(out.path());
    succeeds(tiny("pretrain", other.path()).args(["--epochs", "1", "--backbone", "resnet8"]));
    let folder = other.path().join("sparseclr_qare_shapes_resnet8_8_64_64_1.0_1.0");
    let foreign = fs::read(folder.join("sparseclr_qare_shapes_resnet8_seed_1_epoch_1.optimizer")).unwrap();
    fails_with(&mut resume(out.path()), out.path(), &run.optimizer(1), &foreign, &[]);
}

#[test]
fn damaged_records_of_a_run_are_errors() {
    let out = tempdir().unwrap();
    let run = stopped_run(out.path());
    let (latest, recipe) = (run.file("latest.json"), run.file("recipe.toml"));
    let of_another = run.read("latest.json").replace("\"epoch\": 1", "\"epoch\": 999");
    for text in ["", "{\"epoch\": -1}", "{\"epoch\": 1}", &of_another] {
        fails_with(&mut resume(out.path()), out.path(), &latest, text.as_bytes(), &["damaged", "--checkpoint"]);
    }
    let mut probe = qare(&["probe", "--checkpoint", text(run.path())]);
    fails_with(&mut probe, out.path(), &latest, b"{", &["damaged"]);
    let whole = run.read("recipe.toml");
    let cut = &whole[..whole.find("[probe]").unwrap()];
    for text in ["epochs = ", "unheard_of = 1", "\u{0}", "", "\n", "seed = 1\n", cut] {
        fails_with(&mut resume(out.path()), out.path(), &recipe, text.as_bytes(), &["damaged", "put it back"]);
    }
    let log = run.file("log.csv");
    fs::remove_file(&log).unwrap();
    let before = Snapshot::of(out.path());
    fails(&mut resume(out.path()), 1, &["log.csv is missing", "--checkpoint"]);
    before.assert_unchanged(out.path());
}

#[test]
fn damaged_results_are_an_error_and_kept() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let results = run.file("results.json");
    let mut test = qare(&["test", "--checkpoint", text(run.path())]);
    fails_with(&mut test, out.path(), &results, b"{\"probe\":", &["damaged"]);
    fs::write(&results, "{\"probe\":").unwrap();
    let mut probe = qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]);
    fails(&mut probe, 1, &["results.json", "damaged"]);
    assert_eq!(run.read("results.json"), "{\"probe\":");
}

#[test]
fn a_missing_weights_file_is_named() {
    let out = tempdir().unwrap();
    let run = stopped_run(out.path());
    fs::remove_file(run.weights(1)).unwrap();
    let before = Snapshot::of(out.path());
    fails(&mut resume(out.path()), 1, &[text(&run.weights(1))]);
    fails(&mut qare(&["probe", "--checkpoint", text(run.path())]), 1, &[text(&run.weights(1))]);
    before.assert_unchanged(out.path());
}

#[test]
fn weights_without_latest_json_are_not_overwritten() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 2);
    fs::remove_file(run.file("latest.json")).unwrap();
    let before = Snapshot::of(out.path());
    fails(&mut resume(out.path()), 1, &["latest.json is missing", "epoch 2", "--checkpoint"]);
    before.assert_unchanged(out.path());
}
