//! Each method trains, logs its figures, resumes, and can be probed.

use std::path::Path;

use tempfile::tempdir;

use crate::driving::{EXACT, RunFolder, fails, qare, succeeds, tensors, text, tiny};

struct Case {
    method: &'static str,
    flags: &'static [&'static str],
    /// The method's columns in the log.
    columns: &'static str,
    /// Name and shape of a tensor that the method trains besides the backbone's.
    tensor: (&'static str, &'static str),
}

const CASES: [Case; 8] = [
    Case {
        method: "simclr",
        flags: &["--K", "3"],
        columns: "pairwise",
        tensor: ("head.linear2.weight", "F32[64, 256]"),
    },
    Case { method: "rotationnet", flags: &[], columns: "accuracy", tensor: ("head.weight", "F32[4, 64]") },
    Case {
        method: "deepinfomax",
        flags: &[],
        columns: "local,prior",
        tensor: ("loss_fn.local_d.c0.weight", "F32[256, 72, 1, 1]"),
    },
    Case {
        method: "deepcluster",
        flags: &["--clusters", "4"],
        columns: "accuracy",
        tensor: ("head.linear2.weight", "F32[4, 256]"),
    },
    Case {
        method: "relationnet",
        flags: &["--K", "3", "--aggregation", "max"],
        columns: "accuracy,positive,negative",
        tensor: ("relation.linear1.weight", "F32[256, 64]"),
    },
    Case { method: "standard", flags: &[], columns: "accuracy", tensor: ("classifier.weight", "F32[10, 64]") },
    Case {
        method: "triplet_qare",
        flags: &["--images-per-identity", "2"],
        columns: "pairwise,qare",
        tensor: ("embedding.weight", "F32[64, 64]"),
    },
    Case {
        method: "proxyanchor",
        flags: &["--images-per-identity", "2", "--train-images", "60"],
        columns: "pairwise",
        tensor: ("loss_fn.proxies", "F32[10, 64]"),
    },
];

fn trained(case: &Case, out: &Path, epochs: usize) -> RunFolder {
    let mut call = tiny("pretrain", out);
    succeeds(call.args(["--method", case.method, "--epochs", &epochs.to_string()]).args(case.flags));
    RunFolder(out.join(format!("{}_shapes_conv4_8_64_64_1.0_1.0", case.method)))
}

fn weights(case: &Case, run: &RunFolder, epoch: usize) -> std::path::PathBuf {
    run.file(&format!("{}_shapes_conv4_seed_1_epoch_{epoch}.safetensors", case.method))
}

#[test]
fn every_method_trains_its_backbone_and_its_own_networks() {
    for case in &CASES {
        let out = tempdir().unwrap();
        let run = trained(case, out.path(), 2);
        let header = run.read("log.csv").lines().next().unwrap().to_string();
        let figures = "rankme,alignment,uniformity,dead_dimensions,gradient_norm";
        let columns = format!("epoch,loss,score,{},{figures},learning_rate,views_per_second,seconds", case.columns);
        assert_eq!(header, columns);
        let (first, second) = (tensors(&weights(case, &run, 1)), tensors(&weights(case, &run, 2)));
        let (name, shape) = case.tensor;
        assert_eq!(first[name].0, shape, "{}", case.method);
        for name in [name, "backbone.layer1.conv.weight", "backbone.layer4.conv.weight"] {
            assert!(first[name] != second[name], "{}: {name} does not learn", case.method);
        }
        let printed = succeeds(&mut qare(&["probe", "--epochs", "2", "--checkpoint", text(run.path())]));
        assert!(printed.contains("linear probe test accuracy"), "{printed}");
    }
}

/// Not exact on `ndarray`, where some methods differ in the last digits between any two runs.
#[test]
fn every_method_resumes_to_the_same_weights() {
    for case in &CASES {
        let (whole_out, stopped_out) = (tempdir().unwrap(), tempdir().unwrap());
        let whole = trained(case, whole_out.path(), 2);
        let stopped = trained(case, stopped_out.path(), 2);
        let before = tensors(&weights(case, &stopped, 2));
        std::fs::remove_file(weights(case, &stopped, 2)).unwrap();
        let latest = stopped.read("latest.json").replace("epoch_2", "epoch_1").replace("\"epoch\": 2", "\"epoch\": 1");
        std::fs::write(stopped.file("latest.json"), latest).unwrap();
        let mut call = tiny("pretrain", stopped_out.path());
        succeeds(call.args(["--method", case.method, "--epochs", "2", "--resume"]).args(case.flags));
        let (after, never) = (tensors(&weights(case, &stopped, 2)), tensors(&weights(case, &whole, 2)));
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        if EXACT && cfg!(feature = "flex") {
            let different: Vec<&String> = never.keys().filter(|name| never[*name] != after[*name]).collect();
            assert!(different.is_empty(), "{}: {different:?}", case.method);
        }
    }
}

#[test]
fn a_supervised_run_is_tested_with_its_own_classifier() {
    let out = tempdir().unwrap();
    let run = trained(&CASES[5], out.path(), 1);
    let own = run.results()["supervised"].clone();
    let printed = succeeds(&mut qare(&["test", "--checkpoint", text(run.path())]));
    let accuracy = run.results()["test"]["accuracy"].as_f64().unwrap();
    assert_eq!(printed.lines().last().unwrap(), format!("test accuracy: {accuracy:.2} %"));
    assert_eq!(own["accuracy"].as_f64(), Some(accuracy));
    assert_eq!(own["images"], 1000);
}

#[test]
fn rates_of_the_supervised_run_drop_at_half_and_three_quarters() {
    let out = tempdir().unwrap();
    let run = trained(&CASES[5], out.path(), 4);
    let log = run.read("log.csv");
    let at = log.lines().next().unwrap().split(',').position(|column| column == "learning_rate").unwrap();
    let rates: Vec<f64> = log.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect();
    for (rate, expected) in rates.iter().zip([0.1, 0.1, 0.01, 0.001]) {
        assert!((rate - expected).abs() < 1e-12, "{rates:?}");
    }
}

#[test]
fn settings_that_do_not_suit_the_method_are_refused() {
    let out = tempdir().unwrap();
    let of = |method: &str| {
        let mut call = tiny("pretrain", out.path());
        call.args(["--epochs", "1", "--method", method]);
        call
    };
    fails(&mut of("deepcluster"), 2, &["100 clusters of 16 images", "--clusters"]);
    fails(of("relationnet").args(["--aggregation", "product"]), 2, &["product", "cat, sum, mean, max"]);
    fails(of("deepinfomax").args(["--data-size", "32"]), 2, &["batch_size"]);
    fails(of("standard").args(["--epoch_start", "3"]), 2, &["--resume"]);
}

#[test]
fn a_run_starts_from_another_methods_backbone() {
    let out = tempdir().unwrap();
    let rotated = trained(&CASES[1], out.path(), 1);
    let mut call = tiny("pretrain", out.path());
    succeeds(call.args([
        "--method",
        "simclr",
        "--epochs",
        "1",
        "--learning-rate",
        "1e-12",
        "--checkpoint",
        text(rotated.path()),
    ]));
    let start = tensors(&weights(&CASES[1], &rotated, 1));
    let end =
        tensors(&out.path().join("simclr_shapes_conv4_8_64_64_1.0_1.0/simclr_shapes_conv4_seed_1_epoch_1.safetensors"));
    // A head with the same names but another shape is ignored.
    let clustered = trained(&CASES[3], out.path(), 1);
    let mut call = tiny("pretrain", out.path());
    let printed = succeeds(call.args([
        "--method",
        "simclr",
        "--epochs",
        "1",
        "--id",
        "x",
        "--checkpoint",
        text(clustered.path()),
    ]));
    assert!(printed.contains("starting from the backbone of"), "{printed}");
    let value = |bytes: &[u8]| f32::from_le_bytes(bytes[..4].try_into().unwrap());
    let of = |tensors: &crate::driving::Tensors| value(&tensors["backbone.layer3.conv.weight"].1);
    assert!((of(&start) - of(&end)).abs() < 1e-6);
}
