//! The number of kernels that a training step launches on a GPU, each of which costs time whatever its size.

use std::fs;

use tempfile::tempdir;

use crate::driving::{qare, succeeds, text};

/// Has CubeCL print a line for each kernel that it launches.
const PRINT_LAUNCHES: &str = "[profiling]\nlogger = { level = \"minimal\", stdout = true }\n";
/// Steps of an epoch on 144 images.
const STEPS: usize = 9;

/// The launches of the third epoch, whose kernels are all tuned, for each of its steps. They include those of its validation.
fn launches(method: &str, flags: &[&str]) -> f64 {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("cubecl.toml"), PRINT_LAUNCHES).unwrap();
    let mut call = qare(&["pretrain", "--dataset", "shapes", "--train-images", "144", "--data-size", "16", "--no-tui"]);
    call.args(["--epochs", "3", "--method", method, "--out", text(&folder)]).args(flags);
    let printed = succeeds(call.current_dir(&folder));
    let of_epoch = printed.lines().skip_while(|line| !line.starts_with("epoch 2/3:"));
    let of_epoch = of_epoch.take_while(|line| !line.starts_with("epoch 3/3:"));
    of_epoch.filter(|line| line.contains("Executing")).count() as f64 / STEPS as f64
}

/// The limits are counts of the Vulkan driver, and 4 more for choices that tuning leaves open. Lower them when a change saves something.
#[test]
fn a_step_launches_no_more_kernels_than_it_did() {
    let frobenius = ["--set-term", "frobenius"];
    let figures = ["--figures", "none"];
    for (method, flags, most) in [
        ("simclr", &figures[..], 97.0),
        // One step of an epoch is a sample for the figures.
        ("simclr", &[][..], 100.0),
        ("sparseclr", &figures[..], 98.0),
        ("sparseclr_qare", &figures[..], 90.0),
        ("sparseclr_qare", &[frobenius, figures].concat()[..], 111.0),
    ] {
        let found = launches(method, flags);
        println!("{method} {flags:?}: {found} launches");
        // Far fewer would mean that they are not counted any more.
        assert!((most / 2.0..=most).contains(&found), "{method} {flags:?}: {found} launches, at most {most} expected");
    }
}
