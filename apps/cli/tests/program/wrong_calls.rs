//! Wrong calls: exit code 2, one message, and no file written.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::driving::{fails, qare, succeeds, text, tiny, tiny_folder, tiny_run};

/// Asserts that a folder is empty or does not exist.
#[track_caller]
fn assert_empty(folder: &Path) {
    assert!(!folder.exists() || fs::read_dir(folder).unwrap().next().is_none());
}

#[test]
fn unknown_names_are_errors_that_list_the_known_ones() {
    let out = tempdir().unwrap();
    for (flag, name, known) in [
        ("--dataset", "mnist", "cifar10"),
        ("--method", "moco", "sparseclr_qare"),
        ("--backbone", "vgg", "resnet56"),
        ("--backbone", "", "conv4"),
    ] {
        let call = ["pretrain", "--out", text(&out), flag, name];
        fails(&mut qare(&call), 2, &[flag, name, known]);
    }
    fails(&mut qare(&["pretrian"]), 2, &["pretrian", "pretrain"]);
    fails(&mut qare(&["pretrain", "--epoch", "3"]), 2, &["--epoch", "--epochs"]);
    assert_empty(out.path());
}

#[test]
fn a_call_without_a_command_shows_the_commands() {
    let output = qare(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("pretrain"));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let out = tempdir().unwrap();
    for (flag, value, name) in [
        ("--data_size", "0", "data_size"),
        ("--data_size", "1", "data_size"),
        ("--K", "0", "K"),
        ("--K", "1", "K"),
        ("--epochs", "0", "epochs"),
        ("--outter_fs", "0", "outter_fs"),
        ("--train-images", "1", "train_images"),
        ("--alpha", "nan", "alpha"),
        ("--beta", "inf", "beta"),
        ("--margin", "nan", "margin"),
        ("--temperature", "0", "temperature"),
        ("--learning-rate", "0", "learning_rate"),
        ("--learning-rate", "nan", "learning_rate"),
        ("--inner_fs", "128", "64 dimensions"),
        ("--id", "a/b", "id"),
        ("--id", "a\nb", "id"),
        ("--id", "", "id"),
        ("--epochs", "many", "--epochs"),
        ("--seed", "1.5", "--seed"),
        ("--data_size", "99999999999999999999", "--batch-size"),
        ("--seed", "-1", "expected a whole number that is not negative"),
        ("--epochs", "-3", "expected a whole number that is not negative"),
        ("--learning-rate", "-1", "learning_rate is -1: it must be a positive number"),
        ("--margin", "much", "expected a number"),
        ("--batch-size", "18446744073709551615", "too large: at most 9223372036854775807"),
        ("--gpus", "-1", "expected cpu, or a number"),
        ("--similarity-floor", "-1", "known are 1e-8 and none"),
        ("--max-pixels", "-1", "--max-pixels"),
    ] {
        fails(&mut qare(&["pretrain", "--dataset", "shapes", "--out", text(&out), flag, value]), 2, &[name]);
    }
    // clap accepts negative values, so the recipe's validation must refuse them.
    for flag in ["--alpha=-1", "--beta=-0.5", "--temperature=-1"] {
        let name = flag.trim_start_matches("--").split('=').next().unwrap();
        fails(&mut qare(&["pretrain", "--dataset", "shapes", "--out", text(&out), flag]), 2, &[name]);
    }
    assert_empty(out.path());
}

#[test]
fn numbers_too_large_for_a_machine_or_recipe_are_refused() {
    let out = tempdir().unwrap();
    // A recipe is TOML, whose integers are signed 64-bit numbers.
    for (flag, value) in
        [("--outter_fs", "9000000000000000000"), ("--K", "4000000000"), ("--seed", "9223372036854775808")]
    {
        let name = flag.trim_start_matches('-');
        fails(tiny("pretrain", out.path()).args(["--epochs", "1", flag, value]), 2, &[name]);
    }
    assert_empty(out.path());
}

#[test]
fn a_missing_dataset_is_an_error_that_says_what_to_do() {
    let out = tempdir().unwrap();
    let made = out.path().join("made");
    let call = || qare(&["pretrain", "--dataset", "cifar10", "--out", text(&made)]);
    fails(&mut call(), 2, &["cifar-10-batches-bin", "qare data fetch cifar10", "--data-dir DIR"]);
    let missing = out.path().join("missing");
    fails(call().arg("--data-dir").arg(&missing), 2, &["--data-dir", text(&missing), "no such folder"]);
    fails(call().arg("--data-dir").arg(out.path()), 2, &[text(&out), "cifar-10-batches-bin", "download"]);
    assert_empty(&made);
}

#[test]
fn files_and_folders_of_the_wrong_kind_are_named() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let sweep = run.path().parent().unwrap();
    fails(&mut qare(&["probe", "--checkpoint", text(sweep)]), 2, &["holds 1 of them", "such as", text(run.path())]);
    let record = out.path().join("backbone.mpk");
    succeeds(&mut qare(&["export", "--checkpoint", text(run.path()), "--output", text(&record)]));
    fails(&mut qare(&["probe", "--checkpoint", text(&record)]), 2, &["record", "give the run folder"]);
    fails(tiny("pretrain", &record).args(["--epochs", "1"]), 2, &["is not a folder", "--out", text(&record)]);
    fails(tiny("pretrain", &record.join("runs")).args(["--epochs", "1"]), 2, &["is not a folder", "--out"]);
    let features = format!("{}/", out.path().join("features.npy").display());
    fails(&mut qare(&["embed", "--checkpoint", text(run.path()), "--output", &features]), 2, &["--output", "a file"]);
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let (out, other) = (tempdir().unwrap(), tempdir().unwrap());
    let weights = tiny_run(out.path(), 1).weights(1);
    let mut call = tiny("pretrain", other.path());
    fails(
        call.args(["--epochs", "1", "--backbone", "resnet8", "--checkpoint", text(&weights)]),
        2,
        &["--checkpoint", text(&weights), "holds conv4 under `backbone`, not resnet8"],
    );
    assert_empty(other.path());
}

#[test]
fn training_starts_from_a_run_folder_as_well_as_from_a_file() {
    let (out, other) = (tempdir().unwrap(), tempdir().unwrap());
    let run = tiny_run(out.path(), 1);
    succeeds(tiny("pretrain", other.path()).args(["--epochs", "1", "--checkpoint", text(run.path())]));
    assert_eq!(tiny_folder(other.path()).latest_epoch(), Some(1));
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_name_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;

    let out = tempdir().unwrap();
    let folder = out.path().join(std::ffi::OsStr::from_bytes(b"run\xff"));
    fails(tiny("pretrain", &folder).args(["--epochs", "1"]), 2, &["UTF-8", "recipe"]);
    assert_empty(&folder);
}

#[test]
#[cfg(target_os = "linux")]
fn the_exit_code_is_right_when_the_message_cannot_be_written() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let status = qare(&["pretrain", "--dataset", "shapes", "--epochs", "0"]).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(2));
}
