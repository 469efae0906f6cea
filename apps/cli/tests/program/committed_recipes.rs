//! Runs each recipe of the repository for a few steps, on files in the official layouts.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::driving::{RunFolder, qare, succeeds, text};
use crate::official_files;

const METHODS: [&str; 10] = [
    "simclr",
    "simclr_qare",
    "sparseclr",
    "sparseclr_qare",
    "rotationnet",
    "deepinfomax",
    "deepcluster",
    "relationnet",
    "standard",
    "randomweights",
];

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs all recipes of a dataset.
fn run_all_of(dataset: &str) {
    let data = tempdir().unwrap();
    official_files::write(dataset, data.path());
    let recipes = files(&configs().join(dataset));
    let names: Vec<String> =
        recipes.iter().map(|file| file.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    for method in METHODS {
        assert!(names.iter().any(|name| name == method), "{dataset} has no recipe for {method}");
    }
    for (file, method) in recipes.iter().zip(names) {
        let out = tempdir().unwrap();
        let mut call = qare(&["run", text(file), "--no-tui", "--data-dir", text(&data), "--out", text(&out)]);
        call.args(["--epochs", "1", "--train-images", "16", "--test-images", "20", "--data-size", "8"]);
        let views = if method == "relationnet" { "3" } else { "2" };
        let printed = succeeds(call.args(["--K", views, "--clusters", "4"]));
        assert!(printed.lines().last().unwrap().starts_with("test accuracy: "), "{}: {printed}", file.display());
        let run = RunFolder(files(out.path()).remove(0));
        let recipe = run.recipe();
        assert_eq!((recipe["method"].as_str(), recipe["dataset"].as_str()), (Some(method.as_str()), Some(dataset)));
        assert_eq!(recipe["backbone"].as_str(), Some("conv4"));
        let contrastive = method.contains("clr");
        assert_eq!(recipe["beta"].as_float(), Some(if contrastive { 0.5 } else { 1.0 }), "{method}");
        assert_eq!(run.results()["test"]["images"].as_u64().unwrap().min(9), 9);
    }
}

#[test]
fn recipes_of_cifar10_run() {
    run_all_of("cifar10");
}

#[test]
fn recipes_of_cifar100_run() {
    run_all_of("cifar100");
}

#[test]
fn recipes_of_supercifar100_run() {
    run_all_of("supercifar100");
}

#[test]
fn recipes_of_tiny_run() {
    run_all_of("tiny");
}

#[test]
fn recipes_of_stl10_run() {
    run_all_of("stl10");
}

#[test]
fn recipes_of_slim_run() {
    run_all_of("slim");
}

#[test]
fn recipes_of_folder_run() {
    run_all_of("folder");
}

#[test]
fn the_quickstart_runs_without_any_files() {
    let out = tempdir().unwrap();
    let file = configs().join("quickstart.toml");
    let mut call = qare(&["run", text(&file), "--no-tui", "--out", text(&out)]);
    let printed = succeeds(call.args(["--epochs", "1", "--train-images", "16", "--data-size", "8"]));
    assert!(printed.lines().last().unwrap().starts_with("test accuracy: "), "{printed}");
}
