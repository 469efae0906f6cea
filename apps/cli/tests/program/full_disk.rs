//! Full and read-only disks: exit code 1, a message that names the file, and existing files intact.
#![cfg(unix)]

use std::process::Command;

use tempfile::tempdir;

use crate::driving::{
    Snapshot, assert_nothing_half_written, assert_same_weights, fails, qare, succeeds, text, tiny, tiny_folder,
    tiny_run,
};

/// The same call with a limit on the size of files, in blocks. 64 blocks suffice for text but not for weights.
fn with_small_files(call: &Command, blocks: usize) -> Command {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut limited = Command::new("sh");
    limited.args(["-c", &script]).arg(call.get_program()).args(call.get_args()).env_remove("RUST_BACKTRACE");
    limited
}

#[test]
fn a_disk_that_fills_up_while_weights_are_written_is_an_error() {
    let out = tempdir().unwrap();
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "1"]);
    let run = tiny_folder(out.path());
    fails(&mut with_small_files(&call, 64), 1, &["cannot write", text(&run.weights(1))]);
    assert_nothing_half_written(out.path());
    assert_eq!(run.latest_epoch(), None);
    // With enough space, the run resumes.
    succeeds(call.arg("--resume"));
    assert_eq!(run.latest_epoch(), Some(1));
}

#[test]
fn a_disk_that_is_full_from_the_start_is_an_error() {
    let out = tempdir().unwrap();
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "1"]);
    fails(&mut with_small_files(&call, 0), 1, &["cannot write", "recipe.toml"]);
    assert_nothing_half_written(out.path());
    succeeds(&mut call);
}

#[test]
fn the_previous_checkpoint_survives_a_full_disk() {
    let (out, whole) = (tempdir().unwrap(), tempdir().unwrap());
    let run = tiny_run(out.path(), 2);
    run.go_back_to_epoch_1();
    let before = Snapshot::of(out.path());
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "2", "--resume"]);
    fails(&mut with_small_files(&call, 64), 1, &["cannot write", text(&run.weights(2))]);
    assert_nothing_half_written(out.path());
    assert_eq!(run.latest_epoch(), Some(1));
    // The log may be ahead. Checkpoints and latest.json are unchanged.
    for file in [run.weights(1), run.optimizer(1), run.file("latest.json"), run.file("recipe.toml")] {
        before.assert_file_unchanged(&file);
    }
    succeeds(&mut call);
    assert_same_weights(&run.weights(2), &tiny_run(whole.path(), 2).weights(2));
    assert_eq!(run.log_without_times(), tiny_folder(whole.path()).log_without_times());
}

#[test]
fn a_probe_that_cannot_be_saved_leaves_the_run_unchanged() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let call = qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]);
    fails(&mut with_small_files(&call, 64), 1, &["cannot write", "_linear_evaluation.safetensors"]);
    before.assert_unchanged(out.path());
}

#[test]
fn features_that_cannot_be_saved_leave_those_of_an_earlier_call() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = out.path().join("features.npy");
    let embed =
        |split: &str| qare(&["embed", "--checkpoint", text(run.path()), "--split", split, "--output", text(&file)]);
    succeeds(&mut embed("train"));
    let before = Snapshot::of(out.path());
    // The labels fit, and the features do not.
    fails(&mut with_small_files(&embed("test"), 64), 1, &["cannot write", text(&file)]);
    before.assert_unchanged(out.path());
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_cannot_be_created_is_an_error() {
    let place = std::path::Path::new("/proc/qare");
    fails(tiny("pretrain", place).args(["--epochs", "1"]), 1, &["cannot make the run folder", "/proc/qare"]);
}
