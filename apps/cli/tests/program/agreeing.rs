//! Every backend trains to the figures of `flex`, which are stored beside this file.

use std::path::Path;
use std::sync::Mutex;

use serde_json::{Map, Value, json};
use tempfile::tempdir;

use crate::driving::{RunFolder, qare, succeeds, text};

/// Relative tolerance of a figure. Backends sum in different orders, and eight steps of training amplify the rounding errors. On CUDA products
/// are in TF32, which has the digits of f16; the tolerance is that of f16 on GPUs.
const TOLERANCE: f64 = if cfg!(feature = "flex") {
    1e-4
} else if cfg!(feature = "cuda") {
    5e-3
} else {
    1e-3
};

const METHODS: [(&str, &[&str]); 11] = [
    ("simclr", &[]),
    ("simclr_qare", &[]),
    ("sparseclr", &[]),
    ("sparseclr_qare", &[]),
    ("rotationnet", &[]),
    ("deepinfomax", &[]),
    ("deepcluster", &["--clusters", "4"]),
    ("relationnet", &["--K", "3"]),
    ("standard", &["--learning-rate", "0.01"]),
    ("triplet_qare", &["--images-per-identity", "2"]),
    ("proxyanchor", &["--images-per-identity", "2"]),
];

/// The loss and the method's figures after an epoch of eight steps: the columns of the log before the learning rate, without
/// epoch and score.
fn figures(method: &str, flags: &[&str], out: &Path) -> Map<String, Value> {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "128", "--data-size", "16", "--no-tui"]);
    call.args(["--epochs", "1", "--method", method, "--figures", "none", "--out", text(out)]);
    succeeds(call.args(flags));
    let folder = RunFolder(out.join(format!("{method}_shapes_conv4_16_64_64_1.0_1.0")));
    let log = folder.read("log.csv");
    let mut lines = log.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let logged = names.iter().zip(&values).take_while(|(name, _)| **name != "learning_rate");
    logged
        .filter(|(name, _)| !["epoch", "score"].contains(name))
        .map(|(name, value)| (name.to_string(), json!(value.parse::<f64>().unwrap())))
        .collect()
}

fn stored_figures() -> (std::path::PathBuf, Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/program/figures_of_flex.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|_| "{}".into());
    (path, serde_json::from_str(&text).unwrap())
}

#[track_caller]
fn assert_close(what: &str, found: &Value, expected: &Value, tolerance: f64) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    let error = (found - expected).abs() / expected.abs();
    println!("{what}: {found} for {expected}, off by {error:.1e}");
    assert!(error <= tolerance, "{what}: {found} for {expected}, off by {error:.1e}");
}

/// Whether to update the stored figures: with `QARE_WRITE_FIGURES=1` on `flex`, after an intended change.
fn updates_figures() -> bool {
    cfg!(feature = "flex") && std::env::var_os("QARE_WRITE_FIGURES").is_some()
}

fn store_figures(name: &str, figures: Map<String, Value>) {
    // Tests run in parallel.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap();
    let (path, mut all) = stored_figures();
    all[name] = Value::Object(figures);
    std::fs::write(path, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
}

fn a_few_steps(method: &str) {
    let (_, flags) = METHODS.iter().find(|(name, _)| *name == method).unwrap();
    let out = tempdir().unwrap();
    let found = figures(method, flags, out.path());
    if updates_figures() {
        store_figures(method, found.clone());
    }
    let (_, expected) = stored_figures();
    for (name, found) in &found {
        // Accuracies change in steps of 1 % or more, one image each.
        if !matches!(name.as_str(), "accuracy" | "positive" | "negative") {
            assert_close(&format!("{method}, {name}"), found, &expected[method][name], TOLERANCE);
        }
    }
}

mod a_few_steps_of {
    use super::{METHODS, a_few_steps};

    macro_rules! methods {
        ($($name:ident)*) => {
            $(
                #[test]
                fn $name() {
                    a_few_steps(stringify!($name));
                }
            )*

            #[test]
            fn every_method() {
                assert_eq!(METHODS.map(|(name, _)| name), [$(stringify!($name)),*]);
            }
        };
    }

    methods!(
        simclr simclr_qare sparseclr sparseclr_qare rotationnet deepinfomax deepcluster relationnet standard triplet_qare proxyanchor
    );
}

/// Tolerance of an accuracy in percentage points: six of the 400 test images.
const POINTS: f64 = 1.5;

/// The quickstart with fewer epochs and images. It trains for twenty steps, so the tolerance of losses is five times as large.
#[test]
fn the_quickstart_shortened() {
    let out = tempdir().unwrap();
    let (recipe, base) =
        (out.path().join("short.toml"), Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/quickstart.toml"));
    std::fs::write(&recipe, format!("base = {base:?}\nepochs = 2\n[probe]\nepochs = 50\n")).unwrap();
    let mut call = qare(&["run", text(&recipe), "--no-tui", "--train-images", "1280", "--test-images", "400"]);
    succeeds(call.arg("--out").arg(out.path()));
    let results = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_128_64_64_1.0_0.5")).results();
    let figures =
        [("pretrain", "loss"), ("probe", "test_accuracy"), ("knn", "accuracy"), ("test", "accuracy"), ("test", "loss")];
    let found: Map<String, Value> = figures
        .into_iter()
        .map(|(stage, figure)| (format!("{stage} {figure}"), results[stage][figure].clone()))
        .collect();
    if updates_figures() {
        store_figures("quickstart", found.clone());
    }
    let (_, expected) = stored_figures();
    for (name, found) in &found {
        let (what, expected) = (format!("quickstart, {name}"), &expected["quickstart"][name]);
        if name.ends_with("loss") {
            assert_close(&what, found, expected, 5.0 * TOLERANCE);
            continue;
        }
        let (found, expected) = (found.as_f64().expect(&what), expected.as_f64().expect(&what));
        println!("{what}: {found} % for {expected} %");
        assert!((found - expected).abs() <= POINTS, "{what}: {found} % for {expected} %");
    }
}
