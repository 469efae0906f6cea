//! Recipes, those of the repository among them.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::driving::{Snapshot, fails, qare, succeeds, text, tiny, tiny_folder};

/// The recipes of the repository.
fn committed() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let files = fs::read_dir(folder).expect("configs").map(|entry| entry.unwrap().path());
    let recipes: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(!recipes.is_empty());
    recipes
}

#[test]
fn every_committed_recipe_parses_and_those_that_need_no_files_run() {
    for file in committed() {
        let table: toml::Table = fs::read_to_string(&file).unwrap().parse().expect("TOML");
        let out = tempdir().unwrap();
        let mut call = qare(&["run", text(&file), "--no-tui", "--out", text(&out)]);
        if table.get("dataset").and_then(|name| name.as_str()) == Some("shapes") {
            let said = succeeds(call.args(["--epochs", "1", "--train-images", "16", "--data-size", "8"]));
            assert!(said.lines().last().unwrap().starts_with("test accuracy: "), "{}: {said}", file.display());
        } else {
            // The recipe is understood when the first thing to be missed is the data.
            fails(call.args(["--data-dir", "/missing"]), 2, &["--data-dir /missing"]);
        }
    }
}

#[test]
fn run_does_all_three_stages_and_compares_with_the_untrained_backbone() {
    let out = tempdir().unwrap();
    let file = out.path().join("mine.toml");
    fs::write(&file, "epochs = 9\ncompare_untrained = true\n[knn]\nneighbours = 5\n[probe]\nepochs = 3\n").unwrap();
    let said = succeeds(tiny("run", out.path()).arg(&file).args(["--epochs", "1"]));
    let run = tiny_folder(out.path());
    let results = run.results();
    assert_eq!((&results["pretrain"]["epochs"], &results["probe"]["epochs"]), (&1.into(), &3.into()));
    assert_eq!(results["knn"]["neighbours"], 5);
    let accuracy = results["test"]["accuracy"].as_f64().unwrap();
    assert_eq!(results["probe"]["test_accuracy"].as_f64(), Some(accuracy));
    assert_eq!(said.lines().last().unwrap(), format!("test accuracy: {accuracy:.2} %"));
    assert!(said.lines().any(|line| line.starts_with("untrained conv4")), "{said}");
}

#[test]
fn a_wrong_recipe_is_refused_with_file_and_key() {
    let out = tempdir().unwrap();
    let file = out.path().join("mine.toml");
    for (recipe, words) in [
        ("epoch = 3\n", &["epoch", "epochs"][..]),
        ("[probe]\nrate = 3\n", &["rate", "learning_rate"]),
        ("method = \"moco\"\n", &["moco", "sparseclr_qare"]),
        ("backbone = \"vgg\"\n", &["vgg", "conv4"]),
        ("dataset = \"mnist\"\n", &["mnist", "shapes"]),
        ("epochs = \"ten\"\n", &["epochs", "line 1"]),
        ("epochs = \n", &["line 1"]),
        ("epochs = -1\n", &["epochs"]),
    ] {
        fs::write(&file, recipe).unwrap();
        let before = Snapshot::of(out.path());
        let named = [&[text(&file)], words].concat();
        fails(qare(&["run", text(&file), "--out"]).arg(out.path()), 2, &named);
        fails(qare(&["pretrain", "--config", text(&file), "--out"]).arg(out.path()), 2, &named);
        before.assert_unchanged(out.path());
    }
    for (recipe, name) in [("data_size = 0\n", "data_size"), ("[knn]\nneighbours = 0\n", "knn.neighbours")] {
        fs::write(&file, recipe).unwrap();
        fails(qare(&["run", text(&file), "--out"]).arg(out.path()), 2, &[name, "at least"]);
    }
}

#[test]
fn a_recipe_that_cannot_be_read_is_named() {
    let out = tempdir().unwrap();
    let missing = out.path().join("missing.toml");
    fails(&mut qare(&["run", text(&missing)]), 2, &["cannot read the recipe", text(&missing)]);
    fails(&mut qare(&["run", text(&out)]), 2, &["cannot read the recipe", text(&out)]);
    fs::write(&missing, [0xff, 0xfe, 0x00]).unwrap();
    fails(&mut qare(&["run", text(&missing)]), 2, &["cannot read the recipe", text(&missing)]);
    fails(&mut qare(&["run"]), 2, &["RECIPE"]);
}
