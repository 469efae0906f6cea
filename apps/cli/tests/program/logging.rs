//! Figures while it trains, and the files that training is logged to.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use crate::driving::{EXACT, RunFolder, assert_same_weights, fails, qare, succeeds, text, tiny, tiny_folder};
#[cfg(unix)]
use crate::standstill::Standstill;

const FIGURES: &str = "rankme,alignment,uniformity,dead_dimensions,gradient_norm,probe_accuracy";

/// A run of two epochs with these flags, and what it printed.
fn run(out: &Path, flags: &[&str]) -> (RunFolder, String) {
    let said = succeeds(tiny("pretrain", out).args(["--epochs", "2"]).args(flags));
    (tiny_folder(out), said)
}

/// The lines of `steps.jsonl` without times.
fn steps(run: &RunFolder) -> Vec<Value> {
    let line = |line: &str| {
        let mut step: Value = serde_json::from_str(line).expect("JSON");
        let object = step.as_object_mut().expect("an object");
        object.remove("seconds").expect("seconds");
        object.remove("views_per_second").expect("views per second");
        step
    };
    run.read("steps.jsonl").lines().map(line).collect()
}

fn event_files(run: &RunFolder) -> usize {
    run.names().iter().filter(|name| name.starts_with("events.out.tfevents.")).count()
}

/// Figures and logs only look: weights, losses and the state of the optimizer are the same without them, bit for bit.
#[test]
fn figures_and_logs_do_not_change_a_run() {
    let (with, without) = (tempdir().unwrap(), tempdir().unwrap());
    let (with, said) = run(with.path(), &["--figures", "all", "--logger", "jsonl,tensorboard"]);
    let (without, said_without) = run(without.path(), &["--figures", "none"]);
    for epoch in [1, 2] {
        assert_same_weights(&with.weights(epoch), &without.weights(epoch));
        let bytes = |run: &RunFolder| fs::read(run.optimizer(epoch)).unwrap();
        assert!(!EXACT || bytes(&with) == bytes(&without), "the optimizer's state differs");
    }
    assert!(!EXACT || with.results()["pretrain"]["loss"] == without.results()["pretrain"]["loss"]);
    let header = |run: &RunFolder| run.read("log.csv").lines().next().unwrap().to_string();
    let (before, after) = ("epoch,loss,score,pairwise,qare,", "learning_rate,views_per_second,seconds");
    assert_eq!(header(&with), format!("{before}{FIGURES},{after}"));
    assert_eq!(header(&without), format!("{before}{after}"));
    for name in ["rankme ", "alignment ", "uniformity ", "dead dimensions ", "gradient norm ", "probe accuracy "] {
        assert!(said.contains(name) && !said_without.contains(name), "{name}: {said}");
    }
    // The plain line shows what the log has.
    let log = with.read("log.csv");
    let rank: f64 = log.lines().nth(2).unwrap().split(',').nth(5).unwrap().parse().unwrap();
    assert!(said.contains(&format!("rankme {rank:.1},")), "{rank}: {said}");
    assert!((1.0..=64.0).contains(&rank), "{rank}");
}

/// Each step is logged once: a resumed run has the lines of an uninterrupted one.
#[test]
fn a_resumed_run_logs_each_step_once() {
    let (whole, stopped) = (tempdir().unwrap(), tempdir().unwrap());
    let flags = ["--logger", "jsonl", "--logger", "tensorboard", "--figures", "all"];
    let (whole, _) = run(whole.path(), &flags);
    let (resumed, _) = run(stopped.path(), &flags);
    assert_eq!(event_files(&resumed), 1);
    resumed.go_back_to_epoch_1();
    // The file has the lines of the second epoch, as after a kill.
    fs::write(resumed.file("steps.jsonl"), resumed.read("steps.jsonl") + "{\"step\":").unwrap();
    succeeds(tiny("pretrain", stopped.path()).args(["--epochs", "2", "--resume"]).args(flags));
    assert_eq!(event_files(&resumed), 2);
    let numbers = |run: &RunFolder| steps(run).iter().map(|step| step["step"].as_u64().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers(&resumed), numbers(&whole));
    assert_eq!(numbers(&whole), (1..=numbers(&whole).len() as u64).collect::<Vec<_>>());
    assert!(!EXACT || steps(&resumed) == steps(&whole));
    assert!(!EXACT || resumed.log_without_times() == whole.log_without_times());
    let first = &steps(&whole)[0];
    for name in ["epoch", "loss", "pairwise", "qare", "rankme", "gradient_norm", "learning_rate"] {
        assert!(first[name].is_number(), "{name}: {first}");
    }

    // A new run in the folder starts new files.
    succeeds(tiny("pretrain", stopped.path()).args(["--epochs", "1", "--overwrite"]));
    let left = resumed.names();
    let of_logs = |name: &&String| name.contains("tfevents") || name.contains("projector") || name.contains("jsonl");
    assert_eq!(left.iter().find(of_logs), None);
}

/// Runs of earlier releases have no figures in their logs.
#[test]
fn a_run_without_figures_resumes_with_them() {
    let out = tempdir().unwrap();
    let (run, _) = run(out.path(), &["--figures", "none"]);
    run.go_back_to_epoch_1();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "2", "--resume", "--figures", "rankme"]));
    let log = run.read("log.csv");
    let column = |line: usize| log.lines().nth(line).unwrap().split(',').nth(5).unwrap().to_string();
    assert_eq!((column(0), column(1)), ("rankme".to_string(), String::new()));
    assert!(column(2).parse::<f64>().unwrap() >= 1.0, "{log}");
    let page = out.path().join("page.html");
    succeeds(&mut qare(&["report", text(run.path()), "--out", text(&page), "--no-images"]));
    assert!(fs::read_to_string(page).unwrap().contains("rankme"), "the report draws every column");
}

/// With margin 0, negatives do not repel each other, and all images get the same embedding. The program says so once, and not again after
/// a resumption.
#[test]
fn a_collapsed_representation_is_said_once() {
    let out = tempdir().unwrap();
    let call = |epochs: &str, more: &[&str]| {
        let mut call =
            qare(&["pretrain", "--dataset", "shapes", "--train-images", "640", "--data-size", "32", "--no-tui"]);
        call.args(["--method", "contrastive", "--margin", "0", "--learning-rate", "0.01", "--epochs", epochs]);
        let output = call.args(["--out", text(&out.path())]).args(more).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{said}");
        said.matches("collapsed?").count()
    };
    assert_eq!(call("4", &[]), 1);
    assert_eq!(call("5", &["--resume"]), 0);
    assert_eq!(call("4", &["--overwrite", "--figures", "none"]), 0);
}

#[test]
fn the_projector_has_the_test_images() {
    let out = tempdir().unwrap();
    let (run, _) = run(out.path(), &["--logger", "tensorboard"]);
    let vectors = run.read("projector_vectors.tsv");
    assert!(vectors.lines().all(|line| line.split('\t').count() == 64));
    let count = vectors.lines().count();
    assert_eq!(run.read("projector_metadata.tsv").lines().count(), count + 1);
    let config = run.read("projector_config.pbtxt");
    assert!(config.contains(&format!("tensor_shape: {count}")), "{config}");
    let sprite = image::open(run.file("projector_sprite.png")).unwrap();
    assert_eq!(sprite.width() as usize, 32 * (count as f64).sqrt().ceil() as usize);
}

/// A process that is killed after the last epoch leaves logs without an end. Resuming writes it, once.
#[test]
fn logs_get_their_end_after_a_kill() {
    let out = tempdir().unwrap();
    let flags = ["--logger", "tensorboard"];
    let (run, _) = run(out.path(), &flags);
    let resume = || succeeds(tiny("pretrain", out.path()).args(["--epochs", "2", "--resume"]).args(flags));
    assert!(resume().contains("is complete: nothing to train"));
    let files = ["projector_config.pbtxt", "projector_vectors.tsv", "projector_metadata.tsv", "projector_sprite.png"];
    let read = || files.map(|name| fs::read(run.file(name)).unwrap());
    let (written, log, latest) = (read(), run.read("log.csv"), run.read("latest.json"));
    // The file that names the others is written last, so it is missing after a kill at any time.
    for left in 0..files.len() {
        files[..files.len() - left].iter().for_each(|name| fs::remove_file(run.file(name)).unwrap());
        let before = event_files(&run);
        assert!(resume().contains("is trained: ending its logs"));
        assert!(!EXACT || read() == written, "with {left} files left");
        assert_eq!(event_files(&run), before + 1);
        assert_eq!((run.read("log.csv"), run.read("latest.json")), (log.clone(), latest.clone()));
    }
    assert!(resume().contains("is complete: nothing to train"));

    // The state of the optimizer is not needed, and a run without the end of its logs is complete all the same.
    let [config, vectors] = [0, 1].map(|index: usize| run.file(files[index]));
    fs::remove_file(run.optimizer(2)).unwrap();
    fs::remove_file(&config).unwrap();
    assert!(resume().contains("is trained: ending its logs"));
    fs::remove_file(&config).unwrap();
    fs::remove_file(&vectors).unwrap();
    fs::create_dir(&vectors).unwrap();
    let output = tiny("pretrain", out.path()).args(["--epochs", "2", "--resume"]).args(flags).output().unwrap();
    let warned = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && warned.contains("the logs lack their end"), "{warned}");
    fs::remove_dir(&vectors).unwrap();
    resume();
    assert!(config.is_file());

    // A logger that a complete run did not have does not make it incomplete.
    fs::remove_file(&config).unwrap();
    let events = run.names().into_iter().filter(|name| name.contains("tfevents"));
    events.for_each(|name| fs::remove_file(run.file(&name)).unwrap());
    assert!(resume().contains("is complete: nothing to train"));
}

/// An extended run shows no embeddings of its earlier weights: neither while it trains, nor if it trains without the logger.
#[test]
#[cfg(unix)]
fn an_extended_run_has_no_old_projector() {
    let out = tempdir().unwrap();
    let flags = ["--logger", "tensorboard"];
    let (run, _) = run(out.path(), &flags);
    let config = run.file("projector_config.pbtxt");
    let extended = |epochs: &str| {
        let mut call = tiny("pretrain", out.path());
        call.args(["--epochs", epochs, "--resume"]);
        call
    };
    succeeds(&mut extended("3"));
    assert!(!config.exists());
    assert!(succeeds(extended("3").args(flags)).contains("is trained: ending its logs"));
    assert!(config.is_file());

    let mut call = extended("100000");
    // It comes as far as the lines of a few epochs fit.
    let mut killed = Standstill::start(call.args(flags), 2000);
    killed.wait_for(|| run.latest_epoch() >= Some(4));
    killed.kill();
    assert!(!config.exists());
}

#[test]
fn a_sweep_ends_logs_after_a_kill() {
    let out = tempdir().unwrap();
    let sweep = || {
        let mut call = qare(&["sweep", "--methods", "simclr", "--seeds", "1", "--dataset", "shapes", "--no-tui"]);
        call.args(["--train-images", "16", "--test-images", "50", "--data-size", "8", "--epochs", "1"]);
        succeeds(call.args(["--logger", "tensorboard", "--out", text(&out)]))
    };
    sweep();
    let run = RunFolder(out.path().join("simclr_shapes_conv4_8_64_64_1.0_1.0_seed_1"));
    fs::remove_file(run.file("projector_config.pbtxt")).unwrap();
    let written = || fs::metadata(run.file("results.json")).unwrap().modified().unwrap();
    let before = written();
    assert!(sweep().contains("is trained: ending its logs"));
    assert_eq!(written(), before, "the run is not probed again");
    assert!(run.file("projector_config.pbtxt").is_file());
    assert!(sweep().contains("already complete"));
}

#[test]
fn unknown_figures_and_loggers_are_wrong_calls() {
    let out = tempdir().unwrap();
    fails(tiny("pretrain", out.path()).args(["--figures", "rank"]), 2, &["unknown figure `rank`", "rankme"]);
    fails(tiny("pretrain", out.path()).args(["--logger", "csv"]), 2, &["log.csv is always written", "tensorboard"]);
}
