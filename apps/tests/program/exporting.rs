//! Backbones and features for use elsewhere.

use std::fs;

use safetensors::SafeTensors;
use tempfile::tempdir;

use crate::driving::{fails, qare, succeeds, tensors, text, tiny_run};
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
    let wrong = out.path().join("backbone.onnx");
    fails(
        &mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&wrong)]),
        2,
        &[".safetensors", ".mpk"],
    );
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

    // All of it is the one part, then the other.
    succeeds(&mut call("all.npy", "all"));
    let all = fs::read(out.path().join("all.npy")).unwrap();
    assert_eq!(all.len(), 128 + 33 * 64 * 4);
    assert_eq!(all[128 + 24 * 64 * 4..], npy[128..]);
    assert_eq!(fs::read_to_string(out.path().join("all.files.txt")).unwrap().lines().count(), 33);

    fails(&mut call("x.csv", "train"), 2, &[".npy", ".safetensors"]);
    fails(&mut call("x.npy", "unlabeled"), 2, &["no unlabelled images"]);
}

#[test]
fn features_of_the_runs_own_dataset_are_those_the_probe_sees() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let file = out.path().join("test.npy");
    let said =
        succeeds(&mut qare(&["embed", "--checkpoint", text(run.path()), "--split", "test", "--output", text(&file)]));
    assert!(said.contains("1000 images (64 dimensions)"), "{said}");
}
