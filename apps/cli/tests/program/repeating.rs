//! The weights depend on recipe and seed alone.

use tempfile::tempdir;

use crate::driving::{EXACT, assert_same_weights, succeeds, tensors, tiny, tiny_folder, tiny_run};

#[test]
fn weights_do_not_depend_on_the_number_of_workers() {
    let reference = tempdir().unwrap();
    let expected = tiny_run(reference.path(), 2);
    for workers in ["0", "3"] {
        let out = tempdir().unwrap();
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "2", "--num_workers", workers]));
        let run = tiny_folder(out.path());
        assert_same_weights(&run.weights(2), &expected.weights(2));
        if EXACT {
            assert_eq!(run.log_without_times(), expected.log_without_times(), "{workers} workers");
        }
    }
}

#[test]
fn another_seed_gives_other_weights() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let first = tensors(&tiny_run(one.path(), 1).weights(1));
    succeeds(tiny("pretrain", two.path()).args(["--epochs", "1", "--seed", "2"]));
    let file = tiny_folder(two.path()).file("sparseclr_qare_shapes_conv4_seed_2_epoch_1.safetensors");
    let second = tensors(&file);
    for name in first.keys().filter(|name| !name.ends_with("num_batches_tracked")) {
        assert!(first[name] != second[name], "{name}");
    }
}

#[test]
fn the_largest_seed_is_accepted() {
    let out = tempdir().unwrap();
    let seed = i64::MAX.to_string();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", &seed]));
    let run = tiny_folder(out.path());
    // Resuming reads the seed back from the recipe.
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--seed", &seed, "--resume"]));
    assert_eq!(run.latest_epoch(), Some(1));
}

#[test]
fn the_probe_is_reproducible() {
    let out = tempdir().unwrap();
    let run = tiny_run(out.path(), 1);
    let probe = |workers| {
        let mut call = crate::driving::qare(&["probe", "--epochs", "2", "--num_workers", workers, "--checkpoint"]);
        succeeds(call.arg(run.path()));
        tensors(&run.file("sparseclr_qare_shapes_conv4_seed_1_epoch_1_linear_evaluation.safetensors"))
    };
    let (first, second) = (probe("1"), probe("3"));
    assert!(!EXACT || first == second);
}
