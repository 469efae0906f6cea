//! A stopped run resumes to the same result as an uninterrupted one.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use crate::driving::{
    EXACT, RunFolder, Snapshot, assert_nothing_half_written, assert_same_weights, fails, qare, succeeds, text, tiny,
    tiny_run,
};
#[cfg(unix)]
use crate::standstill::{Standstill, up_to};

const EPOCHS: usize = 6;

/// A run of six epochs of a few steps. The last batch of an epoch is smaller.
fn long_run(out: &Path) -> (Command, RunFolder) {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "88", "--data-size", "32", "--no-tui"]);
    call.args(["--epochs", &EPOCHS.to_string(), "--out", text(&out)]);
    (call, RunFolder(out.join("sparseclr_qare_shapes_conv4_32_64_64_1.0_1.0")))
}

/// Asserts that everything but times equals an uninterrupted run.
fn assert_as_if_uninterrupted(stopped: &RunFolder, whole: &RunFolder) {
    assert_eq!(stopped.latest_epoch(), Some(EPOCHS as u64));
    for epoch in [1, 3, 4, 6] {
        // Equal weights show that the optimizer's state was restored, since they depend on it.
        assert_same_weights(&stopped.weights(epoch), &whole.weights(epoch));
        let bytes = |run: &RunFolder| fs::read(run.optimizer(epoch)).unwrap();
        assert!(!EXACT || bytes(stopped) == bytes(whole), "the optimizer's state differs");
    }
    let epochs = |run: &RunFolder| -> Vec<String> {
        run.log_without_times().iter().map(|line| line.split(',').next().unwrap().to_string()).collect()
    };
    assert_eq!(epochs(stopped), ["epoch", "1", "2", "3", "4", "5", "6"], "each epoch is in the log once");
    if EXACT {
        assert_eq!(stopped.log_without_times(), whole.log_without_times());
        assert_eq!(stopped.results()["pretrain"]["loss"], whole.results()["pretrain"]["loss"]);
    }
    assert_nothing_half_written(stopped.path());
}

#[test]
#[cfg(unix)]
fn a_killed_run_resumes_to_the_same_weights() {
    let (whole_out, killed_out) = (tempdir().unwrap(), tempdir().unwrap());
    let (mut call, whole) = long_run(whole_out.path());
    let said = succeeds(&mut call);

    let (mut call, killed) = long_run(killed_out.path());
    // Killed before the first checkpoint: the run stands still at the figures of the first epoch, which precede it.
    let mut run = Standstill::start(&mut call, up_to(&said, "sparseclr_qare on"));
    run.wait_for(|| killed.file("recipe.toml").is_file());
    run.kill();
    assert_eq!(killed.latest_epoch(), None);
    fails(&mut qare(&["probe", "--checkpoint", text(killed.path())]), 2, &["has no finished epoch"]);

    // Killed in the middle: the run stands still at the figures of the fourth epoch.
    let mut run = Standstill::start(call.arg("--resume"), up_to(&said, "epoch 3/"));
    run.wait_for(|| killed.latest_epoch() >= Some(2));
    run.kill();
    let reached = killed.latest_epoch().unwrap();
    assert!((2..EPOCHS as u64).contains(&reached), "killed after epoch {reached}");

    let said = succeeds(&mut call);
    assert!(said.contains(&format!("resuming after epoch {reached} of {EPOCHS}")), "{said}");
    assert_as_if_uninterrupted(&killed, &whole);
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_says_how_to_go_on_and_does() {
    let (whole_out, stopped_out) = (tempdir().unwrap(), tempdir().unwrap());
    let (mut call, whole) = long_run(whole_out.path());
    let said = succeeds(&mut call);

    let (mut call, stopped) = long_run(stopped_out.path());
    let mut run = Standstill::start(&mut call, up_to(&said, "epoch 1/"));
    run.wait_for(|| stopped.latest_epoch() >= Some(1));
    let (code, message) = run.interrupt();
    assert_eq!(code, Some(1), "{message}");
    let last = message.lines().last().unwrap();
    assert!(last.starts_with("error: interrupted") && last.contains("--resume"), "{message}");
    // The number of workers does not change the run.
    succeeds(call.args(["--resume", "--num_workers", "3"]));
    assert_as_if_uninterrupted(&stopped, &whole);
}

#[test]
fn an_epoch_counts_as_done_only_if_it_is_in_the_log() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 2);
    let whole = run.log_without_times();
    run.go_back_to_epoch_1();
    let log = run.read("log.csv");
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "2", "--resume"]);
    for (damaged, words) in
        [("", "line 1"), (&log[..log.len() - 9], "line 2"), (log.lines().next().unwrap(), "epoch 1")]
    {
        fs::write(run.file("log.csv"), damaged).unwrap();
        let before = Snapshot::of(out.path());
        fails(&mut call, 1, &["log.csv", "damaged", words]);
        before.assert_unchanged(out.path());
    }
    fs::write(run.file("log.csv"), log).unwrap();
    succeeds(&mut call);
    assert!(!EXACT || run.log_without_times() == whole);
    assert_eq!(run.log_without_times().len(), 3, "header and two epochs");
}

#[test]
fn the_whole_pipeline_resumes() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("recipe.toml");
    fs::write(&recipe, "epochs = 2\n[probe]\nepochs = 2\n").unwrap();
    let run = tiny_run(out.path(), 2);
    run.go_back_to_epoch_1();
    // A kill while writing leaves such a file.
    fs::write(run.file("sparseclr_qare_shapes_conv4_seed_1_epoch_2.safetensors.part"), "half of").unwrap();
    let printed = succeeds(tiny("run", out.path()).arg(&recipe).arg("--resume"));
    assert!(printed.contains("resuming after epoch 1 of 2"), "{printed}");
    assert!(run.results()["test"]["accuracy"].is_number());
    assert_nothing_half_written(out.path());
}

#[test]
#[cfg(unix)]
fn a_killed_fine_tuning_resumes_to_the_same_weights() {
    let (whole_out, killed_out) = (tempdir().unwrap(), tempdir().unwrap());
    let runs = [&whole_out, &killed_out].map(|out| tiny_run(out.path(), 1));
    let call = |run: &RunFolder, epochs: &str| {
        let mut call = qare(&["probe", "--finetune", "--no-tui", "--checkpoint", text(run.path())]);
        call.args(["--epochs", epochs, "--data-size", "8"]);
        call
    };
    let stem = |run: &RunFolder| run.weights(1).file_stem().unwrap().to_string_lossy().into_owned() + "_finetuned";
    let tuned = |run: &RunFolder| run.file(&format!("{}.safetensors", stem(run)));
    let [whole, killed] = &runs;
    let said = succeeds(&mut call(whole, "6"));

    let state = killed.file(&stem(killed));
    let latest = || fs::read_to_string(state.join("latest.json")).ok();
    let mut run = Standstill::start(&mut call(killed, "6"), up_to(&said, "epoch 3/"));
    run.wait_for(|| latest().is_some_and(|text| !text.contains("\"epoch\": 1,")));
    run.kill();
    assert!(!tuned(killed).exists());
    let resumed = succeeds(&mut call(killed, "6"));
    assert!(resumed.contains("resuming after epoch") && resumed.contains("fine-tuned test accuracy"), "{resumed}");
    assert_same_weights(&tuned(killed), &tuned(whole));
    assert!(!state.exists(), "the state is deleted once the weights are saved");
    let log = killed.read(&format!("{}.log.csv", stem(killed)));
    assert_eq!(log.lines().count(), 7, "{log}");

    // An unfinished fine-tuning with other settings is an error.
    let mut run = Standstill::start(&mut call(killed, "6"), up_to(&said, "epoch 2/"));
    run.wait_for(|| latest().is_some());
    run.kill();
    // The next call would delete the lock file of the killed process, which would show as a change below.
    fs::remove_file(killed.file(&format!(".{}.lock", stem(killed)))).unwrap();
    let before = Snapshot::of(killed.path());
    fails(&mut call(killed, "2"), 2, &["another fine-tuning", "epochs = 2 (it has 6)", "delete that folder"]);
    before.assert_unchanged(killed.path());
    // A damaged state is an error, but remains of a finished fine-tuning are ignored.
    fs::write(state.join("latest.json"), "").unwrap();
    fails(&mut call(killed, "6"), 1, &["damaged", "delete that folder"]);
    fs::remove_file(state.join("latest.json")).unwrap();
    fs::remove_file(state.join("recipe.toml")).unwrap();
    let printed = succeeds(&mut call(killed, "2"));
    assert!(!printed.contains("resuming") && !state.exists(), "{printed}");
}
