//! A run folder has one writer at a time.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use crate::driving::{RunFolder, Snapshot, fails, qare, succeeds, text, tiny, tiny_folder, tiny_run};

/// Starts a run that only ends when killed, and waits for its first epoch.
fn endless(out: &std::path::Path) -> (Child, RunFolder) {
    let mut call = tiny("pretrain", out);
    let mut child = call.args(["--epochs", "100000"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = tiny_folder(out);
    let started = Instant::now();
    while run.latest_epoch().is_none() {
        assert!(child.try_wait().unwrap().is_none(), "the run ended by itself");
        assert!(started.elapsed() < Duration::from_secs(100), "no progress");
        sleep(Duration::from_millis(5));
    }
    (child, run)
}

#[test]
fn a_second_writer_is_refused_and_changes_nothing() {
    let out = tempdir().unwrap();
    let (mut child, run) = endless(out.path());
    let holder = format!("process {}", child.id());
    for flags in [&["--resume"][..], &["--overwrite"], &[]] {
        fails(
            tiny("pretrain", out.path()).args(["--epochs", "100000"]).args(flags),
            2,
            &["is being written by", &holder],
        );
    }
    let reached = run.latest_epoch().unwrap();
    let started = Instant::now();
    while run.latest_epoch().unwrap() < reached + 2 {
        assert!(child.try_wait().unwrap().is_none(), "the first writer ended");
        assert!(started.elapsed() < Duration::from_secs(100), "no progress");
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A lock ends with its process, even if the process is killed.
    let next = run.latest_epoch().unwrap() + 1;
    let printed = succeeds(tiny("pretrain", out.path()).args(["--epochs", "100000", "--overwrite", "--epochs", "1"]));
    assert!(next > 1 && run.latest_epoch() == Some(1), "{printed}");
    let hidden = fs::read_dir(out.path()).unwrap().flatten().filter(|entry| entry.path().is_file());
    assert_eq!(hidden.count(), 0, "no lock is left");
}

#[test]
fn a_sweep_over_locked_runs_is_refused_before_it_starts() {
    let out = tempdir().unwrap();
    let sweep = |seeds: &str, epochs: &str| {
        let mut call = qare(&["sweep", "--dataset", "shapes", "--train-images", "16", "--data-size", "8", "--no-tui"]);
        call.args(["--methods", "simclr", "--seeds", seeds, "--epochs", epochs, "--out", text(&out)]);
        call
    };
    let mut first = sweep("1,2", "100000").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = RunFolder(out.path().join("simclr_shapes_conv4_8_64_64_1.0_1.0_seed_1"));
    let started = Instant::now();
    while run.latest_epoch().is_none() {
        assert!(started.elapsed() < Duration::from_secs(100), "no progress");
        sleep(Duration::from_millis(5));
    }
    // A sweep locks all of its runs at the start, including those it has not reached yet.
    fails(&mut sweep("3,2", "1"), 2, &["is being written by", &format!("process {}", first.id())]);
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(!out.path().join("simclr_shapes_conv4_8_64_64_1.0_1.0_seed_3").exists());
}

#[test]
fn concurrent_probes_keep_each_others_figures() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 4);
    let epochs = [1, 2, 3, 4];
    let probe = |epoch: &usize| {
        let mut call = qare(&["probe", "--epochs", "1", "--checkpoint", text(&run.weights(*epoch))]);
        call.stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<Child> = epochs.iter().map(probe).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let results = run.results();
    let stages =
        results.as_object().unwrap().keys().filter(|stage| stage.starts_with("probe") || stage.starts_with("knn"));
    assert_eq!(stages.count(), 2 * epochs.len(), "{results}");
}

#[test]
fn figures_of_foreign_weights_have_a_file_of_their_own() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let elsewhere = tempdir().unwrap();
    let file = |name: &str| elsewhere.path().join(name);
    let plain = file("m.safetensors");
    succeeds(&mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&plain)]));
    // Only the tensors, as another program writes them.
    let bytes = fs::read(&plain).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap().tensors();
    fs::write(file("net.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    fs::write(file("results.json"), "{\"mine\": 1}").unwrap();
    let before = Snapshot::of(elsewhere.path());
    succeeds(&mut qare(&[
        "probe",
        "--epochs",
        "1",
        "--dataset",
        "shapes",
        "--checkpoint",
        text(&file("net.safetensors")),
    ]));
    before.assert_file_unchanged(&file("results.json"));
    let read =
        |name: &str| -> serde_json::Value { serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap() };
    assert!(read("net.safetensors.results.json")["probe"]["test_accuracy"].is_number());
    let classifier = file("net.safetensors_linear_evaluation.safetensors");
    succeeds(&mut qare(&["test", "--checkpoint", text(&classifier)]));
    assert!(read("net.safetensors.results.json")["test"]["accuracy"].is_number());

    // With --output, the figures go beside that file.
    let named = file("named.safetensors");
    let before = Snapshot::of(run.path());
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path()), "--output", text(&named)]));
    assert!(read("named.results.json")["probe"]["test_accuracy"].is_number() && named.is_file());
    before.assert_unchanged(run.path());
    // Input weights and files of a run are never replaced.
    let own = run.weights(1);
    for (command, output) in [("probe", &own), ("embed", &own), ("export", &own)] {
        let mut call = qare(&[command, "--checkpoint", text(run.path()), "--output", text(output)]);
        fails(&mut call, 2, &["--output", "not overwritten"]);
    }
    let net = file("net.safetensors");
    fails(
        &mut qare(&["export", "--checkpoint", text(&net), "--output", text(&net)]),
        2,
        &["the weights that are read"],
    );
    before.assert_unchanged(run.path());
    let missing = file("missing/named.safetensors");
    fails(&mut qare(&["probe", "--checkpoint", text(run.path()), "--output", text(&missing)]), 2, &["--output"]);
    let other = file("named.pt");
    fails(&mut qare(&["probe", "--checkpoint", text(run.path()), "--output", text(&other)]), 2, &[".safetensors"]);
}
