//! `qare sweep`: several seeds and methods, and their tables.

use std::fs;

use tempfile::tempdir;

use crate::driving::{RunFolder, fails, qare, succeeds, text};

#[test]
fn a_sweep_runs_what_is_missing_and_tabulates_all() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("small.toml");
    let settings =
        "dataset = \"shapes\"\ntrain_images = 16\ntest_images = 50\ndata_size = 8\nepochs = 2\n[probe]\nepochs = 2\n";
    fs::write(&recipe, settings).unwrap();
    let sweep = |methods: &str, seeds: &str| {
        succeeds(&mut qare(&[
            "sweep",
            text(&recipe),
            "--methods",
            methods,
            "--seeds",
            seeds,
            "--no-tui",
            "--out",
            text(&out),
        ]))
    };
    sweep("simclr", "1");
    let folder = |method: &str, seed: u64| {
        RunFolder(out.path().join(format!("{method}_shapes_conv4_8_64_64_1.0_1.0_seed_{seed}")))
    };
    let first = folder("simclr", 1).read("log.csv");
    // A repeated seed counts once, and the complete run is skipped.
    let printed = sweep("simclr,randomweights", "1,2,1");
    assert_eq!(folder("simclr", 1).read("log.csv"), first, "what is there is not run again");
    assert_eq!(printed.matches("already complete").count(), 1, "{printed}");

    let accuracy = |seed| folder("simclr", seed).results()["probe"]["test_accuracy"].as_f64().unwrap();
    let read = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
    let mean = (accuracy(1) + accuracy(2)) / 2.0;
    let table = read("sweep_small.md");
    // Standard deviations are shown from three seeds on.
    assert!(table.contains(&format!("| `simclr` | shapes | conv4 | 8 | 2 | {mean:.2} |")), "{table}");
    assert!(table.contains(&format!("| `simclr` | 2 | {:.2} |", accuracy(2))), "{table}");
    assert!(printed.contains(&table), "{printed}");
    let csv = read("sweep_small.csv");
    assert_eq!(csv.lines().count(), 3);
    assert!(csv.lines().nth(1).unwrap().starts_with(&format!("simclr,2,{mean:.4},,")), "{csv}");
    assert_eq!(read("sweep_small_runs.csv").lines().count(), 5);

    sweep("simclr", "1,2,3");
    let values = [1, 2, 3].map(accuracy);
    let mean = values.iter().sum::<f64>() / 3.0;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!(read("sweep_small.md").contains(&format!("| {mean:.2} ± {deviation:.2} |")));
    assert!(read("sweep_small.tex").contains(&format!("${mean:.2} \\pm {deviation:.2}$")));

    let printed = sweep("simclr,randomweights", "2,1");
    assert_eq!(printed.matches("already complete").count(), 4, "{printed}");

    // With other settings of the probe, the runs are trained but must be probed again.
    fs::write(&recipe, settings.replace("[probe]\nepochs = 2", "[probe]\nepochs = 3")).unwrap();
    let printed = sweep("simclr,randomweights", "1,2");
    assert!(!printed.contains("already complete"), "{printed}");
    assert_eq!(printed.matches("is complete").count(), 0, "{printed}");
    assert_eq!(folder("simclr", 1).read("log.csv"), first);
    assert_eq!(folder("simclr", 2).results()["probe"]["epochs"], 3);
}

#[test]
fn a_sweep_varies_settings() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("small.toml");
    let settings = "dataset = \"shapes\"\ntrain_images = 16\ntest_images = 50\nbatch_size = 8\nbeta = 0.5\nepochs = 1\n[probe]\nepochs = 1\n";
    fs::write(&recipe, settings).unwrap();
    let sweep = |arguments: &[&str]| {
        let mut call = qare(&[
            "sweep",
            text(&recipe),
            "--seeds",
            "1,2",
            "--methods",
            "simclr,simclr_qare,randomweights",
            "--no-tui",
        ]);
        call.args(arguments).args(["--out", text(&out)]);
        call
    };
    let printed = succeeds(&mut sweep(&["--vary", "beta=0,0.5,0.50", "--vary", "K=2,3"]));
    // simclr has no set term, so that its runs differ in K alone, and untrained backbones in neither.
    assert!(
        printed.contains("[1/14] simclr, K 2, seed 1:")
            && printed.contains("[12/14] simclr_qare, beta 0.5, K 3, seed 2:")
            && printed.contains("[14/14] randomweights, seed 2:"),
        "{printed}"
    );
    let folder = |name: &str| RunFolder(out.path().join(format!("{name}_seed_1")));
    let start = "shapes_conv4_8_64_64_1.0";
    for (name, beta, views) in [
        (format!("simclr_{start}_0.5_K_2"), 0.5, 2),
        (format!("simclr_{start}_0.5_K_3"), 0.5, 3),
        // The name has beta anyway.
        (format!("simclr_qare_{start}_0.0_K_2"), 0.0, 2),
        (format!("simclr_qare_{start}_0.5_K_3"), 0.5, 3),
        (format!("randomweights_{start}_0.5"), 0.5, 2),
    ] {
        let recipe: toml::Table = folder(&name).read("recipe.toml").parse().unwrap();
        assert_eq!((recipe["beta"].as_float(), recipe["K"].as_integer()), (Some(beta), Some(views)), "{name}");
    }
    let read = |name: &str| fs::read_to_string(out.path().join(name)).unwrap();
    let table = read("sweep_small_beta_K.md");
    assert!(
        table.contains("| `simclr` | shapes | conv4 | 8 | 1 | – | 3 |")
            && table.contains("| `simclr_qare` | shapes | conv4 | 8 | 1 | 0.0 | 2 |"),
        "{table}"
    );
    assert_eq!(read("sweep_small_beta_K_runs.csv").lines().count(), 15);
    let plot = read("sweep_small_beta_K_linear_probe.svg");
    // Two seeds at each of two values of beta, of simclr and simclr_qare with two values of K each, and of randomweights.
    assert_eq!(plot.matches("<circle").count(), 20, "{plot}");
    assert!(plot.contains(">simclr_qare, K 3<") && out.path().join("sweep_small_beta_K_knn.svg").exists());

    // A later sweep takes the runs that are there, however values are written and settings are ordered.
    let printed = succeeds(&mut sweep(&["--vary", "views=3,+2", "--vary", "beta=5e-1,0.0"]));
    assert_eq!(printed.matches("already complete").count(), 14, "{printed}");

    for (arguments, message) in [
        (vec!["--vary", "beta"], "beta=0,0.5,1"),
        (vec!["--vary", "betta=1,2"], "betta"),
        (vec!["--vary", "batch_size=8,x"], "batch_size"),
        (vec!["--vary", "batch_size=8,1"], "at least 2"),
        (vec!["--vary", "seed=1,2"], "--seeds"),
        (vec!["--vary", "beta=1,2", "--vary", "beta=3"], "another --vary"),
        (vec!["--vary", "clusters=1,2"], "none of the methods uses it"),
        (vec!["--vary", "beta=1,2", "--beta", "3"], "another flag"),
    ] {
        fails(&mut sweep(&arguments), 2, &[message]);
    }
}

#[test]
fn a_failed_run_does_not_stop_the_sweep() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("small.toml");
    fs::write(
        &recipe,
        "dataset = \"shapes\"\ntrain_images = 16\ntest_images = 50\ndata_size = 8\nepochs = 1\n[probe]\nepochs = 1\n",
    )
    .unwrap();
    // deepcluster fails: 16 images are too few for 100 clusters.
    let mut call = qare(&["sweep", text(&recipe), "--methods", "deepcluster,simclr", "--seeds", "1", "--no-tui"]);
    let output = call.args(["--out", text(&out)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        message.contains("100 clusters of 16 images") && message.contains("1 of 2 runs failed: deepcluster, seed 1"),
        "{message}"
    );
    let table = fs::read_to_string(out.path().join("sweep_small.md")).unwrap();
    assert!(table.contains("`simclr`") && !table.contains("deepcluster"), "{table}");
}

#[test]
fn wrong_sweeps_are_refused_before_anything_is_run() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("small.toml");
    fs::write(&recipe, "dataset = \"shapes\"\n").unwrap();
    let call = |arguments: &[&str]| {
        let mut call = qare(&["sweep", text(&recipe), "--out", text(&out)]);
        call.args(arguments);
        call
    };
    fails(&mut call(&["--seeds", "1,x"]), 2, &["--seeds"]);
    fails(&mut call(&["--seeds", "1", "--methods", "simclr,moco"]), 2, &["moco"]);
    fails(&mut call(&["--seeds", "1", "--seed", "2"]), 2, &["--seeds"]);
    fails(&mut call(&[]), 2, &["--seeds"]);
    fails(&mut call(&["--seeds", "1", "--config", text(&recipe)]), 2, &["--config"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn a_sweep_needs_no_recipe() {
    let out = tempdir().unwrap();
    let flags = "sweep --seeds 1 --methods randomweights --dataset shapes --train-images 30 --test-images 20 --no-tui";
    succeeds(qare(&flags.split(' ').collect::<Vec<_>>()).args(["--out", text(&out)]));
    let table = fs::read_to_string(out.path().join("sweep_shapes_conv4.md")).unwrap();
    assert!(table.contains("`randomweights`"), "{table}");
}
