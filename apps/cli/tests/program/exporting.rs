//! `qare export` and `qare embed`: backbones and features for other programs.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::driving::{fails, qare, succeeds, tensors, text, tiny, tiny_run};
use crate::official_files;

#[test]
fn an_exported_backbone_has_the_runs_weights_under_pytorchs_names() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = out.path().join("backbone.safetensors");
    succeeds(&mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&file)]));
    let (exported, trained) = (tensors(&file), tensors(&run.weights(1)));
    assert_eq!(exported["layer1.conv.weight"].0, "F32[8, 3, 3, 3]");
    assert_eq!(exported["layer1.bn.num_batches_tracked"].0, "I64[]");
    assert_eq!(exported.len(), trained.keys().filter(|name| name.starts_with("backbone.")).count());
    for (name, tensor) in &exported {
        assert!(*tensor == trained[&format!("backbone.{name}")], "{name}");
    }
    let record = out.path().join("backbone.mpk");
    succeeds(&mut qare(&["export", "--checkpoint", text(&run.weights(1)), "--output", text(&record)]));
    assert!(fs::metadata(record).unwrap().len() > 4 * 24_648);
    let wrong = out.path().join("backbone.pt");
    fails(
        &mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&wrong)]),
        2,
        &[".safetensors", ".onnx", ".mpk", "--format"],
    );
}

/// The metadata of a weights file.
fn metadata(file: &Path) -> HashMap<String, String> {
    let (_, header) = SafeTensors::read_metadata(&fs::read(file).unwrap()).unwrap();
    header.metadata().clone().unwrap()
}

/// Parses a value of the metadata as JSON.
fn structured(metadata: &HashMap<String, String>, key: &str) -> Value {
    serde_json::from_str(&metadata[key]).unwrap_or_else(|error| panic!("{key}: {error}"))
}

#[test]
fn an_export_describes_how_to_use_it() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = out.path().join("backbone.safetensors");
    let export = |output: &Path| qare(&["export", "--checkpoint", text(run.path()), "--output", text(output)]);
    fs::write(out.path().join("README.md"), "mine").unwrap();
    succeeds(&mut export(&file));

    let stored = metadata(&file);
    let words =
        [("architecture", "conv4"), ("feature_dim", "64"), ("input_size", "32"), ("dataset", "shapes"), ("epoch", "1")];
    for (key, expected) in words {
        assert_eq!(stored[key], expected, "{key}");
    }
    assert_eq!(stored["foreign"], "false");
    assert_eq!(stored["version"], env!("CARGO_PKG_VERSION"));
    let commit = stored["commit"].strip_suffix("-dirty").unwrap_or(&stored["commit"]);
    assert!(
        commit == "unknown" || commit.len() >= 40 && commit.chars().all(|char| char.is_ascii_hexdigit()),
        "{commit}"
    );
    assert_eq!(structured(&stored, "mean"), json!([0.366, 0.366, 0.366]));
    assert_eq!(structured(&stored, "std"), json!([0.202, 0.202, 0.202]));
    assert_eq!(structured(&stored, "resize_rule")["shorter_side"], "input_size");
    assert!(stored["resize"].contains("32×32"), "{}", stored["resize"]);
    let unknown = structured(&stored, "unknown");
    assert!(
        ["input_size", "mean", "std", "recipe"].iter().all(|key| !unknown.as_array().unwrap().contains(&json!(key)))
    );

    // The recipe is the run's without this machine's paths.
    let mut expected = run.recipe();
    assert!(expected.remove("out").is_some());
    expected.remove("data_dir");
    assert_eq!(stored["recipe"].parse::<toml::Table>().unwrap(), expected);

    // The text file beside the export holds the same values. Each export has its own.
    let readme = |file: &str| fs::read_to_string(out.path().join(format!("{file}.README.md"))).unwrap();
    let beside = readme("backbone.safetensors");
    let values = ["load(\"backbone.safetensors\")", "# [1, 64]", "0.366, 0.366, 0.366", "0.202, 0.202, 0.202", "32×32"];
    for value in values.into_iter().chain([&stored["commit"][..], &stored["recipe"][..], &stored["resize"][..]]) {
        assert!(beside.contains(value), "{value} is not in: {beside}");
    }
    for name in ["backbone.safetensors", "backbone.safetensors.README.md"] {
        let written = fs::read(out.path().join(name)).unwrap();
        let folder = text(out.path()).as_bytes();
        assert!(!written.windows(folder.len()).any(|part| part == folder), "{name} contains the folder");
    }
    let first = fs::read(&file).unwrap();
    succeeds(&mut export(&out.path().join("backbone.mpk")));
    succeeds(&mut export(&file));
    assert!(first == fs::read(&file).unwrap(), "the same export makes the same bytes");
    assert_eq!(readme("backbone.safetensors"), beside);
    assert!(readme("backbone.mpk").contains("BackboneName::Conv4"));
    assert_eq!(fs::read_to_string(out.path().join("README.md")).unwrap(), "mine");

    // An existing file that no export wrote is not replaced.
    let other = out.path().join("other.safetensors");
    fs::write(out.path().join("other.safetensors.README.md"), "mine").unwrap();
    fails(&mut export(&other), 2, &["other.safetensors.README.md", "--output"]);
    assert!(!other.exists());
    assert_eq!(readme("other.safetensors"), "mine");

    for (flag, value, word) in
        [("--trained-on", "cifar10", "shapes"), ("--image-size", "64", "32×32"), ("--image-size", "4", "8")]
    {
        fails(export(&other.with_file_name("third.safetensors")).args([flag, value]), 2, &[flag, word]);
    }
}

#[test]
fn the_network_in_a_readme_is_that_of_the_python_module() {
    let module = include_str!("../../../../models/python/qare_torch.py");
    let out = tempdir().unwrap();
    for (backbone, class, call) in
        [("conv4", "class Conv4(", "Conv4()"), ("resnet20", "class CifarResNet(", "CifarResNet(blocks=3)")]
    {
        let folder = out.path().join(backbone);
        succeeds(tiny("pretrain", &folder).args(["--epochs", "1", "--backbone", backbone]));
        let run = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let exported = folder.join("exported/");
        let call_of = ["export", "--checkpoint", text(&run), "--format", "safetensors", "--output", text(&exported)];
        succeeds(&mut qare(&call_of));
        let readme = fs::read_to_string(exported.join("README.md")).unwrap();
        let programs: Vec<&str> =
            readme.split("```python\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        let [network, prepare, use_] = programs[..] else { panic!("three programs: {readme}") };
        let (_, classes) = network.split_once("\n\n\n").unwrap();
        assert!(classes.contains(class) && module.contains(classes), "{classes}");
        assert!(prepare.contains("SIZE = 32\nMEAN, STD = [0.366, 0.366, 0.366], [0.202, 0.202, 0.202]"), "{prepare}");
        assert!(use_.contains(call) && use_.contains("load_file(\"backbone.safetensors\")"), "{use_}");
        assert_eq!(use_.lines().count(), 5);
    }
}

#[test]
fn an_export_of_foreign_weights_lists_what_is_unknown() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let (file, foreign) = (out.path().join("ours.safetensors"), out.path().join("theirs.safetensors"));
    succeeds(&mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&file)]));
    // The same tensors without metadata.
    let bytes = fs::read(&file).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    fs::write(&foreign, safetensors::serialize(read.tensors(), None).unwrap()).unwrap();

    let exported = out.path().join("exported.safetensors");
    let export = |flags: &[&str]| {
        succeeds(qare(&["export", "--checkpoint", text(&foreign), "--output", text(&exported)]).args(flags));
        let readme = fs::read_to_string(out.path().join("exported.safetensors.README.md")).unwrap();
        (metadata(&exported), readme)
    };
    let (stored, readme) = export(&[]);
    assert_eq!(stored["foreign"], "true");
    assert_eq!(
        structured(&stored, "unknown"),
        json!(["input_size", "mean", "std", "dataset", "classes", "recipe", "epoch"])
    );
    for key in ["input_size", "mean", "std", "dataset", "classes", "recipe", "epoch"] {
        assert!(!stored.contains_key(key), "{key} is a guess: {}", stored[key]);
    }
    for words in ["size=SIZE, mean=MEAN, std=STD", "SIZE = None\nMEAN, STD = None, None", "Replace `None`"] {
        assert!(readme.contains(words), "{words} is not in: {readme}");
    }
    assert!(tensors(&exported) == tensors(&file));

    let (stored, readme) = export(&["--trained-on", "folder"]);
    assert!(!stored.contains_key("input_size") && stored["mean"] == "[0.485,0.456,0.406]", "{stored:?}");
    assert!(readme.contains("size=SIZE)"), "{readme}");
    let (stored, readme) = export(&["--trained-on", "folder", "--image-size", "224"]);
    assert_eq!(stored["input_size"], "224");
    assert!(readme.contains("load(\"exported.safetensors\")") && readme.contains("SIZE = 224\n"), "{readme}");
    assert!(!readme.contains("Replace"), "{readme}");
    let (stored, _) = export(&["--trained-on", "stl10"]);
    assert_eq!((&stored["input_size"][..], &stored["std"][..]), ("96", "[0.5,0.5,0.5]"));
    assert!(!stored.contains_key("recipe"));
}

#[test]
fn features_are_written_with_labels_and_file_names() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let images = tempdir().unwrap();
    official_files::write("folder", images.path());
    let call = |file: &str, split: &str| {
        let mut call = qare(&["embed", "--checkpoint", text(run.path()), "--dataset", "folder", "--split", split]);
        call.args(["--data-dir", text(&images), "--output", text(&out.path().join(file))]);
        call
    };
    succeeds(&mut call("all.safetensors", "train"));
    let bytes = fs::read(out.path().join("all.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(file.tensor("features").unwrap().shape(), [24, 64]);
    let labels = file.tensor("labels").unwrap().data().to_vec();
    let labels: Vec<i64> = labels.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
    let metadata = header.metadata().clone().unwrap();
    let list = |key: &str| -> Vec<String> { serde_json::from_str(&metadata[key]).unwrap() };
    let (classes, files) = (list("class_names"), list("file_names"));
    assert_eq!(classes, ["bird", "fish", "tree"]);
    for (label, file) in labels.iter().zip(&files) {
        assert!(file.contains(&classes[*label as usize]), "{file} is no {}", classes[*label as usize]);
        assert!(images.path().join(file).is_file(), "{file}");
    }

    succeeds(&mut call("test.npy", "test"));
    let npy = fs::read(out.path().join("test.npy")).unwrap();
    assert!(npy.starts_with(b"\x93NUMPY"));
    let header = String::from_utf8_lossy(&npy[..128]).into_owned();
    assert!(header.contains("'<f4'") && header.contains("(9, 64"), "{header}");
    assert_eq!(npy.len(), 128 + 9 * 64 * 4, "a header of 128 bytes, and the numbers");
    assert!(fs::read(out.path().join("test.labels.npy")).unwrap().len() >= 9 * 8);
    assert_eq!(fs::read_to_string(out.path().join("test.files.txt")).unwrap().lines().count(), 9);

    // The whole dataset is the training split followed by the test split.
    succeeds(&mut call("all.npy", "all"));
    let all = fs::read(out.path().join("all.npy")).unwrap();
    assert_eq!(all.len(), 128 + 33 * 64 * 4);
    assert_eq!(all[128 + 24 * 64 * 4..], npy[128..]);
    assert_eq!(fs::read_to_string(out.path().join("all.files.txt")).unwrap().lines().count(), 33);

    fails(&mut call("x.csv", "train"), 2, &[".npy", ".safetensors"]);
    fails(&mut call("x.npy", "unlabeled"), 2, &["no unlabelled images"]);
}

#[test]
fn parts_of_features_are_replaced_with_them_and_others_are_kept() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let images = tempdir().unwrap();
    official_files::write("folder", images.path());
    let file = |name: &str| out.path().join(name);
    let embed = |folder: bool, name: &str| {
        let mut call = qare(&["embed", "--checkpoint", text(run.path()), "--split", "test"]);
        if folder {
            call.args(["--dataset", "folder", "--data-dir", text(&images)]);
        }
        call.args(["--output", text(&file(name))]);
        call
    };
    // A file of the user, which belongs to no features.
    fs::write(file("own.files.txt"), "mine").unwrap();
    succeeds(&mut embed(false, "own.npy"));
    assert_eq!(fs::read_to_string(file("own.files.txt")).unwrap(), "mine");
    // Images of no files have no names.
    succeeds(&mut embed(true, "x.npy"));
    assert!(file("x.files.txt").is_file());
    succeeds(&mut embed(false, "x.npy"));
    assert!(!file("x.files.txt").exists());
    // A folder in the place of a part is found before any file changes.
    let before = fs::read(file("x.npy")).unwrap();
    fs::remove_file(file("x.labels.npy")).unwrap();
    fs::create_dir(file("x.labels.npy")).unwrap();
    fails(&mut embed(true, "x.npy"), 2, &["x.labels.npy", "is not a file"]);
    assert_eq!(fs::read(file("x.npy")).unwrap(), before);
    for name in ["./x.npy/.", "x.npy/"] {
        fails(&mut qare(&["embed", "--checkpoint", text(run.path()), "-o", name]), 2, &["--output", "a file"]);
    }
    let long = format!("{}.npy", "y".repeat(245));
    fails(&mut embed(false, &long), 2, &["--output", "no file can be written there"]);
}

#[test]
fn features_of_the_runs_own_dataset_are_embedded_by_default() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = out.path().join("test.npy");
    let printed =
        succeeds(&mut qare(&["embed", "--checkpoint", text(run.path()), "--split", "test", "--output", text(&file)]));
    assert!(printed.contains("1000 images (64 dimensions)"), "{printed}");
}

#[test]
fn an_export_is_recognised_as_a_checkpoint() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let images = tempdir().unwrap();
    official_files::write("folder", images.path());
    let file = |name: &str| out.path().join(name);
    let exported = file("backbone.safetensors");
    succeeds(&mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&exported)]));
    for (checkpoint, name) in [(run.path(), "own.npy"), (&exported, "back.npy")] {
        let mut call = qare(&["embed", "--checkpoint", text(checkpoint), "--dataset", "folder", "--split", "test"]);
        let printed = succeeds(call.args(["--data-dir", text(&images), "--output", text(&file(name))]));
        assert!(!printed.contains("does not say"), "{printed}");
    }
    assert_eq!(fs::read(file("own.npy")).unwrap(), fs::read(file("back.npy")).unwrap());
    fails(
        &mut qare(&["embed", "--checkpoint", text(run.path()), "--image-size", "7", "--output", text(&file("x.npy"))]),
        2,
        &["--image-size 7", "from 8"],
    );
}
