//! Aliases, precedence and help of the flags.

use std::fs;

use tempfile::tempdir;

use crate::driving::{RunFolder, fails, qare, succeeds, text, tiny, tiny_folder};

#[test]
fn the_command_of_the_papers_repository_is_accepted() {
    let out = tempdir().unwrap();
    let words = "train_unsupervised --dataset=shapes --method=sparceclr_qare --backbone=conv4 --seed=1 --data_size=8 \
                 --K=3 --gpu=0 --epochs=1 --alpha=1 --beta=0.5 --num_workers=2 --inner_fs=64 --outter_fs=32 --id=x \
                 --train_images=16 --no_tui";
    let words: Vec<&str> = words.split_whitespace().collect();
    succeeds(qare(&words).args(["--out", text(&out)]));
    let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_8_64_32_1.0_0.5_x"));
    let recipe = run.recipe();
    assert_eq!(recipe["K"].as_integer(), Some(3));
    assert_eq!(recipe["method"].as_str(), Some("sparseclr_qare"));
    assert!(run.weights(1).is_file());
}

#[test]
fn each_set_term_trains() {
    let out = tempdir().unwrap();
    let term = |name: &str| {
        let out = out.path().join(name);
        // One step, so that all start from the same embeddings.
        let images = ["--train-images", "8", "--epochs", "1"];
        succeeds(tiny("pretrain", &out).args(images).args(["--set-term", name]));
        let run = tiny_folder(&out);
        assert_eq!(run.recipe()["set_term"].as_str(), Some(name));
        let log = run.read("log.csv");
        let (header, row) = log.split_once('\n').unwrap();
        let column = header.split(',').position(|column| column == "qare").unwrap();
        row.split(',').nth(column).unwrap().parse::<f64>().unwrap()
    };
    let [spectral, frobenius, centred] = ["spectral", "frobenius", "centred"].map(term);
    // The Frobenius term bounds the spectral one closely, and most of both is the mean similarity.
    assert!(spectral <= frobenius + 1e-5 && frobenius <= 1.01 * spectral, "{spectral}, {frobenius}");
    assert!(centred > 0.0 && centred < 0.5 * spectral, "{centred}, {spectral}");
    let call = ["pretrain", "--dataset", "shapes", "--out", text(&out), "--set-term", "nuclear"];
    fails(&mut qare(&call), 2, &["--set-term", "nuclear", "spectral, frobenius, centred, mean, uniformity"]);
}

#[test]
fn hyphens_and_underscores_are_equivalent() {
    let mut names = Vec::new();
    for flags in [
        [
            "--data-size",
            "--inner-fs",
            "--outter-fs",
            "--num-workers",
            "--learning-rate",
            "--train-images",
            "--data-dir",
        ],
        [
            "--data_size",
            "--inner_fs",
            "--outter_fs",
            "--num_workers",
            "--learning_rate",
            "--train_images",
            "--data_dir",
        ],
    ] {
        let out = tempdir().unwrap();
        let mut call = qare(&["train-unsupervised", "--dataset", "shapes", "--epochs", "1", "--out", text(&out)]);
        for (flag, value) in flags.into_iter().zip(["8", "64", "16", "0", "0.01", "12", text(&out)]) {
            call.args([flag, value]);
        }
        succeeds(&mut call);
        let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_8_64_16_1.0_1.0"));
        let recipe = run.recipe();
        assert_eq!(recipe["learning_rate"].as_float(), Some(0.01));
        assert_eq!(recipe["train_images"].as_integer(), Some(12));
        names.push(run.names());
    }
    assert_eq!(names[0], names[1]);
}

#[test]
fn both_spellings_of_sparseclr_are_accepted() {
    let out = tempdir().unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--method", "sparceclr"]));
    assert!(out.path().join("sparseclr_shapes_conv4_8_64_64_1.0_1.0/recipe.toml").is_file());
}

#[test]
fn flags_override_the_recipe_file() {
    let out = tempdir().unwrap();
    let file = out.path().join("mine.toml");
    fs::write(&file, "epochs = 1\nbeta = 0.25\nseed = 3\nK = 3\n").unwrap();
    succeeds(tiny("pretrain", out.path()).arg("--config").arg(&file).args(["--seed", "4", "--alpha", "2"]));
    let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_8_64_64_2.0_0.25"));
    let recipe = run.recipe();
    let integers = ["epochs", "seed", "K"].map(|key| recipe[key].as_integer().unwrap());
    assert_eq!(integers, [1, 4, 3], "from the file, the flag and the file");
    assert_eq!(recipe["margin"].as_float(), Some(1.0), "and the default");
}

#[test]
fn the_recipe_in_a_run_folder_makes_the_same_run_again() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    succeeds(tiny("pretrain", one.path()).args(["--epochs", "1", "--K", "3", "--temperature", "0.2"]));
    let (first, second) = (tiny_folder(one.path()), tiny_folder(two.path()));
    let recipe = first.file("recipe.toml");
    succeeds(qare(&["pretrain", "--no-tui", "--config", text(&recipe), "--out"]).arg(two.path()));
    crate::driving::assert_same_weights(&first.weights(1), &second.weights(1));
}

#[test]
fn help_shows_defaults_and_examples() {
    let commands = succeeds(&mut qare(&["--help"]));
    for word in ["pretrain", "probe", "test", "run", "train_unsupervised", "Examples:", "qare run configs/"] {
        assert!(commands.contains(word), "`{word}` is not in {commands}");
    }
    let flags = succeeds(&mut qare(&["pretrain", "--help"]));
    for word in [
        "[default: 128]",
        "[default: sparseclr_qare]",
        "[default: ./checkpoint]",
        "--batch-size",
        "--data_size",
        "Examples:",
    ] {
        assert!(flags.contains(word), "`{word}` is not in {flags}");
    }
    let flags = succeeds(&mut qare(&["probe", "--help"]));
    for word in ["[default: 100]", "[default: 128]", "[default: 0.001]", "Examples:"] {
        assert!(flags.contains(word), "`{word}` is not in {flags}");
    }
    for command in ["test", "run"] {
        assert!(succeeds(&mut qare(&[command, "--help"])).contains("Examples:"));
    }
    assert!(succeeds(&mut qare(&["--version"])).starts_with("qare "));
}

#[test]
fn the_defaults_in_the_help_are_those_of_a_recipe() {
    let out = tempdir().unwrap();
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--method", "randomweights", "--out"]);
    succeeds(call.arg(out.path()));
    let run = RunFolder(out.path().join("randomweights_shapes_conv4_128_64_64_1.0_1.0"));
    let recipe = run.recipe();
    let help = succeeds(&mut qare(&["pretrain", "--help"]));
    for (flag, key) in [
        ("--backbone", "backbone"),
        ("--seed", "seed"),
        ("--batch-size", "batch_size"),
        ("--K", "K"),
        ("--epochs", "epochs"),
        ("--alpha", "alpha"),
        ("--beta", "beta"),
        ("--temperature", "temperature"),
        ("--margin", "margin"),
        ("--learning-rate", "learning_rate"),
        ("--outter-fs", "outter_fs"),
        ("--precision", "precision"),
    ] {
        let line = help.lines().find(|line| line.trim_start().starts_with(&format!("{flag} "))).expect(flag);
        let value = recipe[key].to_string();
        let value = value.trim_matches('"').trim_end_matches(".0");
        assert!(line.contains(&format!("[default: {value}]")), "{key} is {value}, but: {line}");
    }
}
