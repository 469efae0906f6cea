//! `--gpus`: several devices train as one does. The tests name the first device several times, so one device is enough.

use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::driving::{RunFolder, fails, first_device, qare, succeeds, tensors, text, tiny};

/// A value of `--gpus` that names the first device `count` times.
fn times(count: usize) -> String {
    vec![first_device(); count].join(",")
}

/// Trains with steps of 8, 8 and 4 images, so that the shares of three devices differ in size.
fn trained(method: &str, out: &Path, flags: &[&str]) -> RunFolder {
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "20", "--data-size", "8", "--no-tui"]);
    // Batches of four classes, of which each has images enough.
    let of_method: &[&str] = match method {
        "triplet_qare" | "arcface" => &["--images-per-identity", "2", "--train-images", "60"],
        _ => &[],
    };
    succeeds(call.args(["--method", method, "--clusters", "4", "--out", text(out)]).args(of_method).args(flags));
    folder(method, out)
}

fn folder(method: &str, out: &Path) -> RunFolder {
    RunFolder(out.join(format!("{method}_shapes_conv4_8_64_64_1.0_1.0")))
}

fn weights(method: &str, run: &RunFolder, epoch: usize) -> PathBuf {
    run.file(&format!("{method}_shapes_conv4_seed_1_epoch_{epoch}.safetensors"))
}

/// Asserts that weights agree to 3e-4.
///
/// A bias before a normalisation has a gradient of zero up to rounding. Adam takes steps of 1e-3 whatever the size of a gradient,
/// so this bias and the running mean behind it differ more.
#[track_caller]
fn assert_agree(one: &Path, other: &Path, what: &str) {
    let values = |bytes: &[u8]| -> Vec<f32> {
        bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
    };
    let (one, other) = (tensors(one), tensors(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, (form, bytes)) in &one {
        if form.starts_with("I64") {
            assert_eq!(bytes, &other[name].1, "{what}: {name}");
            continue;
        }
        let tolerance = match name.as_str() {
            "head.linear1.bias" | "head.bn1.running_mean" => 2e-2,
            _ => 3e-4,
        };
        for (one, other) in values(bytes).into_iter().zip(values(&other[name].1)) {
            assert!((one - other).abs() <= tolerance, "{what}: {name}: {one} and {other}");
        }
    }
}

#[test]
fn every_method_trains_on_several_devices() {
    for (method, own_negatives) in [
        ("simclr", false),
        ("simclr_qare", false),
        ("sparseclr", false),
        ("sparseclr_qare", false),
        ("rotationnet", false),
        ("deepinfomax", true),
        ("deepcluster", false),
        ("relationnet", true),
        ("standard", false),
        ("triplet_qare", false),
        ("arcface", false),
    ] {
        for gpus in [times(2), times(3)] {
            let out = tempdir().unwrap();
            let mut call = tiny("pretrain", out.path());
            call.args(["--method", method, "--clusters", "4", "--K", "3", "--epochs", "2", "--gpus", &gpus]);
            let output = call.output().unwrap();
            let printed = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success(), "{method}: {printed}");
            let note = printed.lines().find(|line| line.starts_with("note: "));
            assert_eq!(note.is_some(), own_negatives, "{printed}");
            assert!(!own_negatives || note.unwrap().contains(method), "{printed}");
            let run = folder(method, out.path());
            let (first, second) = (tensors(&weights(method, &run, 1)), tensors(&weights(method, &run, 2)));
            for name in first.keys().filter(|name| name.ends_with("conv.weight")) {
                assert!(first[name] != second[name], "{method}: {name} does not learn");
            }
            assert_eq!(run.results()["pretrain"]["devices"].as_array().unwrap().len(), gpus.split(',').count());
        }
    }
}

/// Asserts that several devices give the weights, loss, score and figures of one device.
#[track_caller]
fn assert_as_one_device(method: &str) {
    let out = tempdir().unwrap();
    // Figures of the representation may be of the first device's share.
    let plain = ["--epochs", "1", "--figures", "none"];
    let one = trained(method, &out.path().join("one"), &plain);
    for gpus in [times(2), times(3)] {
        let several = trained(method, &out.path().join(&gpus), &[&plain[..], &["--gpus", &gpus]].concat());
        let what = format!("{method} on {gpus}");
        assert_agree(&weights(method, &one, 1), &weights(method, &several, 1), &what);
        let numbers = |run: &RunFolder| -> Vec<f64> {
            let log = run.read("log.csv");
            let row: Vec<f64> = log.lines().nth(1).unwrap().split(',').map(|n| n.parse().unwrap()).collect();
            row[1..row.len() - 2].to_vec()
        };
        for (one, other) in numbers(&one).into_iter().zip(numbers(&several)) {
            assert!((one - other).abs() <= 1e-4 * one.abs().max(1.0), "{what}: {one} and {other}");
        }
    }
}

mod weights_are_those_of_one_device {
    use super::assert_as_one_device;

    #[test]
    fn simclr_qare() {
        assert_as_one_device("simclr_qare");
    }

    #[test]
    fn sparseclr_qare() {
        assert_as_one_device("sparseclr_qare");
    }

    #[test]
    fn rotationnet() {
        assert_as_one_device("rotationnet");
    }

    #[test]
    fn deepcluster() {
        assert_as_one_device("deepcluster");
    }

    #[test]
    fn standard() {
        assert_as_one_device("standard");
    }

    #[test]
    fn triplet_qare() {
        assert_as_one_device("triplet_qare");
    }

    #[test]
    fn arcface() {
        assert_as_one_device("arcface");
    }
}

#[test]
#[cfg(feature = "flex")]
fn the_same_devices_give_the_same_bits() {
    for method in ["sparseclr_qare", "relationnet"] {
        let out = tempdir().unwrap();
        let run = |name: &str, workers: &str| {
            let flags = ["--epochs", "2", "--K", "3", "--gpus", &times(2), "--num-workers", workers];
            tensors(&weights(method, &trained(method, &out.path().join(name), &flags), 2))
        };
        let (first, second) = (run("first", "1"), run("second", "3"));
        assert!(first == second, "{method}");
    }
}

#[test]
fn a_run_is_resumed_on_other_devices() {
    let method = "sparseclr_qare";
    let out = tempdir().unwrap();
    let whole = trained(method, &out.path().join("whole"), &["--epochs", "2"]);
    let (one, two) = (first_device(), times(2));
    for (name, first, then) in [("more", ["--gpu", one], ["--gpus", &two]), ("fewer", ["--gpus", &two], ["--gpu", one])]
    {
        let out = out.path().join(name);
        let stopped = trained(method, &out, &[&["--epochs", "2"], &first[..]].concat());
        stopped.go_back_to_epoch_1();
        let resumed = trained(method, &out, &[&["--epochs", "2", "--resume"], &then[..]].concat());
        assert_eq!(resumed.recipe().contains_key("gpus"), then[0] == "--gpus");
        assert_agree(&weights(method, &whole, 2), &weights(method, &resumed, 2), name);
        // Device-local statistics would change the training, so they are refused.
        let mut call = qare(&["pretrain", "--config", text(&resumed.file("recipe.toml")), "--resume", "--no-tui"]);
        fails(call.arg("--local-batch-norm"), 2, &["local_batch_norm = true"]);
    }
}

/// Where negatives or statistics are local to a device, another number of devices would change the training.
#[test]
fn a_run_with_device_local_statistics_is_resumed_on_as_many_devices() {
    for (method, flags) in [("relationnet", [].as_slice()), ("rotationnet", &["--local-batch-norm"])] {
        let out = tempdir().unwrap();
        let flags = [&["--epochs", "1"], flags].concat();
        let run = trained(method, out.path(), &[&flags[..], &["--gpus", &times(2)]].concat());
        let recipe = run.file("recipe.toml");
        let call = |flags: &[&str]| {
            let mut call = qare(&["pretrain", "--config", text(&recipe), "--resume", "--no-tui"]);
            call.args(flags);
            call
        };
        fails(&mut call(&["--gpus", &times(3)]), 2, &["gpus names 3 (the run has 2)"]);
        fails(&mut call(&["--device", first_device()]), 2, &["gpus names 1 (the run has 2)"]);
        succeeds(&mut call(&[]));
    }
}

#[test]
fn device_local_statistics_change_the_training() {
    let out = tempdir().unwrap();
    let flags = ["--epochs", "1", "--gpus", &times(2)];
    let whole = trained("rotationnet", &out.path().join("whole"), &flags);
    let mut call = tiny("pretrain", &out.path().join("local"));
    call.args(["--method", "rotationnet", "--train-images", "20", "--local_batch_norm"]).args(flags);
    let output = call.output().unwrap();
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("batch normalisation") && printed.contains("own 4 images"), "{printed}");
    let local = folder("rotationnet", &out.path().join("local"));
    let (whole, local) = (tensors(&weights("rotationnet", &whole, 1)), tensors(&weights("rotationnet", &local, 1)));
    assert!(whole["backbone.layer1.conv.weight"] != local["backbone.layer1.conv.weight"]);
    assert_eq!(whole["backbone.layer1.bn.num_batches_tracked"], local["backbone.layer1.bn.num_batches_tracked"]);
}

#[test]
fn a_recipe_names_its_devices_and_the_probe_works_on_the_first() {
    let out = tempdir().unwrap();
    let file = out.path().join("mine.toml");
    let device = first_device();
    // A device is a number or a quoted name in TOML.
    let value = device.parse::<usize>().map_or(format!("\"{device}\""), |number| number.to_string());
    std::fs::write(&file, format!("gpus = [{value}, {value}]\nepochs = 1\n[probe]\nepochs = 2\n")).unwrap();
    let printed = succeeds(tiny("run", out.path()).arg(&file));
    assert!(printed.lines().next().unwrap().ends_with(&format!(", devices {device}, {device}")), "{printed}");
    let run = folder("sparseclr_qare", out.path());
    assert!(run.results()["test"]["accuracy"].is_number());
    succeeds(&mut qare(&["probe", "--epochs", "1", "--gpu", device, "--checkpoint", text(run.path())]));
    succeeds(tiny("sweep", out.path()).arg(&file).args(["--seeds", "1", "--gpus", &times(3)]));
}

#[test]
fn training_that_diverges_on_several_devices_ends() {
    for method in ["sparseclr_qare", "rotationnet"] {
        let out = tempdir().unwrap();
        let mut call = tiny("pretrain", out.path());
        call.args(["--method", method, "--epochs", "30", "--learning-rate", "1e30", "--gpus", &times(2)]);
        fails(&mut call, 1, &["step", "no checkpoint yet"]);
    }
}

#[test]
fn impossible_devices_are_refused() {
    let out = tempdir().unwrap();
    let call = |flags: &[&str]| {
        let mut call = tiny("pretrain", out.path());
        call.args(["--epochs", "1"]).args(flags);
        call
    };
    fails(&mut call(&["--gpus", ""]), 2, &["--gpus"]);
    fails(&mut call(&["--gpus", "0,"]), 2, &["--gpus"]);
    fails(&mut call(&["--gpus", "0,one"]), 2, &["one", "--gpus"]);
    fails(&mut call(&["--gpus", "0,0", "--gpu", "0"]), 2, &["--gpus", "--device"]);
    fails(&mut call(&["--gpus", &times(9)]), 2, &["data_size is 8", "9 devices", "one image for each"]);
    let five = times(5);
    let five = ["--gpus", &five];
    let two_each = ["data_size is 8", "10 images", "two images for each"];
    fails(&mut call(&[&five[..], &["--method", "relationnet"]].concat()), 2, &two_each);
    fails(&mut call(&[&five[..], &["--local-batch-norm"]].concat()), 2, &two_each);
    fails(&mut call(&[&five[..], &["--train-images", "4"]].concat()), 2, &["4 image(s)", "on 5 devices"]);
    let file = out.path().join("mine.toml");
    for (text, words) in [("gpus = []", "gpus is empty"), ("device = 1\ngpus = [0, 1]", "one of the two")] {
        std::fs::write(&file, text).unwrap();
        fails(call(&[]).arg("--config").arg(&file), 2, &[words]);
    }
}
