//! Every backend trains to the same figures: those of `flex`, which are written down beside this file.

use std::path::Path;
use std::sync::Mutex;

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
fn assert_close(what: &str, found: &Value, expected: &Value, tolerance: f64) {
    let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
    let error = (found - expected).abs() / expected.abs();
    println!("{what}: {found} for {expected}, off by {error:.1e}");
    assert!(error <= tolerance, "{what}: {found} for {expected}, off by {error:.1e}");
}

/// `QARE_WRITE_FIGURES=1` on `flex` writes down what is found, for a change that is meant to change it.
fn writes() -> bool {
    cfg!(feature = "flex") && std::env::var_os("QARE_WRITE_FIGURES").is_some()
}

fn write_down(name: &str, figures: Map<String, Value>) {
    // Tests run side by side.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap();
    let (path, mut all) = written_down();
    all[name] = Value::Object(figures);
    std::fs::write(path, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
}

fn a_few_steps(method: &str) {
    let (_, flags) = METHODS.iter().find(|(name, _)| *name == method).unwrap();
    let out = tempdir().unwrap();
    let found = figures(method, flags, out.path());
    if writes() {
        write_down(method, found.clone());
    }
    let (_, expected) = written_down();
    for (name, found) in &found {
        // Counted, not summed: one image is 1 % and more.
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

    methods!(simclr simclr_qare sparseclr sparseclr_qare rotationnet deepinfomax deepcluster relationnet standard);
}

/// By how many percentage points an accuracy may differ: 1.5 are six of the 400 test images.
const POINTS: f64 = 1.5;

/// Training, probe, kNN and test, each shorter than in the recipe: twenty steps, so that losses may differ by five times as much.
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
    if writes() {
        write_down("quickstart", found.clone());
    }
    let (_, expected) = written_down();
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
