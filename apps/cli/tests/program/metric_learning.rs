//! Metric learning: from drawings to a retrieval among characters that training has not seen.

use std::fs;
use std::path::Path;
use std::process::Command;

use image::{GrayImage, Luma};
use qare_lab::recipe::Recipe;
use serde_json::Value;
use tempfile::tempdir;

use crate::driving::{EXACT, RunFolder, fails, qare, succeeds, tensors, text};

/// Drawings of `count` characters of an alphabet by eight people. A character is bars of its own distance and slope. Each person shifts the
/// bars, has a pen of another width, and makes dots of another pattern.
fn alphabet(folder: &Path, count: u32, first: u32) {
    for character in first..first + count {
        let folder = folder.join(format!("character{character:02}"));
        fs::create_dir_all(&folder).unwrap();
        for drawer in 1..=8u32 {
            let (period, slope) = (12 + 3 * (character % 7), character % 5);
            let stroke = move |x: u32, y: u32| {
                let is_bar = (x + slope * y / 2 + 5 * drawer) % period < 5 + drawer % 4;
                let is_dot = (7 * x + 13 * y + 29 * drawer) % (8 + drawer) < 2;
                Luma([if is_bar == is_dot { 255 } else { 0 }])
            };
            let drawing = GrayImage::from_fn(48, 48, stroke);
            drawing.save(folder.join(format!("{character:04}_{drawer:02}.png"))).unwrap();
        }
    }
}

/// Omniglot with twelve characters to train on and eight to search.
fn drawings(data: &Path) {
    alphabet(&data.join("images_background_small1/Greek"), 12, 0);
    alphabet(&data.join("images_background_small2/Greek"), 12, 0);
    alphabet(&data.join("images_background_small2/Tagalog"), 8, 20);
}

/// A call of a stage with batches of four characters, four images each.
fn call(command: &str, method: &str, data: &Path, out: &Path) -> Command {
    let mut call = qare(&[command, "--dataset", "omniglot", "--method", method, "--batch-size", "16", "--no-tui"]);
    call.args(["--epochs", "2", "--data-dir", text(data), "--out", text(out)]);
    call
}

fn run_in(out: &Path) -> RunFolder {
    RunFolder(fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir()).unwrap())
}

fn recall(results: &Value, stage: &str) -> f64 {
    results[stage]["recall"]["1"].as_f64().expect("a number")
}

#[test]
fn training_validates_on_held_out_classes_and_retrieval_compares_the_embeddings() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    let mut training = call("pretrain", "infonce_qare", data.path(), out.path());
    let printed = succeeds(training.args(["--embedding-size", "24", "--validation-share", "0.25"]));
    assert!(printed.contains("2 epochs of 4 classes × 4 images"), "{printed}");
    assert!(printed.contains("3 of 12 training classes, 24 images, are held out"), "{printed}");
    assert!(printed.contains("recall@1 ") && printed.contains(" %"), "{printed}");
    let run = run_in(out.path());
    let log = run.read("log.csv");
    let rows: Vec<Vec<&str>> = log.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0][..5], ["epoch", "loss", "score", "pairwise", "qare"]);
    let score: f64 = rows[2][2].parse().unwrap();
    assert!((score - run.results()["pretrain"]["held_out_recall_at_1"].as_f64().unwrap()).abs() < 0.0051);

    let printed = succeeds(&mut qare(&["retrieve", text(run.path())]));
    assert!(
        printed.contains("among 64 test images of 8 classes of omniglot, embeddings of 24 dimensions"),
        "{printed}"
    );
    let printed = succeeds(&mut qare(&["retrieve", text(run.path()), "--features"]));
    assert!(printed.contains("64 features"), "{printed}");
    let results = run.results();
    assert_eq!((&results["retrieve"]["of"], &results["retrieve"]["dim"]), (&"embedding".into(), &24.into()));
    let features = &results["retrieve_features"];
    assert_eq!((&features["of"], &features["dim"]), (&"features".into(), &64.into()));

    for (flags, what, dim) in [(&[][..], "embeddings", 24u64), (&["--features"], "features", 64)] {
        let file = out.path().join(format!("{what}.safetensors"));
        let mut embed = qare(&["embed", "--checkpoint", text(run.path()), "--output", text(&file), "--split", "test"]);
        let printed = succeeds(embed.args(flags));
        assert!(printed.contains(&format!("{what} of 64 images ({dim} dimensions)")), "{printed}");
        assert_eq!(tensors(&file)["features"].0, format!("F32[64, {dim}]"));
    }
    // The classes of the test split are others, so there is nothing to classify.
    fails(&mut qare(&["probe", "--checkpoint", text(run.path())]), 2, &["other classes"]);
}

#[test]
fn a_few_epochs_beat_the_untrained_backbone() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    let file = out.path().join("mine.toml");
    fs::write(&file, "compare_untrained = true\nvalidation_share = 0.0\n").unwrap();
    let mut training = call("run", "triplet", data.path(), out.path());
    let printed = succeeds(training.arg(&file).args(["--epochs", "30"]));
    let untrained = printed.lines().find_map(|line| line.strip_prefix("untrained conv4: Recall@1 ")).expect("a line");
    let untrained: f64 = untrained.split(' ').next().unwrap().parse().unwrap();
    let run = run_in(out.path());
    let trained = recall(&run.results(), "retrieve");
    // Of three seeds, the least gain was 28.
    assert!(trained > untrained + 15.0, "{trained} after {untrained}");
    assert!(run.results().get("probe").is_none());
}

#[test]
fn a_sweep_tabulates_retrieval() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    let mut sweep = qare(&["sweep", "--dataset", "omniglot", "--batch-size", "16", "--no-tui", "--epochs", "1"]);
    sweep.args(["--data-dir", text(&data), "--out", text(&out), "--seeds", "1,2"]);
    sweep.args(["--methods", "ntlogistic,ntlogistic_qare,simclr,randomweights"]);
    let printed = succeeds(&mut sweep);
    let heading =
        "| method | dataset | backbone | batch | epochs | Recall@1 | mAP | MAP@R | seconds an epoch | seeds |";
    assert!(printed.contains(heading), "{printed}");
    let csv = fs::read_to_string(out.path().join("sweep_omniglot_conv4.csv")).unwrap();
    assert!(csv.starts_with("method,seeds,recall_1_mean,recall_1_std,map_mean,map_std,map_r_mean,"), "{csv}");
    assert_eq!(csv.lines().count(), 5);
    let again = succeeds(&mut sweep);
    assert_eq!(again.matches("already complete").count(), 8, "{again}");
}

#[test]
fn a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    for method in ["multisimilarity", "normsoftmax_qare"] {
        let train = |name: &str, flags: &[&str]| {
            let out = out.path().join(method).join(name);
            succeeds(call("pretrain", method, data.path(), &out).args(flags));
            run_in(&out)
        };
        let whole = train("whole", &["--epochs", "3"]);
        train("stopped", &["--epochs", "1"]);
        let resumed = train("stopped", &["--epochs", "3", "--resume"]);
        let file = format!("{method}_omniglot_conv4_seed_1_epoch_3.safetensors");
        let (one, other) = (tensors(&whole.file(&file)), tensors(&resumed.file(&file)));
        let differ = one.keys().filter(|name| one[*name] != other[*name]).count();
        assert!(one.keys().eq(other.keys()) && (!EXACT || differ == 0), "{method}: {differ} tensors differ");
    }
}

#[test]
fn frozen_batch_normalisation_stays_that_of_the_starting_weights() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    let first = out.path().join("first");
    succeeds(&mut call("pretrain", "simclr", data.path(), &first));
    let start = run_in(&first);
    let second = out.path().join("second");
    let mut tuning = call("pretrain", "supcon", data.path(), &second);
    succeeds(tuning.args(["--freeze-batch-norm", "--checkpoint", text(start.path())]));
    let before = tensors(&start.file("simclr_omniglot_conv4_seed_1_epoch_2.safetensors"));
    let after = tensors(&run_in(&second).file("supcon_omniglot_conv4_seed_1_epoch_2.safetensors"));
    for (name, tensor) in before.iter().filter(|(name, _)| name.starts_with("backbone.")) {
        assert_eq!(*tensor == after[name], name.contains(".bn."), "{name}");
    }
    fails(
        call("pretrain", "supcon", data.path(), &out.path().join("third")).arg("--freeze-batch-norm"),
        2,
        &["--checkpoint"],
    );
}

#[test]
fn batches_that_cannot_be_are_refused() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    let runs = out.path().join("runs");
    let refused = |flags: &[&str], words: &[&str]| {
        fails(call("pretrain", "triplet", data.path(), &runs).args(flags), 2, words);
    };
    refused(&["--batch-size", "18"], &["batch_size", "18", "images_per_identity, 4"]);
    refused(&["--batch-size", "4"], &["at least 8, two classes"]);
    refused(&["--images-per-identity", "1"], &["images_per_identity is 1", "at least 2"]);
    refused(&["--batch-size", "64"], &["batch_size", "at most 40, 4 images of each of 10 identities"]);
    refused(&["--validation-share", "1"], &["validation_share is 1", "0.9"]);
    refused(&["--triplets", "some"], &["some", "all, hard, semihard"]);
    refused(&["--proxy-rate", "0"], &["proxy_rate is 0"]);
    refused(&["--scale", "0"], &["scale is 0", "positive number"]);
    refused(&["--positive-scale", "-2"], &["positive_scale is -2", "positive number"]);
    refused(&["--negative-scale", "inf"], &["negative_scale is inf", "positive number"]);
    refused(&["--positive-margin", "-0.1"], &["positive_margin is -0.1", "zero or a positive number"]);
    refused(&["--base-similarity", "nan"], &["base_similarity is NaN", "such as 0.5"]);
    refused(&["--augment-on", "device"], &["triplet needs --augment-on host"]);
    assert!(!runs.exists(), "a refused call leaves a folder");
    // More images of a class than there are: a batch repeats them, and a note says so.
    let printed = succeeds(call("pretrain", "triplet", data.path(), &out.path().join("repeated")).args([
        "--images-per-identity",
        "40",
        "--batch-size",
        "80",
    ]));
    assert!(printed.contains(" training classes have fewer than 40 images, which a batch repeats"), "{printed}");
    let mut other = qare(&["pretrain", "--dataset", "shapes", "--train-images", "16", "--data-size", "8", "--no-tui"]);
    other.args(["--epochs", "1", "--images-per-identity", "2", "--out", text(&out)]);
    let printed = succeeds(&mut other);
    assert!(printed.contains("note: --images-per-identity has no effect on sparseclr_qare"), "{printed}");
}

#[test]
fn the_numbers_of_a_loss_are_flags_and_reach_it() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    // What the first epoch prints: its loss depends on the number.
    let trained = |method: &str, flags: &[&str]| {
        let mut training =
            call("pretrain", method, data.path(), &out.path().join(format!("{method}{}", flags.concat())));
        let printed = succeeds(training.args(["--epochs", "1"]).args(flags));
        let of_epoch = printed.lines().find(|line| line.starts_with("epoch 1/1")).expect("a line");
        let loss = of_epoch.split("loss ").nth(1).and_then(|rest| rest.split(',').next()).expect("a loss");
        (loss.to_string(), printed)
    };
    for (method, flags) in [
        ("contrastive", &["--positive-margin"][..]),
        ("multisimilarity", &["--positive-scale", "--negative-scale", "--base-similarity"]),
        ("proxyanchor", &["--scale"]),
        ("arcface", &["--scale"]),
    ] {
        let (plain, _) = trained(method, &[]);
        for flag in flags {
            let (other, printed) = trained(method, &[flag, "0.6"]);
            assert!(other != plain && !printed.contains("no effect"), "{method} {flag}: {plain}\n{printed}");
        }
    }
    let run = run_in(&out.path().join("multisimilarity--base-similarity0.6"));
    let recipe = Recipe::parse(&run.read("recipe.toml")).unwrap();
    assert_eq!((recipe.base_similarity, recipe.positive_scale), (Some(0.6), None));
    let (_, printed) = trained("triplet", &["--scale", "3", "--base-similarity", "0.2"]);
    assert!(printed.contains("note: --scale and --base-similarity have no effect on triplet"), "{printed}");
}

#[test]
fn committed_recipes_are_valid_and_those_of_omniglot_run() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    for dataset in ["omniglot", "cub200", "cars196", "sop", "market1501", "cuhk03"] {
        let recipe = Recipe::of_layers([Recipe::layers(&configs.join(dataset).join("metric.toml")).unwrap()]).unwrap();
        recipe.validate().unwrap();
        assert_eq!(recipe.dataset.to_string(), dataset);
        assert!(recipe.is_metric() && recipe.is_evaluated_by_retrieval(), "{dataset}");
    }
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    drawings(data.path());
    let small = ["--epochs", "1", "--batch-size", "16", "--no-tui", "--data-dir", text(&data), "--out", text(&out)];
    let printed = succeeds(qare(&["run", text(&configs.join("omniglot/metric.toml"))]).args(small));
    assert!(printed.contains("Recall@1 "), "{printed}");
    let mut sweep = qare(&["sweep", text(&configs.join("omniglot/metric_table.toml")), "--seeds", "1"]);
    succeeds(sweep.args(["--methods", "triplet,triplet_qare"]).args(small));
    assert!(out.path().join("sweep_metric_table.md").is_file());
}
