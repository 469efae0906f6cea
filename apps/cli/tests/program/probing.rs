//! Stages 2 and 3 read everything from the run folder and record their results there.

use std::fs;

use tempfile::tempdir;

use crate::driving::{Snapshot, fails, qare, succeeds, tensors, text, tiny_run};

const PROBE: &str = "sparseclr_qare_shapes_conv4_seed_1_epoch_1_linear_evaluation.safetensors";

#[test]
fn probe_and_test_work_from_the_run_folder_alone() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let printed = succeeds(&mut qare(&["probe", "--checkpoint", text(run.path())]));
    let results = run.results();
    let accuracy = results["probe"]["test_accuracy"].as_f64().unwrap();
    assert_eq!(printed.lines().last().unwrap(), format!("linear probe test accuracy: {accuracy:.2} %"));
    assert_eq!(results["probe"]["epochs"], 100);
    assert_eq!(results["probe"]["checkpoint"], PROBE);
    assert!((0.0..=100.0).contains(&results["knn"]["accuracy"].as_f64().unwrap()));
    assert!(results["pretrain"]["loss"].is_number(), "the figures of stage 1 stay");

    let saved = tensors(&run.file(PROBE));
    assert_eq!(saved["classifier.weight"].0, "F32[10, 64]");
    assert_eq!(saved["classifier.bias"].0, "F32[10]");
    // The backbone is frozen, including its running statistics.
    let trained = tensors(&run.weights(1));
    for (name, tensor) in saved.iter().filter(|(name, _)| name.starts_with("backbone.")) {
        assert!(tensor == &trained[name], "{name}");
    }

    let printed = succeeds(&mut qare(&["test", "--checkpoint", text(run.path())]));
    assert_eq!(printed.lines().last().unwrap(), format!("test accuracy: {accuracy:.2} %"));
    let results = run.results();
    assert_eq!(results["test"]["accuracy"].as_f64(), Some(accuracy));
    let losses = [&results["test"]["loss"], &results["probe"]["test_loss"]].map(|loss| loss.as_f64().unwrap());
    assert!((losses[0] - losses[1]).abs() < 1e-6, "{losses:?}");
}

#[test]
fn probe_and_test_work_from_a_file() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 2);
    succeeds(&mut qare(&["probe", "--epochs", "2", "--checkpoint", text(&run.weights(1))]));
    let stem = PROBE.strip_suffix("_linear_evaluation.safetensors").unwrap();
    assert_eq!(run.results()[format!("probe:{stem}")]["epoch"], 1);
    // The run is at epoch 2, so its probe is not that of epoch 1.
    fails(&mut qare(&["test", "--checkpoint", text(run.path())]), 2, &["no linear probe", "qare probe"]);
    succeeds(&mut qare(&["probe", "--epochs", "2", "--checkpoint", text(run.path())]));
    assert_eq!(run.results()["probe"]["epoch"], 2);
    let own = run.results();
    let printed = succeeds(&mut qare(&["test", "--checkpoint", text(&run.file(PROBE))]));
    assert_eq!(run.results()["probe"], own["probe"], "the test of epoch 1 changed the run's results");
    assert!(run.results().get("test").is_none());
    assert!(printed.lines().last().unwrap().starts_with("test accuracy: "), "{printed}");
}

#[test]
fn the_script_names_and_flags_of_the_papers_repository_are_accepted() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let checkpoint = format!("--checkpoint={}", run.weights(1).display());
    let flags = ["--dataset=shapes", "--method=sparceclr_qare", "--backbone=conv4", "--seed=1", "--data_size=4"];
    succeeds(qare(&["train_linear_evaluation", "--epochs=1", "--gpu=0", &checkpoint]).args(flags));
    assert_eq!(run.results()["probe"]["epochs"], 1);
    let checkpoint = format!("--checkpoint={}", run.file(PROBE).display());
    succeeds(qare(&["test", "--gpu=0", &checkpoint]).args(flags));
}

#[test]
fn names_that_contradict_the_run_are_refused() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let wrong = [("--method", "simclr"), ("--backbone", "resnet8")];
    for (flag, value) in wrong {
        let mut call = qare(&["probe", "--checkpoint", text(run.path()), flag, value]);
        fails(&mut call, 2, &[flag, value, "was trained with"]);
    }
    before.assert_unchanged(out.path());
}

#[test]
fn a_test_before_the_probe_says_what_to_do() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    fails(&mut qare(&["test", "--checkpoint", text(run.path())]), 2, &["no linear probe", "qare probe --checkpoint"]);
    fails(&mut qare(&["test", "--checkpoint", text(&run.weights(1))]), 2, &["no classifier", "qare probe"]);
    before.assert_unchanged(out.path());
}

#[test]
fn a_missing_checkpoint_is_named() {
    let out = tempdir().unwrap();
    for command in ["probe", "test"] {
        let missing = out.path().join("missing");
        fails(&mut qare(&[command, "--checkpoint", text(&missing)]), 2, &[text(&missing), "run folder"]);
    }
    fails(&mut qare(&["probe", "--checkpoint", text(&out)]), 2, &[text(&out), "not a run folder"]);
    fails(&mut qare(&["probe"]), 2, &["--checkpoint"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn sizes_of_zero_are_refused() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    for (flag, name) in [("--epochs", "probe.epochs"), ("--data_size", "probe.data_size")] {
        fails(&mut qare(&["probe", "--checkpoint", text(run.path()), flag, "0"]), 2, &[name, "at least 1"]);
    }
    let rate = ["probe", "--checkpoint", text(run.path()), "--learning_rate", "-1"];
    fails(&mut qare(&rate), 2, &[]);
    before.assert_unchanged(out.path());
}
