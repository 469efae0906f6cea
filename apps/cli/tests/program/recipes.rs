//! User-written recipes.

use std::fs;

use tempfile::tempdir;

use crate::driving::{RunFolder, Snapshot, fails, qare, succeeds, text, tiny, tiny_folder};

#[test]
fn run_does_all_three_stages_and_compares_with_the_untrained_backbone() {
    let out = tempdir().unwrap();
    let file = out.path().join("mine.toml");
    fs::write(&file, "epochs = 9\ncompare_untrained = true\n[knn]\nneighbours = 5\n[probe]\nepochs = 3\n").unwrap();
    let printed = succeeds(tiny("run", out.path()).arg(&file).args(["--epochs", "1"]));
    let run = tiny_folder(out.path());
    let results = run.results();
    assert_eq!((&results["pretrain"]["epochs"], &results["probe"]["epochs"]), (&1.into(), &3.into()));
    assert_eq!(results["knn"]["neighbours"], 5);
    let accuracy = results["test"]["accuracy"].as_f64().unwrap();
    assert_eq!(results["probe"]["test_accuracy"].as_f64(), Some(accuracy));
    assert_eq!(printed.lines().last().unwrap(), format!("test accuracy: {accuracy:.2} %"));
    assert!(printed.lines().any(|line| line.starts_with("untrained conv4")), "{printed}");
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

#[test]
fn a_recipe_builds_on_others() {
    let out = tempdir().unwrap();
    let file = |name: &str| out.path().join(name);
    fs::create_dir(file("deeper")).unwrap();
    fs::write(file("protocol.toml"), "epochs = 1\nalpha = 0.25\n[probe]\nepochs = 2\nlearning_rate = 0.5\n").unwrap();
    fs::write(
        file("deeper/simclr_qare.toml"),
        "base = \"../protocol.toml\"\nmethod = \"simclr_qare\"\n[probe]\nepochs = 3\n",
    )
    .unwrap();
    succeeds(tiny("run", out.path()).arg(file("deeper/simclr_qare.toml")));
    let run = RunFolder(file("simclr_qare_shapes_conv4_8_64_64_0.25_1.0"));
    let recipe = run.recipe();
    assert_eq!(recipe["epochs"].as_integer(), Some(1));
    assert_eq!(
        (recipe["probe"]["epochs"].as_integer(), recipe["probe"]["learning_rate"].as_float()),
        (Some(3), Some(0.5))
    );
    assert!(!recipe.contains_key("base"), "the kept recipe does not depend on other files");

    fs::write(file("loop.toml"), "base = \"loop.toml\"\n").unwrap();
    fails(tiny("run", out.path()).arg(file("loop.toml")), 2, &["loop.toml", "its own"]);
    fs::write(file("lost.toml"), "base = \"missing.toml\"\n").unwrap();
    fails(tiny("run", out.path()).arg(file("lost.toml")), 2, &["cannot read the recipe", "missing.toml"]);
}
