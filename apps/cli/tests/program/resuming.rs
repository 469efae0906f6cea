//! A run that was stopped goes on to what it would have been.

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

/// A run of six epochs of a few steps, the last of which has a smaller batch.
fn long_run(out: &Path) -> (Command, RunFolder) {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "88", "--data-size", "32", "--no-tui"]);
    call.args(["--epochs", &EPOCHS.to_string(), "--out", text(&out)]);
    (call, RunFolder(out.join("sparseclr_qare_shapes_conv4_32_64_64_1.0_1.0")))
}

/// Everything but times is as in a run that was never stopped.
fn assert_as_if_never_stopped(stopped: &RunFolder, whole: &RunFolder) {
    assert_eq!(stopped.latest_epoch(), Some(EPOCHS as u64));
    for epoch in [1, 3, 4, 6] {
        // The weights tell of the optimizer too: those of an epoch depend on its state in all epochs before.
        assert_same_weights(&stopped.weights(epoch), &whole.weights(epoch));
        let bytes = |run: &RunFolder| fs::read(run.optimizer(epoch)).unwrap();
        assert!(!EXACT || bytes(stopped) == bytes(whole), "states of the optimizer are written in one order");
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
    // Once before there is any checkpoint: it does not come past the figures of the first epoch, which it says before it keeps it.
    let mut run = Standstill::start(&mut call, up_to(&said, "sparseclr_qare on"));
    run.wait_for(|| killed.file("recipe.toml").is_file());
    run.kill();
    assert_eq!(killed.latest_epoch(), None);
    fails(&mut qare(&["probe", "--checkpoint", text(killed.path())]), 2, &["has no finished epoch"]);

    // And once in the midst: it does not come past the figures of the fourth epoch.
    let mut run = Standstill::start(call.arg("--resume"), up_to(&said, "epoch 3/"));
    run.wait_for(|| killed.latest_epoch() >= Some(2));
    run.kill();
    let reached = killed.latest_epoch().unwrap();
    assert!((2..EPOCHS as u64).contains(&reached), "killed after epoch {reached}");

    let said = succeeds(&mut call);
    assert!(said.contains(&format!("resuming after epoch {reached} of {EPOCHS}")), "{said}");
    assert_as_if_never_stopped(&killed, &whole);
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
    // Resumed on another number of workers, it is still the same run.
    succeeds(call.args(["--resume", "--num_workers", "3"]));
    assert_as_if_never_stopped(&stopped, &whole);
}

#[test]
fn an_epoch_counts_as_done_only_when_it_is_in_the_log() {
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
    // What a kill in the midst of writing leaves.
    fs::write(run.file("sparseclr_qare_shapes_conv4_seed_1_epoch_2.safetensors.part"), "half of").unwrap();
    let said = succeeds(tiny("run", out.path()).arg(&recipe).arg("--resume"));
    assert!(said.contains("resuming after epoch 1 of 2"), "{said}");
    assert!(run.results()["test"]["accuracy"].is_number());
    assert_nothing_half_written(out.path());
}

#[test]
#[cfg(unix)]
fn a_killed_fine_tuning_goes_on_to_the_same_weights() {
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
    assert!(!state.exists(), "the state goes when the weights are kept");
    let log = killed.read(&format!("{}.log.csv", stem(killed)));
    assert_eq!(log.lines().count(), 7, "{log}");

    // One of other settings is in the way.
    let mut run = Standstill::start(&mut call(killed, "6"), up_to(&said, "epoch 2/"));
    run.wait_for(|| latest().is_some());
    run.kill();
    // Whoever takes the lock that the killed process left takes it away in the end.
    fs::remove_file(killed.file(&format!(".{}.lock", stem(killed)))).unwrap();
    let before = Snapshot::of(killed.path());
    fails(&mut call(killed, "2"), 2, &["another fine-tuning", "epochs = 2 (it has 6)", "delete that folder"]);
    before.assert_unchanged(killed.path());
    // A damaged one is told; what a kill leaves of one that is done is in nobody's way.
    fs::write(state.join("latest.json"), "").unwrap();
    fails(&mut call(killed, "6"), 1, &["damaged", "delete that folder"]);
    fs::remove_file(state.join("latest.json")).unwrap();
    fs::remove_file(state.join("recipe.toml")).unwrap();
    let said = succeeds(&mut call(killed, "2"));
    assert!(!said.contains("resuming") && !state.exists(), "{said}");
}
