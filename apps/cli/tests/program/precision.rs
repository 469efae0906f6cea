//! `--precision`: accepted names, and the backend that refuses them. `half_precision` tests training.

use std::fs;

use tempfile::tempdir;

use crate::driving::{fails, tiny};
#[cfg(feature = "ndarray")]
use crate::driving::{qare, succeeds, text};

#[test]
#[cfg(feature = "ndarray")]
fn ndarray_refuses_what_it_cannot_compute() {
    let out = tempdir().unwrap();
    let run = crate::driving::tiny_run(out.path(), 1);
    succeeds(&mut qare(&["probe", "--checkpoint", text(run.path()), "--epochs", "1"]));
    let words =
        |precision: &str| format!("--precision {precision}: the backend ndarray computes in f32 only; build with");
    let recipe = out.path().join("recipe.toml");
    fs::write(&recipe, "epochs = 1\nprecision = \"f16\"\n").unwrap();
    for precision in ["f16", "bf16"] {
        let words = words(precision);
        let refused = |call: &[&str]| {
            fails(qare(call).args(["--precision", precision]), 2, &[&words]);
        };
        let folder = text(run.path());
        fails(tiny("pretrain", &out.path().join("new")).args(["--precision", precision]), 2, &[&words]);
        refused(&["probe", "--checkpoint", folder]);
        refused(&["test", "--checkpoint", folder]);
        refused(&["embed", "--checkpoint", folder, "--output", text(&out.path().join("features.npy"))]);
        refused(&["bench", "step", "--quick"]);
        refused(&["sweep", text(&recipe), "--seeds", "1", "--out", text(&out.path().join("new"))]);
    }
    fails(tiny("run", &out.path().join("new")).arg(&recipe), 2, &[&words("f16")]);
    assert!(!out.path().join("new").exists());
}

#[test]
fn unknown_precisions_are_errors_that_list_the_known_ones() {
    let out = tempdir().unwrap();
    fails(tiny("pretrain", out.path()).args(["--precision", "fp16"]), 2, &["--precision", "fp16", "f32, f16 and bf16"]);
    let recipe = out.path().join("recipe.toml");
    fs::write(&recipe, "precision = \"half\"\n").unwrap();
    fails(tiny("run", out.path()).arg(&recipe), 2, &["half", "bf16"]);
}
