//! `qare bench`: figures, files, plots and comparisons.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::cifar10_files::Cifar10;
use crate::driving::{fails, qare, succeeds, text};

/// A benchmark with the smallest sizes; its figures mean nothing.
fn smallest(parts: &[&str]) -> Command {
    let mut call = qare(&["bench", "--quick", "--seconds", "0.001", "--max-batch", "128", "--max-views", "4"]);
    call.args(["--backbones", "conv4", "--batches", "4", "--images", "48", "--steps", "2"]).args(parts);
    call
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).expect("JSON")
}

/// Keys and medians in a file of figures.
fn medians(path: &Path) -> Vec<(String, f64)> {
    let figures = read(path);
    let figures = figures["figures"].as_array().unwrap();
    figures.iter().map(|figure| (figure["key"].as_str().unwrap().into(), figure["median"].as_f64().unwrap())).collect()
}

#[test]
fn every_part_has_its_figures() {
    let (data, out) = (Cifar10::new(), tempdir().unwrap());
    let (json, plot) = (out.path().join("figures.json"), out.path().join("times.svg"));
    let mut call = smallest(&["all"]);
    let printed = succeeds(call.arg("--data-dir").arg(data.0.path()).arg("--json").arg(&json).arg("--plot").arg(&plot));
    let medians = medians(&json);
    for key in [
        "views.32.one_thread",
        "views.96.all_threads",
        "photographs.96px.w1.decode",
        "photographs.96px.w2.load",
        "photographs.224px.w2.views",
        "loader.B4.K2",
        "objectives.simclr.B64.K2",
        "objectives.sparseclr_qare.B128.K2",
        "objectives.qare.B64.K4",
        "step.conv4.B4.sparseclr",
        "step.conv4.B4.sparseclr_qare",
        "step.conv4.B4.sparseclr_qare_frobenius",
        "backbones.conv4.32px.B4.step",
        "backbones.conv4.32px.B4.features",
        "methods.conv4.B4.sparseclr_qare.step",
        "methods.conv4.B4.rotationnet.step",
        "methods.conv4.B4.relationnet.step",
        "probe.features.conv4.N48",
        "probe.classifier.N48.E10",
        "probe.total.conv4.N48.E10",
        "epoch.conv4.B256.sparseclr_qare.N48.training",
        "epoch.conv4.B256.sparseclr_qare.N48.whole",
    ] {
        let found = medians.iter().find(|(name, _)| name == key);
        assert!(found.is_some_and(|(_, median)| *median > 0.0), "{key}: {found:?}");
    }
    let has = |key: &str| medians.iter().any(|(name, median)| name == key && median.is_finite());
    assert!(has("step.conv4.B4.qare_share") && has("step.conv4.B4.frobenius_share"));
    if cfg!(target_os = "linux") {
        assert!(has("photographs.96px.w1.memory") && has("photographs.224px.w2.memory"));
        assert!(has("backbones.conv4.32px.B4.memory") && has("methods.conv4.B4.rotationnet.memory"));
        assert!(has("memory.conv4.B4.steps2.growth") && has("epoch.conv4.B256.sparseclr_qare.N48.memory"));
    }
    for figure in read(&json)["figures"].as_array().unwrap() {
        assert!(printed.contains(figure["label"].as_str().unwrap()), "{figure} is not printed");
        assert!(figure["min"].as_f64() <= figure["median"].as_f64() && figure["runs"].as_u64() >= Some(1), "{figure}");
    }
    let machine = &read(&json)["machine"];
    assert!(machine["threads"].as_u64() >= Some(1) && !machine["cpu"].as_str().unwrap().is_empty());
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("sparseclr_qare"));
}

#[test]
fn figures_of_other_parts_are_kept_with_add() {
    let out = tempdir().unwrap();
    let json = out.path().join("figures.json");
    let run = |part: &str, add: &[&str]| {
        succeeds(smallest(&[part]).arg("--json").arg(&json).args(add));
        let parts = medians(&json).into_iter().map(|(key, _)| key.split('.').next().unwrap().to_string());
        // On a busy machine the file also holds the load by other processes.
        parts.filter(|part| part != "others").collect::<Vec<_>>()
    };
    assert!(run("step", &[]).iter().all(|part| part == "step"));
    let both = run("loader", &["--add"]);
    assert!(both.contains(&"step".to_string()) && both.contains(&"loader".to_string()));
    assert_eq!(run("loader", &["--add"]), both);
    assert!(run("loader", &[]).iter().all(|part| part == "loader"));
}

/// Of a time that the file holds, `--least` keeps the lesser, and of other figures the new one.
#[test]
fn the_lesser_of_two_rounds_counts() {
    let out = tempdir().unwrap();
    let json = out.path().join("figures.json");
    succeeds(smallest(&["step"]).arg("--json").arg(&json));
    let mut report = read(&json);
    let figures = report["figures"].as_array_mut().unwrap();
    // The load by other processes is not always there.
    figures.retain(|figure| !figure["key"].as_str().unwrap().starts_with("others"));
    for (at, figure) in figures.iter_mut().enumerate() {
        let value = [1e-12, 1e12][at % 2];
        (figure["median"], figure["min"]) = (json!(value), json!(value));
    }
    let before = figures.clone();
    fs::write(&json, report.to_string()).unwrap();
    succeeds(smallest(&["step"]).arg("--json").arg(&json).args(["--add", "--least"]));
    let after = medians(&json);
    for figure in &before {
        let (_, median) = after.iter().find(|(key, _)| figure["key"] == key.as_str()).unwrap();
        let kept = figure["unit"] == "s" && figure["median"] == 1e-12;
        assert_eq!(*median == figure["median"].as_f64().unwrap(), kept, "{figure}");
    }
    fails(smallest(&["step"]).arg("--json").arg(&json).arg("--least"), 2, &["--add"]);
}

/// A file of figures as another program might write it.
fn file(folder: &Path, program: &str, seconds: f64) -> PathBuf {
    let figure = |key: &str, unit: &str, value: f64| json!({ "key": key, "label": key, "unit": unit, "min": value, "median": value, "runs": 1 });
    let report = json!({
        "program": program,
        "backend": "cpu",
        "date": "2026-01-02",
        "machine": { "cpu": "abacus", "cores": 2, "threads": 2, "gpu": null, "system": "linux x86_64" },
        "figures": [
            figure("objectives.sparseclr_qare.B64.K2", "s", seconds),
            figure("objectives.sparseclr_qare.B128.K2", "s", 4.0 * seconds),
            figure("loader.B128.K2", "s", 0.25 * seconds),
            figure("step.conv4.B128.sparseclr_qare", "s", seconds),
            figure("step.conv4.B128.qare_share", "%", 3.0),
            figure(&format!("views.{program}"), "s", 1.0),
        ],
    });
    let path = folder.join(format!("{program}.json"));
    fs::write(&path, report.to_string()).unwrap();
    path
}

#[test]
fn two_files_give_ratios() {
    let out = tempdir().unwrap();
    let (ours, theirs) = (file(out.path(), "ours", 0.002), file(out.path(), "theirs", 0.008));
    let (markdown, plot) = (out.path().join("ratios.md"), out.path().join("both.svg"));
    let mut call = qare(&["bench", "--compare", text(&ours), text(&theirs)]);
    let printed = succeeds(call.arg("--markdown").arg(&markdown).arg("--plot").arg(&plot));
    assert!(printed.contains("abacus, 2 cores, 2 threads"), "{printed}");
    let row =
        |key: &str| printed.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {printed}"));
    let cells = |key: &str| {
        row(key).trim_start_matches(key).split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!(cells("objectives.sparseclr_qare.B64.K2"), ["2.00 ms", "8.00 ms", "0.25", "0.25"]);
    // A share has no ratio, and neither has a figure that only one file holds.
    assert!(row("step.conv4.B128.qare_share").ends_with("3.0 %"));
    assert!(row("views.ours").ends_with('–') && row("views.theirs").ends_with("1.00 s"));
    assert!(row("loader alone, in percent of a step, conv4, B = 128").contains("25.0 %"));
    let table = fs::read_to_string(markdown).unwrap();
    assert!(table.contains("| objectives.sparseclr_qare.B64.K2 | 2.00 ms | 8.00 ms | 0.25 | 0.25 |"), "{table}");
    let svg = fs::read_to_string(plot).unwrap();
    assert!(svg.contains("theirs (cpu)") && svg.contains("ours (cpu)"));
}

#[test]
fn every_method_and_any_size_has_a_row() {
    let out = tempdir().unwrap();
    let json = out.path().join("figures.json");
    let all = qare_lab::methods::Method::ALL.iter().filter(|method| method.as_str() != "randomweights");
    // Deep cluster's 100 clusters need as many images.
    let mut call = qare(&["bench", "methods", "--seconds", "0.001", "--batches", "100", "--json", text(&json)]);
    succeeds(&mut call);
    let found = medians(&json);
    for method in all {
        let key = format!("methods.conv4.B100.{method}.step");
        assert!(found.iter().any(|(name, median)| *name == key && *median > 0.0), "{key}");
    }
    let mut call =
        qare(&["bench", "backbones", "--seconds", "0.001", "--backbones", "resnet8,resnet18", "--sizes", "16,40"]);
    succeeds(call.args(["--batches", "2", "--json", text(&json)]));
    let found = medians(&json);
    for key in ["resnet8.16px", "resnet8.40px", "resnet18.16px", "resnet18.40px"] {
        assert!(found.iter().any(|(name, _)| *name == format!("backbones.{key}.B2.features")), "{key}");
    }
    fails(&mut qare(&["bench", "backbones", "--sizes", "8"]), 2, &["--sizes 8", "at least 16"]);
    fails(&mut qare(&["bench", "methods", "--methods", "simsiam"]), 2, &["simsiam"]);
    // What goes wrong in a row is said.
    fails(
        &mut qare(&["bench", "methods", "--methods", "deepcluster", "--batches", "4"]),
        1,
        &["deepcluster", "100 clusters"],
    );
}

#[test]
fn the_fastest_of_several_is_compared_with() {
    let out = tempdir().unwrap();
    let files =
        [("ours", 0.004), ("slow", 0.008), ("fast", 0.002)].map(|(name, seconds)| file(out.path(), name, seconds));
    let mut call = qare(&["bench", "--compare"]);
    let printed = succeeds(call.args(&files));
    let row = printed.lines().find(|line| line.starts_with("objectives.sparseclr_qare.B64.K2")).unwrap();
    let cells: Vec<_> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).skip(1).collect();
    assert_eq!(cells, ["4.00 ms", "8.00 ms", "2.00 ms", "▲ 2.00", "▲ 2.00"]);
}

#[test]
fn wrong_calls_are_refused() {
    let out = tempdir().unwrap();
    fails(
        &mut qare(&["bench", "speed"]),
        2,
        &["speed", "views", "loader", "objectives", "step", "backbones", "methods", "probe", "epoch", "memory"],
    );
    fails(&mut qare(&["bench", "step", "--batches", "1"]), 2, &["--batches 1", "at least 2"]);
    fails(&mut qare(&["bench", "step", "--seconds", "0"]), 2, &["--seconds 0"]);
    fails(&mut qare(&["bench", "step", "--backbones", "vgg"]), 2, &["vgg", "resnet32"]);
    fails(&mut qare(&["bench", "epoch", "--data-dir", "/no/such"]), 2, &["--data-dir /no/such"]);
    fails(&mut qare(&["bench", "epoch"]), 2, &["epoch needs CIFAR-10", "--data-dir DIR"]);
    fails(&mut qare(&["bench", "views", "--plot", "times.png"]), 2, &["times.png", ".svg"]);
    fails(&mut qare(&["bench", "views", "--json", "/no/such/file.json"]), 2, &["/no/such"]);
    // A plot without objectives is an error.
    let plot = out.path().join("times.svg");
    fails(smallest(&["loader"]).arg("--plot").arg(&plot), 2, &["objectives"]);
    assert!(!plot.exists());
}

#[test]
fn files_that_cannot_be_compared_are_refused() {
    let out = tempdir().unwrap();
    let sound = file(out.path(), "ours", 0.002);
    fails(&mut qare(&["bench", "--compare", text(&sound)]), 2, &["--compare"]);
    let broken = out.path().join("broken.json");
    for contents in ["", "{\"figures\": 3}", "no JSON"] {
        fs::write(&broken, contents).unwrap();
        let mut call = qare(&["bench", "--compare", text(&sound), text(&broken)]);
        fails(&mut call, 2, &[text(&broken), "qare bench --json"]);
    }
    let missing = out.path().join("missing.json");
    fails(&mut qare(&["bench", "--compare", text(&sound), text(&missing)]), 2, &[text(&missing)]);
}
