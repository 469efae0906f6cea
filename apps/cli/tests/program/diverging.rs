//! A training that diverges stops, reports the step, and damages no file.

use tempfile::tempdir;

use crate::driving::{RunFolder, Snapshot, fails, qare, tensors, text, tiny, tiny_run};

#[test]
fn a_run_that_diverges_at_once_leaves_no_checkpoint() {
    for method in ["simclr", "sparseclr_qare"] {
        let out = tempdir().unwrap();
        let mut call = tiny("pretrain", out.path());
        call.args(["--epochs", "2", "--learning-rate", "1e30", "--method", method]);
        fails(&mut call, 1, &["step 2 of epoch 1", "diverged", "learning rate", "no checkpoint yet"]);
        let run = RunFolder(out.path().join(format!("{method}_shapes_conv4_8_64_64_1.0_1.0")));
        assert_eq!(run.names(), ["recipe.toml"]);
    }
}

#[test]
fn the_last_good_checkpoint_is_kept_and_named() {
    let out = tempdir().unwrap();
    // With one step per epoch, the first epoch ends with huge but finite weights, and the second detects the divergence.
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "16", "--data-size", "16", "--no-tui"]);
    call.args(["--epochs", "3", "--learning-rate", "1e30", "--out", text(&out)]);
    fails(&mut call, 1, &["step 1 of epoch 2", "diverged", "the checkpoint of epoch 1 is kept in"]);
    let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_16_64_64_1.0_1.0"));
    assert_eq!(run.latest_epoch(), Some(1));
    for (name, (form, bytes)) in tensors(&run.weights(1)) {
        let finite = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap()).is_finite();
        assert!(form.starts_with("I64") || bytes.chunks_exact(4).all(finite), "{name}");
    }

    // Resuming diverges again and changes nothing.
    let before = Snapshot::of(out.path());
    fails(call.arg("--resume"), 1, &["step 1 of epoch 2", "the checkpoint of epoch 1 is kept"]);
    before.assert_unchanged(out.path());
}

#[test]
fn an_objective_out_of_range_is_an_error() {
    for (flag, value) in [("--margin", "1e300"), ("--beta", "1e300")] {
        let out = tempdir().unwrap();
        fails(tiny("pretrain", out.path()).args(["--epochs", "1", flag, value]), 1, &["step 1 of epoch 1", "diverged"]);
    }
}

#[test]
fn a_probe_that_diverges_saves_nothing() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let call = ["probe", "--checkpoint", text(run.path()), "--epochs", "3", "--learning_rate", "1e38"];
    fails(&mut qare(&call), 1, &["not saved", "classifier.weight", "diverged"]);
    before.assert_unchanged(out.path());
}
