//! An existing run is never lost by accident.

use std::fs;

use tempfile::tempdir;

use crate::driving::{
    EXACT, Snapshot, assert_nothing_half_written, assert_same_weights, fails, qare, succeeds, text, tiny, tiny_folder,
    tiny_run,
};

#[test]
fn an_existing_run_is_refused() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let words = ["holds a run already", "--resume", "--overwrite", "--id"];
    fails(tiny("pretrain", out.path()).args(["--epochs", "1"]), 2, &words);
    // Seed and number of epochs are not part of the folder's name. Another seed cannot resume the run.
    let words_on_others =
        ["holds a run already", "seed = 2 (the run has 1)", "nothing was changed; --overwrite", "--id"];
    fails(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", "2"]), 2, &words_on_others);
    let recipe = run.file("recipe.toml");
    fails(tiny("run", out.path()).arg(recipe), 2, &words);
    before.assert_unchanged(out.path());
}

#[test]
fn overwrite_replaces_a_run_as_a_whole() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 2);
    fs::write(run.file("notes.txt"), "irreplaceable").unwrap();
    for name in ["thoughts_after_epoch_1.txt", "download.zip.part"] {
        fs::write(run.file(name), "mine").unwrap();
    }
    fs::create_dir(run.file("plots")).unwrap();
    fs::write(run.file("plots/loss.svg"), "so is this").unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", "2", "--overwrite"]));
    assert_eq!((run.read("notes.txt"), run.read("plots/loss.svg")), ("irreplaceable".into(), "so is this".into()));
    assert_eq!((run.read("thoughts_after_epoch_1.txt"), run.read("download.zip.part")), ("mine".into(), "mine".into()));
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "nothing of the old run is left beside the new one");
    let weights: Vec<String> = run.names().into_iter().filter(|name| name.ends_with(".safetensors")).collect();
    assert_eq!(weights, ["sparseclr_qare_shapes_conv4_seed_2_epoch_1.safetensors"]);
    assert_eq!(run.log_without_times().len(), 2, "header and one epoch");
    assert_eq!(run.recipe()["seed"].as_integer(), Some(2));
}

#[test]
fn overwrite_keeps_the_old_run_when_the_new_one_cannot_start() {
    let out = tempdir().unwrap();
    tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let missing = out.path().join("missing.safetensors");
    let mut call = tiny("pretrain", out.path());
    fails(call.args(["--epochs", "1", "--overwrite", "--checkpoint"]).arg(missing), 2, &["missing.safetensors"]);
    fails(tiny("pretrain", out.path()).args(["--epochs", "0", "--overwrite"]), 2, &["epochs"]);
    before.assert_unchanged(out.path());
}

#[test]
fn overwrite_and_resume_exclude_each_other() {
    let out = tempdir().unwrap();
    fails(tiny("pretrain", out.path()).args(["--resume", "--overwrite"]), 2, &["--resume", "--overwrite"]);
}

#[test]
fn resume_without_a_run_starts_one() {
    let (one, other) = (tempdir().unwrap(), tempdir().unwrap());
    succeeds(tiny("pretrain", one.path()).args(["--epochs", "1", "--resume"]));
    assert_same_weights(&tiny_folder(one.path()).weights(1), &tiny_run(other.path(), 1).weights(1));
}

#[test]
fn resuming_a_complete_run_changes_nothing() {
    let out = tempdir().unwrap();
    tiny_run(out.path(), 1);
    let before = Snapshot::of(out.path());
    let printed = succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--resume"]));
    assert!(printed.contains("complete"), "{printed}");
    before.assert_unchanged(out.path());
}

#[test]
fn resume_with_other_settings_is_refused() {
    let out = tempdir().unwrap();
    tiny_run(out.path(), 2).go_back_to_epoch_1();
    let before = Snapshot::of(out.path());
    for (flag, value) in [("--seed", "2"), ("--epochs", "1"), ("--K", "3"), ("--learning-rate", "0.5")] {
        let mut call = tiny("pretrain", out.path());
        let name = flag.trim_start_matches("--").replace('-', "_");
        let length = if flag == "--epochs" { value } else { "2" };
        call.args(["--resume", "--epochs", length]);
        if flag != "--epochs" {
            call.args([flag, value]);
        }
        fails(&mut call, 2, &["cannot be resumed", &name, value]);
    }
    before.assert_unchanged(out.path());
}

#[test]
fn the_settings_that_differ_are_named() {
    let out = tempdir().unwrap();
    tiny_run(out.path(), 1);
    fails(tiny("pretrain", out.path()).args(["--epochs", "1", "--K", "3"]), 2, &["holds a run already", "K = 3"]);
}

#[test]
fn a_complete_run_is_extended_with_more_epochs() {
    let (out, whole) = (tempdir().unwrap(), tempdir().unwrap());
    let run = tiny_run(out.path(), 2);
    succeeds(&mut qare(&["probe", "--epochs", "1", "--checkpoint", text(run.path())]));
    let printed = succeeds(tiny("pretrain", out.path()).args(["--epochs", "5", "--resume"]));
    assert!(printed.contains("resuming after epoch 2 of 5"), "{printed}");
    let expected = tiny_run(whole.path(), 5);
    assert_same_weights(&run.weights(5), &expected.weights(5));
    assert!(!EXACT || run.log_without_times() == expected.log_without_times());
    assert!(run.weights(2).is_file(), "the end of the shorter run stays");
    assert_eq!(run.recipe()["epochs"].as_integer(), Some(5));
    // The results are of an earlier epoch than the run.
    fails(&mut qare(&["test", "--checkpoint", text(run.path())]), 2, &["is of epoch 2", "the run is at 5"]);
}

#[test]
fn a_start_that_was_killed_early_can_be_repeated() {
    for flags in [&[][..], &["--resume"], &["--overwrite"]] {
        let out = tempdir().unwrap();
        let run = tiny_folder(out.path());
        fs::create_dir(run.path()).unwrap();
        fs::write(run.file("recipe.toml.part"), "").unwrap();
        fs::write(run.file("recipe.toml.4711-0.part"), "epochs").unwrap();
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "1"]).args(flags));
        assert_eq!(run.latest_epoch(), Some(1));
        assert_nothing_half_written(out.path());
    }
}

#[test]
fn a_folder_that_is_no_run_is_kept() {
    let out = tempdir().unwrap();
    let folder = tiny_folder(out.path());
    fs::create_dir(folder.path()).unwrap();
    fs::write(folder.file("thesis.txt"), "irreplaceable").unwrap();
    let before = Snapshot::of(out.path());
    for flags in [&[][..], &["--resume"], &["--overwrite"]] {
        fails(tiny("pretrain", out.path()).args(["--epochs", "1"]).args(flags), 2, &["is not a run"]);
    }
    before.assert_unchanged(out.path());
}

#[test]
fn a_file_with_the_name_of_the_run_folder_is_kept() {
    let out = tempdir().unwrap();
    let name = tiny_folder(out.path());
    fs::write(name.path(), "irreplaceable").unwrap();
    let before = Snapshot::of(out.path());
    fails(tiny("pretrain", out.path()).args(["--epochs", "1", "--overwrite"]), 2, &["is not a run", "--out"]);
    fails(tiny("pretrain", name.path()).args(["--epochs", "1"]), 2, &["is not a folder", "--out"]);
    before.assert_unchanged(out.path());
}

#[test]
fn a_replacement_killed_half_way_keeps_foreign_files() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    fs::write(run.file("notes.txt"), "old").unwrap();
    let name = run.path().file_name().unwrap().to_str().unwrap();
    fs::rename(run.path(), out.path().join(format!(".{name}.replaced"))).unwrap();
    fs::create_dir(run.path()).unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--resume"]));
    assert_eq!(run.read("notes.txt"), "old");
    // Again, with a file of the same name in both folders.
    fs::create_dir(out.path().join(format!(".{name}.replaced"))).unwrap();
    fs::write(out.path().join(format!(".{name}.replaced/notes.txt")), "older").unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--overwrite"]));
    let kept: Vec<String> = run.names().into_iter().filter(|name| name.starts_with("notes.txt")).collect();
    let mut texts: Vec<String> = kept.iter().map(|name| run.read(name)).collect();
    texts.sort();
    assert_eq!(texts, ["old", "older"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
#[cfg(unix)]
fn overwrite_replaces_a_run_where_a_link_leads() {
    let (out, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
    let run = tiny_run(out.path(), 1);
    let real = elsewhere.path().join("run");
    fs::rename(run.path(), &real).unwrap();
    fs::write(real.join("notes.txt"), "mine").unwrap();
    std::os::unix::fs::symlink(&real, run.path()).unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", "2", "--overwrite"]));
    assert!(run.path().is_symlink() && real.join("notes.txt").is_file());
    assert_eq!(run.recipe()["seed"].as_integer(), Some(2));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}
