//! Training in `--precision f16` and `bf16`, and the files it writes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::driving::{
    RunFolder, Snapshot, assert_same_weights, fails, first_device, qare, succeeds, tensors, text, tiny, tiny_folder,
};

/// The half precisions that the device supports. The program checks the precision before it misses the data.
fn halves() -> Vec<&'static str> {
    let refused = |precision: &&str| {
        let out = tempdir().unwrap();
        let mut call =
            qare(&["pretrain", "--dataset", "cifar10", "--data-dir", text(out.path()), "--precision", precision]);
        let message = fails(call.arg("--out").arg(out.path()), 2, &[]);
        message.contains("--precision")
    };
    let all = if cfg!(feature = "ndarray") { [].as_slice() } else { &["f16", "bf16"] };
    let halves: Vec<&str> = all.iter().copied().filter(|precision| !refused(precision)).collect();
    assert!(!cfg!(feature = "flex") || halves.len() == 2);
    halves
}

/// A run of one epoch of eight steps, and its mean loss.
fn trained(out: &Path, method: &str, precision: &str) -> (RunFolder, f64) {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "128", "--data-size", "16", "--no-tui"]);
    call.args(["--epochs", "1", "--method", method, "--precision", precision, "--K", "3", "--clusters", "4"]);
    call.args(["--test-images", "64"]);
    succeeds(call.args(["--learning-rate", "0.001", "--out", text(out)]));
    let run = RunFolder(out.join(format!("{method}_shapes_conv4_16_64_64_1.0_1.0")));
    let loss = run.results()["pretrain"]["loss"].as_f64().unwrap();
    (run, loss)
}

/// Relative tolerance of the mean loss of the first epoch, compared with f32.
///
/// Measured over eight steps: at most f16 3.4e-4 and bf16 2.9e-3 on flex, and f16 1.0e-3 on Mesa's Vulkan. For relationnet, whose loss is as
/// small as 0.09, f16 1.2e-3 on an AMD EPYC and at most 2.2e-4 on an Intel Xeon. For deepcluster 1.8e-2, since its labels change when an
/// image changes its cluster.
fn tolerance(method: &str, precision: &str) -> f64 {
    match (method, precision) {
        ("deepcluster", _) => 0.06,
        ("relationnet", "f16") => 5e-3,
        (_, "f16") if cfg!(feature = "flex") => 1e-3,
        (_, "f16") => 5e-3,
        _ => 1e-2,
    }
}

#[test]
fn methods_train_as_in_f32_and_weights_are_f32() {
    for method in ["sparseclr_qare", "simclr", "relationnet", "rotationnet", "deepcluster", "deepinfomax", "standard"] {
        let out = tempdir().unwrap();
        let (run, expected) = trained(&out.path().join("f32"), method, "f32");
        let stem = format!("{method}_shapes_conv4_seed_1_epoch_1.safetensors");
        let forms = |run: &RunFolder| -> Vec<(String, String)> {
            tensors(&run.file(&stem)).into_iter().map(|(name, (form, _))| (name, form)).collect()
        };
        for precision in halves() {
            let (half, loss) = trained(&out.path().join(precision), method, precision);
            let error = (loss - expected).abs() / expected.abs();
            println!("{method} in {precision}: {loss} is off {expected} by {error:.1e}");
            assert!(error <= tolerance(method, precision), "{method} in {precision}: {loss} is not {expected}");
            assert_eq!(forms(&half), forms(&run), "{method} in {precision}");
            assert!(forms(&half).iter().all(|(_, form)| form.starts_with("F32") || form.starts_with("I64")));
            assert_ne!(tensors(&half.file(&stem)), tensors(&run.file(&stem)), "{method} in {precision}");
            let latest: Value = serde_json::from_str(&half.read("latest.json")).unwrap();
            assert_eq!(latest.get("loss_scale").is_some(), precision == "f16");
            assert_eq!(half.recipe()["precision"].as_str(), Some(precision));
        }
        assert!(!run.read("latest.json").contains("loss_scale"));
    }
}

#[test]
fn checkpoints_work_with_any_precision() {
    let (halves, out) = (halves(), tempdir().unwrap());
    if !halves.contains(&"f16") {
        return;
    }
    let (run, _) = trained(out.path(), "sparseclr_qare", "f16");
    let embedded = |precision: &[&str], name: &str| {
        let file = out.path().join(name);
        let mut call = qare(&["embed", "--checkpoint", text(run.path()), "--split", "test", "--output", text(&file)]);
        succeeds(call.args(precision));
        let (form, bytes) = tensors(&file).remove("features").unwrap();
        assert!(form.starts_with("F32"), "{form}");
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect::<Vec<f32>>()
    };
    let expected = embedded(&["--precision", "f32"], "f32.safetensors");
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let runs_own = embedded(&[], "own.safetensors");
    for (name, tolerance) in [("f16", 4e-3), ("bf16", 3e-2)].into_iter().filter(|(name, _)| halves.contains(name)) {
        let found = embedded(&["--precision", name], &format!("{name}.safetensors"));
        assert_eq!(found == runs_own, name == "f16", "the run's precision is the default");
        let error = found.iter().zip(&expected).fold(0.0f32, |most, (f, e)| most.max((f - e).abs()));
        println!("{name}: features off by {:e} of the largest", error / largest);
        assert!(error > 0.0 && error <= tolerance * largest, "{name}: {error} of {largest}");
    }

    for precision in ["f32"].into_iter().chain(halves) {
        let folder = text(run.path());
        let call = ["probe", "--checkpoint", folder, "--epochs", "3", "--precision", precision];
        succeeds(&mut qare(&call));
        assert_eq!(run.results()["probe"]["settings"]["precision"].as_str(), Some(precision).filter(|p| *p != "f32"));
        succeeds(&mut qare(&["test", "--checkpoint", folder]));
        succeeds(&mut qare(&["test", "--checkpoint", folder, "--precision", "f32"]));
        let call = ["probe", "--checkpoint", folder, "--finetune", "--epochs", "1", "--precision", precision];
        let printed = succeeds(&mut qare(&call));
        assert!(printed.contains("fine-tuned test accuracy"), "{printed}");
        let mut start = tiny("pretrain", out.path());
        start.args(["--checkpoint", folder, "--epochs", "1", "--precision", precision, "--id", precision]);
        succeeds(&mut start);
    }
}

#[test]
fn a_run_in_f16_resumes_to_the_same_weights_with_its_loss_scale() {
    if !halves().contains(&"f16") {
        return;
    }
    let out = tempdir().unwrap();
    let steps = |run: &RunFolder| {
        let latest: Value = serde_json::from_str(&run.read("latest.json")).unwrap();
        latest["loss_scale"]["good_steps"].as_u64().unwrap()
    };
    let call = |out: &Path| {
        let mut call = tiny("pretrain", out);
        call.args(["--epochs", "2", "--precision", "f16"]);
        call
    };
    let (whole, resumed) = (out.path().join("whole"), out.path().join("resumed"));
    succeeds(&mut call(&whole));
    succeeds(&mut call(&resumed));
    let (whole, run) = (tiny_folder(&whole), tiny_folder(&resumed));
    let before = steps(&run);
    run.go_back_to_epoch_1();
    fails(call(&resumed).args(["--resume", "--precision", "bf16"]), 2, &["cannot be resumed", "precision = \"bf16\""]);
    let printed = succeeds(call(&resumed).arg("--resume"));
    assert!(printed.contains("resuming after epoch 1 of 2"), "{printed}");
    assert_same_weights(&run.weights(2), &whole.weights(2));
    // `go_back_to_epoch_1` did not reset the count, so it shows whether resuming read it.
    assert_eq!(steps(&run), before + 2);
}

/// Several devices share one loss scale and count each step once.
#[test]
fn several_devices_train_in_half_precision_as_one_does() {
    let two = [first_device(); 2].join(",");
    for precision in halves() {
        let tolerance = tolerance("sparseclr_qare", precision);
        let out = tempdir().unwrap();
        let trained = |name: &str, flags: &[&str]| {
            let out = out.path().join(name);
            succeeds(tiny("pretrain", &out).args(["--epochs", "2", "--precision", precision]).args(flags));
            let run = tiny_folder(&out);
            let latest: Value = serde_json::from_str(&run.read("latest.json")).unwrap();
            (run.results()["pretrain"]["loss"].as_f64().unwrap(), latest["loss_scale"].clone())
        };
        let ((one, scale), (several, of_several)) = (trained("one", &[]), trained("several", &["--gpus", &two]));
        println!("{precision}: {several} on two devices, {one} on one");
        assert!((one - several).abs() <= tolerance * one, "{precision}: {several} on two devices, {one} on one");
        assert_eq!(scale, of_several);
        assert!(precision == "bf16" || scale["good_steps"].as_u64().is_some());
    }
}

#[test]
fn steps_are_measured_in_half_precision() {
    let Some(precision) = halves().pop() else { return };
    let out = tempdir().unwrap();
    let json = out.path().join("figures.json");
    let mut call =
        qare(&["bench", "step", "--quick", "--seconds", "0.001", "--batches", "4", "--precision", precision]);
    succeeds(call.args(["--json", text(&json)]));
    assert!(fs::read_to_string(&json).unwrap().contains(&format!("step.conv4-{precision}.B4.sparseclr_qare")));
}

#[test]
fn a_run_in_f16_that_diverges_says_so() {
    if !halves().contains(&"f16") {
        return;
    }
    let out = tempdir().unwrap();
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "2", "--learning-rate", "1e30", "--precision", "f16"]);
    fails(&mut call, 1, &["of epoch 1", "diverged", "learning rate", "no checkpoint yet"]);
}

/// The host learns late that the gradients are not finite at the smallest scale, but before the epoch is saved.
#[test]
fn a_run_whose_gradients_overflow_at_the_smallest_scale_keeps_its_last_checkpoint() {
    if !halves().contains(&"f16") {
        return;
    }
    let out = tempdir().unwrap();
    // With one step per epoch, the first epoch ends with weights out of the range of f16.
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "16", "--data-size", "16", "--no-tui"]);
    call.args(["--method", "standard", "--epochs", "3", "--learning-rate", "1e30", "--precision", "f16"]);
    fails(
        call.arg("--out").arg(out.path()),
        1,
        &["step 1 of epoch 2: loss is NaN", "the checkpoint of epoch 1 is kept"],
    );
    let run = RunFolder(out.path().join("standard_shapes_conv4_16_64_64_1.0_1.0"));
    let mut latest: Value = serde_json::from_str(&run.read("latest.json")).unwrap();
    latest["loss_scale"] = json!({ "scale": 1.0, "good_steps": 0 });
    fs::write(run.file("latest.json"), latest.to_string()).unwrap();
    let before = Snapshot::of(out.path());
    let words =
        ["step 1 of epoch 2", "not finite at the smallest loss scale, 1:", "the checkpoint of epoch 1 is kept in"];
    fails(call.arg("--resume"), 1, &words);
    before.assert_unchanged(out.path());
}
