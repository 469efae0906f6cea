//! Stage 1 leaves a complete run folder.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::process::Stdio;

use tempfile::tempdir;

use crate::driving::{
    RunFolder, assert_nothing_half_written, qare, succeeds, tensors, text, tiny, tiny_folder, tiny_run,
};

/// The reference's names of the tensors of a Conv-4 and its head.
fn reference_names() -> Vec<String> {
    let normalization = ["bias", "num_batches_tracked", "running_mean", "running_var", "weight"];
    let mut names = Vec::new();
    for layer in 1..=4 {
        names.push(format!("backbone.layer{layer}.conv.weight"));
        names.extend(normalization.map(|name| format!("backbone.layer{layer}.bn.{name}")));
    }
    names.extend(normalization.map(|name| format!("head.bn1.{name}")));
    for layer in 1..=2 {
        names.extend(["bias", "weight"].map(|name| format!("head.linear{layer}.{name}")));
    }
    names.sort();
    names
}

#[test]
fn a_run_folder_holds_recipe_log_results_and_checkpoints() {
    let out = tempdir().unwrap();
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--method", "sparseclr_qare", "--backbone", "conv4"]);
    call.args(["--seed", "1", "--data_size", "256", "--epochs", "5", "--alpha", "1", "--beta", "0.5", "--no-tui"]);
    succeeds(call.args(["--train-images", "16", "--out", text(&out)]));

    let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_256_64_64_1.0_0.5"));
    // 25, 50, 75 and 100 % of five epochs, rounded down.
    let mut expected: Vec<String> =
        ["latest.json", "log.csv", "recipe.toml", "results.json"].map(str::to_string).to_vec();
    for epoch in [1, 2, 3, 5] {
        for kind in ["optimizer", "safetensors"] {
            expected.push(format!("sparseclr_qare_shapes_conv4_seed_1_epoch_{epoch}.{kind}"));
        }
    }
    assert_eq!(run.names(), expected);
    assert_eq!(run.latest_epoch(), Some(5));

    let recipe = run.recipe();
    assert_eq!(recipe["batch_size"].as_integer(), Some(256));
    assert!(
        Path::new(recipe["out"].as_str().unwrap()).is_absolute(),
        "the recipe must not depend on the current folder"
    );
    let record = run.results()["run"].clone();
    assert_eq!(record["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&record["seed"], &record["images"]), (&1.into(), &16.into()));
    assert_eq!(record["classes"].as_array().unwrap().len(), 10);
    assert!(record["command"].as_array().unwrap().contains(&"--train-images".into()), "{record}");
    assert!(record["commit"].is_string() && record["started"].as_str().unwrap().ends_with('Z'), "{record}");
    assert_eq!(recipe["beta"].as_float(), Some(0.5));
    assert_eq!(recipe["temperature"].as_float(), Some(0.5), "defaults are in the recipe too");

    let log = run.read("log.csv");
    let mut lines = log.lines();
    assert!(lines.next().unwrap().starts_with("epoch,loss,score"));
    for (line, epoch) in lines.by_ref().zip(1..=5) {
        let numbers: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
        assert_eq!(numbers[0], f64::from(epoch));
        assert!(numbers[1] > 0.0 && (0.0..=100.0).contains(&numbers[2]), "{line}");
    }
    assert!(lines.next().is_none());

    let results = run.results();
    assert_eq!(results["pretrain"]["epochs"], 5);
    assert!(results["pretrain"]["loss"].as_f64().unwrap() > 0.0);
}

#[test]
fn weights_are_f32_under_the_names_of_the_reference() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let tensors = tensors(&run.weights(1));
    assert_eq!(tensors.keys().cloned().collect::<Vec<_>>(), reference_names());
    for (name, (form, bytes)) in &tensors {
        let counter = name.ends_with("num_batches_tracked");
        assert!(form.starts_with(if counter { "I64" } else { "F32" }), "{name}: {form}");
        // All normalisations have seen two batches.
        assert!(!counter || bytes == &2i64.to_le_bytes(), "{name}: {bytes:?}");
    }
    // PyTorch's layout of a convolution and a linear layer.
    assert_eq!(tensors["backbone.layer2.conv.weight"].0, "F32[16, 8, 3, 3]");
    assert_eq!(tensors["head.linear1.weight"].0, "F32[256, 64]");
}

#[test]
fn an_id_ends_the_folder_name_and_the_seed_is_in_the_names_of_files() {
    let out = tempdir().unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--id", "X", "--seed", "7"]));
    let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_8_64_64_1.0_1.0_X"));
    assert!(run.file("sparseclr_qare_shapes_conv4_seed_7_epoch_1.safetensors").is_file(), "{:?}", run.names());
}

#[test]
fn every_method_trains() {
    for method in ["simclr", "simclr_qare", "sparseclr", "randomweights"] {
        let out = tempdir().unwrap();
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--method", method]));
        let run = RunFolder(out.path().join(format!("{method}_shapes_conv4_8_64_64_1.0_1.0")));
        let epoch = u64::from(method != "randomweights");
        assert_eq!(run.latest_epoch(), Some(epoch), "an untrained backbone is epoch 0");
        let weights = run.file(&format!("{method}_shapes_conv4_seed_1_epoch_{epoch}.safetensors"));
        assert!(tensors(&weights).contains_key("backbone.layer4.conv.weight"));
    }
}

#[test]
fn a_last_batch_of_one_image_is_left_out() {
    let out = tempdir().unwrap();
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--no-tui", "--epochs", "1", "--out", text(&out)]);
    succeeds(call.args(["--train-images", "17", "--data-size", "8"]));
    let tensors = tensors(&tiny_folder(out.path()).weights(1));
    assert_eq!(tensors["head.bn1.num_batches_tracked"].1, 2i64.to_le_bytes());
}

#[test]
fn training_starts_from_the_weights_of_a_checkpoint() {
    let (first, second) = (tempdir().unwrap(), tempdir().unwrap());
    let start = tiny_run(first.path(), 1).weights(1);
    // Adam changes no weight by more than about this learning rate.
    let mut call = tiny("pretrain", second.path());
    succeeds(call.args(["--epochs", "1", "--learning-rate", "1e-12", "--checkpoint", text(&start)]));
    let name = "head.linear1.weight";
    let values = |file: &Path| -> Vec<f32> {
        let bytes = &tensors(file)[name].1;
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    for (before, after) in values(&start).into_iter().zip(values(&tiny_folder(second.path()).weights(1))) {
        assert!((before - after).abs() < 1e-9, "{before} became {after}");
    }
}

#[test]
fn a_run_continues_when_standard_output_is_closed() {
    let out = tempdir().unwrap();
    let mut call = tiny("pretrain", out.path());
    let mut child = call.args(["--epochs", "3"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(child.wait().unwrap().success(), "after {line}");
    assert_eq!(tiny_folder(out.path()).latest_epoch(), Some(3));
}

#[test]
#[cfg(target_os = "linux")]
fn a_run_continues_when_standard_output_is_full() {
    let out = tempdir().unwrap();
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert!(tiny("pretrain", out.path()).args(["--epochs", "1"]).stdout(full).status().unwrap().success());
    assert_eq!(tiny_folder(out.path()).latest_epoch(), Some(1));
    assert_nothing_half_written(out.path());
}
