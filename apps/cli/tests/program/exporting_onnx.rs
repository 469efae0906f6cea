//! `qare export --format onnx`: a folder with a model and its README. `models/python/check_readmes.py` runs both with onnxruntime.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use qare_onnx::proto::{DataType, GraphProto, Message, ModelProto, ValueInfoProto};
use tempfile::tempdir;

use crate::driving::{Snapshot, fails, qare, succeeds, text, tiny, tiny_run};

/// A model that an export wrote, and its metadata.
fn model(folder: &Path) -> (GraphProto, BTreeMap<String, String>) {
    let model = ModelProto::decode(&fs::read(folder.join("backbone.onnx")).unwrap()[..]).unwrap();
    let metadata = model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
    (model.graph.unwrap(), metadata)
}

/// Inputs or outputs as text: name, type and dimensions.
fn described(values: &[ValueInfoProto]) -> Vec<String> {
    let describe = |value: &ValueInfoProto| {
        let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
        let dims = tensor.shape.clone().unwrap().dim.into_iter();
        let dims: Vec<String> =
            dims.map(|dim| dim.dim_param.unwrap_or_else(|| dim.dim_value.unwrap().to_string())).collect();
        format!("{} {:?} {}", value.name, tensor.elem_type(), dims.join(","))
    };
    values.iter().map(describe).collect()
}

/// Checks that each node uses what is there before it, and that constants have the bytes of their shapes.
fn check(graph: &GraphProto) {
    let inputs = graph.input.iter().map(|input| &input.name);
    let mut known: HashSet<&str> =
        inputs.chain(graph.initializer.iter().map(|tensor| &tensor.name)).map(String::as_str).collect();
    assert_eq!(known.len(), graph.input.len() + graph.initializer.len(), "a name is there twice");
    for tensor in &graph.initializer {
        let bytes = match tensor.data_type() {
            DataType::Float | DataType::Int32 => 4,
            DataType::Double | DataType::Int64 => 8,
            other => panic!("{}: {other:?}", tensor.name),
        };
        assert_eq!(tensor.raw_data.len() as i64, bytes * tensor.dims.iter().product::<i64>(), "{}", tensor.name);
    }
    for node in &graph.node {
        for input in &node.input {
            assert!(known.contains(input.as_str()), "{}: {input} is not there yet", node.name);
        }
        assert!(known.insert(&node.output[0]), "{} is there twice", node.name);
    }
    let used: HashSet<&str> = graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    for name in graph.initializer.iter().map(|tensor| &tensor.name).chain(graph.input.iter().map(|input| &input.name)) {
        assert!(used.contains(name.as_str()), "{name} is used by no node");
    }
}

/// The only run folder in a folder.
fn run_in(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

fn export(checkpoint: &Path, output: &Path, flags: &[&str]) -> std::process::Command {
    let mut call = qare(&["export", "--checkpoint", text(checkpoint), "--output", text(output), "--format", "onnx"]);
    call.args(flags);
    call
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_holds_the_model_and_its_readme() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let folder = out.path().join("exported");
    let printed = succeeds(&mut export(run.path(), &folder, &[]));
    assert!(printed.contains("features [N, 64]") && printed.contains("README.md"), "{printed}");
    assert_eq!(names(&folder), ["README.md", "backbone.onnx"]);

    let (graph, metadata) = model(&folder);
    check(&graph);
    assert_eq!(described(&graph.input), ["images Float N,3,H,W"]);
    assert_eq!(described(&graph.output), ["features Float N,64"]);
    for (key, value) in [
        ("architecture", "conv4"),
        ("method", "sparseclr_qare"),
        ("dataset", "shapes"),
        ("mean", "[0.366,0.366,0.366]"),
        ("std", "[0.202,0.202,0.202]"),
        ("input_size", "32"),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(metadata[key], value, "{key}");
    }
    assert!(metadata["classes"].starts_with("[\"disc\",\"ring\","), "{}", metadata["classes"]);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let program = readme.split("```python\n").nth(2).unwrap().split("```").next().unwrap();
    for words in ["InferenceSession(\"backbone.onnx\")", "prepare(\"photo.jpg\")", "features, = ", "# [N, 64]"] {
        assert!(program.contains(words), "{words} is not in: {program}");
    }
    assert!(program.lines().count() <= 5, "{program}");
    for words in ["32×32 pixels", "0.366, 0.366, 0.366", "disc, ring"] {
        assert!(readme.contains(words), "{words} is not in: {readme}");
    }

    // The next export replaces both files, with or without a slash, and leaves others.
    fs::write(folder.join("mine.txt"), "mine").unwrap();
    let before = Snapshot::of(&folder);
    succeeds(&mut export(run.path(), &folder.join(""), &[]));
    before.assert_unchanged(&folder);
    // The same model by the name of a file, with a README of that name.
    let file = out.path().join("model.onnx");
    succeeds(&mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&file)]));
    assert_eq!(fs::read(&file).unwrap(), fs::read(folder.join("backbone.onnx")).unwrap());
    assert!(out.path().join("model.onnx.README.md").is_file());
}

#[test]
fn preprocessing_and_the_classifier_are_parts_of_the_model() {
    let out = tempdir().unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--method", "standard"]));
    let run = run_in(out.path());
    let folder = out.path().join("exported");
    succeeds(&mut export(&run, &folder, &["--preprocessing", "--classifier"]));
    let (graph, metadata) = model(&folder);
    check(&graph);
    assert_eq!(described(&graph.input), ["image Uint8 N,H,W,3"]);
    assert_eq!(described(&graph.output), ["features Float N,64", "logits Float N,10"]);
    let classes: Vec<String> = serde_json::from_str(&metadata["classes"]).unwrap();
    assert_eq!((classes.len(), &classes[2][..]), (10, "square"));
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let program = readme.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(program.contains("features, logits = ") && program.contains("\"image\""), "{program}");
    assert_eq!(program.lines().count(), 5);
    assert!(readme.contains("a score per class"), "{readme}");

    // A classifier that is in the weights needs no flag.
    succeeds(&mut export(&run, &folder, &[]));
    let (graph, _) = model(&folder);
    check(&graph);
    assert_eq!(described(&graph.output), ["features Float N,64", "logits Float N,10"]);
}

#[test]
fn the_embedding_of_metric_learning_is_an_output() {
    let out = tempdir().unwrap();
    let flags = ["--epochs", "1", "--method", "triplet", "--embedding-size", "5"];
    succeeds(tiny("pretrain", out.path()).args(flags));
    let folder = out.path().join("exported");
    succeeds(&mut export(&run_in(out.path()), &folder, &[]));
    let (graph, _) = model(&folder);
    check(&graph);
    assert_eq!(described(&graph.output), ["features Float N,64", "embedding Float N,5"]);
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(readme.contains("features, embedding = ") && readme.contains("`qare embed --features`"), "{readme}");
}

#[test]
fn wrong_calls_write_nothing() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = |name: &str| out.path().join(name);
    let foreign = file("foreign.safetensors");
    fs::write(&foreign, safetensors::serialize(loaded(&run.weights(1)).tensors(), None).unwrap()).unwrap();
    fs::create_dir(file("theirs")).unwrap();
    fs::write(file("theirs/README.md"), "mine").unwrap();
    fs::create_dir(file("model")).unwrap();
    fs::write(file("model/backbone.onnx"), "mine").unwrap();
    fs::write(file("file"), "mine").unwrap();

    let before = Snapshot::of(out.path());
    let of_run = |output: &str, flags: &[&str]| export(run.path(), &file(output), flags);
    let refused = [
        (of_run("x.safetensors", &[]), ["--output", ".onnx"]),
        (of_run("theirs", &[]), ["theirs/README.md", "was not written by an export"]),
        (of_run("model", &[]), ["model/backbone.onnx", "was not written by an export"]),
        (of_run("file", &[]), ["--output", "this is a file"]),
        (of_run("no/folder", &[]), ["--output", "no/folder"]),
        (export(run.path(), run.path(), &[]), ["--output", "folder of a run"]),
        (of_run("x", &["--classifier"]), ["no linear probe", "qare probe"]),
        (export(&foreign, &file("x"), &["--preprocessing"]), ["--preprocessing", "--trained-on"]),
        (export(&foreign, &file("x"), &["--classifier"]), ["no classifier", "qare probe"]),
        (of_run("x", &["--format", "tflite"]), ["--format", "safetensors, onnx, mpk"]),
        (of_run("x", &["--format", "mpk", "--preprocessing"]), ["--preprocessing", "--format onnx"]),
        (of_run("x", &["--format", "safetensors", "--classifier"]), ["--classifier", "--format onnx"]),
    ];
    for (mut call, words) in refused {
        fails(&mut call, 2, &words);
        before.assert_unchanged(out.path());
    }
    let flags = ["--preprocessing", "--trained-on", "cifar10"];
    succeeds(&mut export(&foreign, &file("x"), &flags));
    let (_, metadata) = model(&file("x"));
    assert!(!metadata.contains_key("method") && metadata["foreign"] == "true", "{metadata:?}");
}

/// A weights file, which stays in memory until the tests end.
fn loaded(file: &Path) -> safetensors::SafeTensors<'static> {
    safetensors::SafeTensors::deserialize(fs::read(file).unwrap().leak()).unwrap()
}
