//! `--augment-on device`: views that the device computes are those of the host.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::driving::{
    EXACT, RunFolder, assert_same_weights, fails, first_device, qare, succeeds, text, tiny, tiny_folder, tiny_run,
};

const ON_DEVICE: [&str; 2] = ["--augment-on", "device"];

/// The losses of the epochs.
fn losses(run: &RunFolder) -> Vec<f64> {
    let log = run.read("log.csv");
    let column = log.lines().next().unwrap().split(',').position(|name| name == "loss").unwrap();
    log.lines().skip(1).map(|row| row.split(',').nth(column).unwrap().parse().unwrap()).collect()
}

/// Asserts that two runs have the same weights, or, on backends that do not repeat a run exactly, close losses.
#[track_caller]
fn assert_same_run(one: &RunFolder, other: &RunFolder, epoch: usize) {
    assert_same_weights(&one.weights(epoch), &other.weights(epoch));
    let (one, other) = (losses(one), losses(other));
    assert!(one.len() == epoch && other.len() == epoch, "{one:?}, {other:?}");
    for (one, other) in one.into_iter().zip(other) {
        assert!((one - other).abs() <= if EXACT { 0.0 } else { 5e-3 * one }, "{one}, {other}");
    }
}

fn trained_on_device(out: &Path, flags: &[&str]) -> RunFolder {
    succeeds(tiny("pretrain", out).args(["--epochs", "2"]).args(ON_DEVICE).args(flags));
    tiny_folder(out)
}

#[test]
fn training_is_the_same_as_with_views_of_the_host() {
    let (on_host, on_device) = (tempdir().unwrap(), tempdir().unwrap());
    let host = tiny_run(on_host.path(), 2);
    let device = trained_on_device(on_device.path(), &[]);
    assert_eq!(host.recipe()["augment_on"].as_str(), Some("host"));
    assert_eq!(device.recipe()["augment_on"].as_str(), Some("device"));
    assert_same_run(&device, &host, 2);
    for workers in ["0", "3"] {
        let out = tempdir().unwrap();
        assert_same_run(&trained_on_device(out.path(), &["--num-workers", workers]), &host, 2);
    }
}

#[test]
fn several_devices_compute_their_own_views() {
    let (on_host, on_device) = (tempdir().unwrap(), tempdir().unwrap());
    let gpus = [first_device(); 2].join(",");
    succeeds(tiny("pretrain", on_host.path()).args(["--epochs", "2", "--gpus", &gpus]));
    let device = trained_on_device(on_device.path(), &["--gpus", &gpus]);
    assert_same_run(&device, &tiny_folder(on_host.path()), 2);
}

#[test]
fn a_run_resumes_to_the_same_weights_on_either() {
    let whole_out = tempdir().unwrap();
    let whole = trained_on_device(whole_out.path(), &[]);
    for (first, second) in [("device", "device"), ("host", "device"), ("device", "host")] {
        let out = tempdir().unwrap();
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "2", "--augment-on", first]));
        let run = tiny_folder(out.path());
        run.go_back_to_epoch_1();
        let mut call = tiny("pretrain", out.path());
        let printed = succeeds(call.args(["--epochs", "2", "--resume", "--augment-on", second]));
        assert!(printed.contains("resuming after epoch 1 of 2"), "{printed}");
        assert_eq!(run.recipe()["augment_on"].as_str(), Some(second));
        assert_same_run(&run, &whole, 2);
    }
}

/// Images of several sizes are resized when they are loaded, so the device gets one size.
#[test]
fn images_of_several_sizes_train_as_on_the_host() {
    let (images, on_host, on_device) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    for (class, number) in (0..2).flat_map(|class| (0..10).map(move |number| (class, number))) {
        let folder = images.path().join(format!("class_{class}"));
        fs::create_dir_all(&folder).unwrap();
        let (width, height) = (20 + 3 * number, 41 - 2 * number);
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + number) as u8, (y * 11) as u8, (x * y + 90 * class) as u8]);
        image::RgbImage::from_fn(width, height, pixel).save(folder.join(format!("{number}.png"))).unwrap();
    }
    let trained = |out: &Path, place: &str| {
        let mut call = qare(&["pretrain", "--dataset", "folder", "--data-size", "8", "--epochs", "1", "--no-tui"]);
        call.args(["--image-size", "24", "--data-dir", text(images.path()), "--out", text(out), "--augment-on", place]);
        succeeds(&mut call);
        let run = fs::read_dir(out).unwrap().next().unwrap().unwrap().path();
        losses(&RunFolder(run))[0]
    };
    let (host, device) = (trained(on_host.path(), "host"), trained(on_device.path(), "device"));
    assert!((host - device).abs() <= if EXACT { 0.0 } else { 5e-3 * host }, "{host}, {device}");
}

/// Stages after training have views of their own.
#[test]
fn a_run_with_views_of_the_device_is_probed_fine_tuned_and_tested() {
    let out = tempdir().unwrap();
    let recipe = out.path().join("recipe.toml");
    fs::write(&recipe, "epochs = 1\naugment_on = \"device\"\n[probe]\nepochs = 1\n").unwrap();
    succeeds(tiny("run", out.path()).arg(&recipe));
    let run = tiny_folder(out.path());
    let mut call = qare(&["probe", "--finetune", "--augment", "--epochs", "1", "--no-tui", "--checkpoint"]);
    let printed = succeeds(call.arg(run.path()));
    assert!(printed.contains("fine-tuned test accuracy"), "{printed}");
    // The flag has no effect on a method without views.
    let mut call = tiny("pretrain", out.path());
    let printed = succeeds(call.args(["--method", "randomweights"]).args(ON_DEVICE));
    assert!(printed.contains("--augment-on has no effect on randomweights"), "{printed}");
}

#[test]
fn methods_with_contrastive_views_train() {
    for method in ["simclr", "simclr_qare", "sparseclr", "relationnet"] {
        let out = tempdir().unwrap();
        let mut call = tiny("pretrain", out.path());
        succeeds(call.args(["--epochs", "1", "--K", "3", "--method", method]).args(ON_DEVICE));
    }
}

#[test]
fn methods_with_other_views_are_refused_before_anything_is_written() {
    for method in ["rotationnet", "deepinfomax", "deepcluster", "standard"] {
        let out = tempdir().unwrap();
        let mut call = tiny("pretrain", out.path());
        let words = ["augment_on is device", "contrastive", "simclr_qare", "relationnet", method, "--augment-on host"];
        fails(call.args(["--method", method]).args(ON_DEVICE), 2, &words);
        // From a recipe as well.
        let recipe = out.path().join("recipe.toml");
        fs::write(&recipe, format!("method = \"{method}\"\naugment_on = \"device\"\n")).unwrap();
        fails(tiny("run", &out.path().join("runs")).arg(&recipe), 2, &words);
        assert!(!out.path().join("runs").exists());
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1, "only the recipe");
    }
}

#[test]
fn other_places_are_refused() {
    let out = tempdir().unwrap();
    let mut call = tiny("pretrain", out.path());
    fails(call.args(["--augment-on", "gpu"]), 2, &["--augment-on", "gpu", "host", "device"]);
    let recipe = out.path().join("recipe.toml");
    for (value, words) in [("\"cuda\"", ["cuda", "host or device"]), ("1", ["augment_on", "1"])] {
        fs::write(&recipe, format!("augment_on = {value}\n")).unwrap();
        fails(tiny("run", out.path()).arg(&recipe), 2, &words);
    }
}
