//! Every backend trains to the same figures: those of `flex`, which are written down beside this file.

use std::path::Path;

use serde_json::{Map, Value, json};
use tempfile::tempdir;

use crate::driving::{RunFolder, qare, succeeds, text};

/// By how much a figure may differ, relative to its size: the backend sums in another order, and eight steps of training
/// pass that on.
const TOLERANCE: f64 = if cfg!(feature = "flex") { 1e-4 } else { 1e-3 };

const METHODS: [(&str, &[&str]); 9] = [
    ("simclr", &[]),
    ("simclr_qare", &[]),
    ("sparseclr", &[]),
    ("sparseclr_qare", &[]),
    ("rotationnet", &[]),
    ("deepinfomax", &[]),
    ("deepcluster", &["--clusters", "4"]),
    ("relationnet", &["--K", "3"]),
    ("standard", &["--learning-rate", "0.01"]),
];

/// The method's figures of an epoch of eight steps: the columns of the log between the score and the learning rate, and
/// the loss.
fn figures(method: &str, flags: &[&str], out: &Path) -> Map<String, Value> {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "128", "--data-size", "16", "--no-tui"]);
    succeeds(call.args(["--epochs", "1", "--method", method, "--out", text(out)]).args(flags));
    let folder = RunFolder(out.join(format!("{method}_shapes_conv4_16_64_64_1.0_1.0")));
    let log = folder.read("log.csv");
    let mut lines = log.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let told = names.iter().zip(&values).take_while(|(name, _)| **name != "learning_rate");
    told.filter(|(name, _)| !["epoch", "score"].contains(name))
        .map(|(name, value)| (name.to_string(), json!(value.parse::<f64>().unwrap())))
        .collect()
}

fn written_down() -> (std::path::PathBuf, Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/figures_of_flex.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
    (path, serde_json::from_str(&text).unwrap())
}

#[track_caller]
fn assert_close(what: &str, found: &Value, expected: &Value) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    let error = (found - expected).abs() / expected.abs();
    println!("{what}: {found} for {expected}, off by {error:.1e}");
    assert!(error <= TOLERANCE, "{what}: {found} for {expected}, off by {error:.1e}");
}

/// `QARE_WRITE_FIGURES=1` on `flex` writes down what it finds, for a change that is meant to change them.
#[test]
fn a_few_steps_of_every_method() {
    let (path, mut expected) = written_down();
    for (method, flags) in METHODS {
        let out = tempdir().unwrap();
        let found = figures(method, flags, out.path());
        if cfg!(feature = "flex") && std::env::var_os("QARE_WRITE_FIGURES").is_some() {
            expected[method] = Value::Object(found.clone());
        }
        for (name, found) in &found {
            // Counted, not summed: one image is 1 % and more.
            if !matches!(name.as_str(), "accuracy" | "positive" | "negative") {
                assert_close(&format!("{method}, {name}"), found, &expected[method][name]);
            }
        }
    }
    if std::env::var_os("QARE_WRITE_FIGURES").is_some() {
        std::fs::write(path, serde_json::to_string_pretty(&expected).unwrap() + "\n").unwrap();
    }
}
