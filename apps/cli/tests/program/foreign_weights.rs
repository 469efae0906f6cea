//! Weights from other programs: the backbone is found and named, or refused with the reason.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use tempfile::tempdir;

use crate::driving::{RunFolder, fails, qare, succeeds, tensors, text, tiny, tiny_run};

type Tensor = (String, Vec<usize>, Vec<u8>);

/// The tensors of a run's weights, without the metadata.
fn weights(run: &RunFolder) -> Vec<Tensor> {
    let bytes = fs::read(run.weights(1)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = file.tensors().into_iter().filter(|(_, tensor)| tensor.dtype() == Dtype::F32);
    floats.map(|(name, tensor)| (name, tensor.shape().to_vec(), tensor.data().to_vec())).collect()
}

fn write(path: &Path, tensors: &[Tensor], metadata: Option<HashMap<String, String>>) {
    let views = tensors
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    fs::write(path, safetensors::serialize(views, metadata).unwrap()).unwrap();
}

#[test]
fn a_backbone_is_found_under_other_names_and_left_out_tensors_are_named() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let renamed = |(name, shape, bytes): Tensor| {
        let name = match name.strip_prefix("backbone.") {
            Some(rest) => format!("model._orig_mod.encoder_q.{rest}"),
            None => format!("model.projector.{name}"),
        };
        (name, shape, bytes)
    };
    let foreign: Vec<Tensor> = weights(&run).into_iter().map(renamed).collect();
    let file = out.path().join("foreign.safetensors");
    write(&file, &foreign, None);

    let exported = out.path().join("backbone.safetensors");
    let printed = succeeds(&mut qare(&["export", "--checkpoint", text(&file), "--output", text(&exported)]));
    let first = printed.lines().next().unwrap();
    for words in [text(&file), "conv4 (20 tensors under `model._orig_mod.encoder_q`)", "left out: `model.projector`"] {
        assert!(first.contains(words), "`{words}` is not in: {first}");
    }
    for (name, shape, bytes) in &foreign {
        if let Some(name) = name.strip_prefix("model._orig_mod.encoder_q.") {
            let found = &tensors(&exported)[name];
            assert_eq!((&found.0, &found.1), (&format!("F32{shape:?}"), bytes), "{name}");
        }
    }
    let printed = succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(&file), "--dataset", "shapes"]));
    assert!(printed.lines().next().unwrap().contains("left out"), "{printed}");
    let mut call = tiny("pretrain", out.path());
    let printed = succeeds(call.args(["--epochs", "1", "--id", "x", "--checkpoint", text(&file)]));
    assert!(
        printed.contains("starting from the backbone of") && printed.contains("left out: `model.projector`"),
        "{printed}"
    );

    let wrong = ["export", "--checkpoint", text(&file), "--output", text(&exported)];
    let part: Vec<Tensor> = foreign.iter().filter(|(name, ..)| !name.contains("layer2.conv")).cloned().collect();
    write(&file, &part, None);
    fails(&mut qare(&wrong), 2, &[text(&file), "nearest is conv4", "`layer2.conv.weight` [16, 8, 3, 3] is missing"]);
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "1", "--id", "y", "--checkpoint", text(&file)]);
    fails(&mut call, 2, &["--checkpoint", text(&file), "layer2.conv.weight"]);
}

#[test]
fn weights_with_nan_or_infinity_are_refused_with_the_files_name() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let bytes = fs::read(run.weights(1)).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let whole = weights(&run);
    for (bad, tensor) in [(f32::NAN, "backbone.layer3.bn.running_var"), (f32::INFINITY, "backbone.layer1.conv.weight")]
    {
        let mut damaged = whole.clone();
        let place = damaged.iter_mut().find(|(name, ..)| name == tensor).unwrap();
        place.2[4..8].copy_from_slice(&bad.to_le_bytes());
        write(&run.weights(1), &damaged, header.metadata().clone());
        fails(&mut qare(&["probe", "--checkpoint", text(run.path())]), 1, &[text(&run.weights(1)), tensor, "NaN"]);
        let mut call = tiny("pretrain", out.path());
        call.args(["--epochs", "1", "--id", "x", "--checkpoint", text(run.path())]);
        fails(&mut call, 1, &[text(&run.weights(1)), tensor]);
    }
    // The method's networks are checked where they are needed.
    let mut damaged = whole.clone();
    damaged.iter_mut().find(|(name, ..)| name == "head.linear1.weight").unwrap().2[..4]
        .copy_from_slice(&f32::NAN.to_le_bytes());
    write(&run.weights(1), &damaged, header.metadata().clone());
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "1", "--id", "x", "--checkpoint", text(run.path())]);
    fails(&mut call, 1, &[text(&run.weights(1)), "head.linear1.weight"]);

    // The recipe in the file's metadata is checked too.
    let mut metadata = header.metadata().clone().unwrap();
    let origin = metadata["qare"].replace("alpha = 1.0", "alpha = nan");
    assert_ne!(origin, metadata["qare"]);
    metadata.insert("qare".to_string(), origin);
    write(&run.weights(1), &whole, Some(metadata));
    for command in ["probe", "test"] {
        let mut call = qare(&[command, "--checkpoint", text(&run.weights(1))]);
        fails(&mut call, 1, &[text(&run.weights(1)), "damaged", "alpha is NaN"]);
    }
}

#[test]
fn a_latest_epoch_without_an_optimizer_is_an_error() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 2);
    run.go_back_to_epoch_1();
    let latest = run.read("latest.json");
    let mut json: serde_json::Value = serde_json::from_str(&latest).unwrap();
    json["optimizer"] = serde_json::Value::Null;
    fs::write(run.file("latest.json"), json.to_string()).unwrap();
    let mut call = tiny("pretrain", out.path());
    call.args(["--epochs", "2", "--resume"]);
    fails(&mut call, 1, &[text(&run.file("latest.json")), "optimizer", "--checkpoint"]);
}
