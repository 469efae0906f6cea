//! A small training ends where twenty trainings ended: their loss, its terms, and the accuracy of a probe.

use std::fs;

use tempfile::tempdir;

use crate::driving::{RunFolder, qare, succeeds, text};

/// Mean and standard deviation over the seeds 1 to 20 of conv4, three epochs of `sparseclr_qare` on 4,000 images of `shapes`.
const LOSS: [(&str, f64, f64); 5] = [
    ("loss", 2.8834, 0.0129),
    ("pairwise", 1.7093, 0.0109),
    ("qare", 1.1741, 0.0028),
    ("rankme", 55.51, 0.53),
    ("uniformity", -3.7595, 0.0133),
];
const LINEAR_PROBE: (f64, f64) = (56.37, 4.72);
const KNN: (f64, f64) = (56.56, 5.58);

/// A figure of a further seed is off by more in one of 16,000 trainings, if figures are normally distributed.
const DEVIATIONS: f64 = 4.0;

#[track_caller]
fn within(name: &str, found: f64, (mean, deviation): (f64, f64)) {
    println!("{name}: {found}, {:+.1} standard deviations", (found - mean) / deviation);
    assert!((found - mean).abs() <= DEVIATIONS * deviation, "{name} is {found}, {mean} ± {deviation} expected");
}

#[test]
fn a_small_training_ends_where_it_did() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("small.toml");
    let small =
        "dataset = \"shapes\"\nmethod = \"sparseclr_qare\"\ntrain_images = 4000\nepochs = 3\nbatch_size = 128\n";
    fs::write(&recipe, small).unwrap();
    succeeds(qare(&["run", text(&recipe), "--no-tui", "--out"]).arg(out.path()));
    let run = RunFolder(out.path().join("sparseclr_qare_shapes_conv4_128_64_64_1.0_1.0"));
    let log = run.read("log.csv");
    let [columns, .., last] = &log.lines().map(|line| line.split(',').collect::<Vec<_>>()).collect::<Vec<_>>()[..]
    else {
        panic!("a log is expected: {log}")
    };
    for (name, mean, deviation) in LOSS {
        let column = columns.iter().position(|column| *column == name).unwrap();
        within(name, last[column].parse().unwrap(), (mean, deviation));
    }
    let results = run.results();
    within("linear probe", results["probe"]["test_accuracy"].as_f64().unwrap(), LINEAR_PROBE);
    within("kNN", results["knn"]["accuracy"].as_f64().unwrap(), KNN);
}
