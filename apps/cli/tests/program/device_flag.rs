//! `qare devices` and `--device`.

use tempfile::tempdir;

use crate::driving::{fails, first_device, qare, succeeds, tiny};

#[test]
fn a_missing_device_is_an_error_before_anything_is_written() {
    let out = tempdir().unwrap();
    fails(tiny("pretrain", out.path()).args(["--device", "71"]), 2, &["--device 71", "0"]);
    fails(tiny("pretrain", out.path()).args(["--gpu", "71"]), 2, &["--device 71"]);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    let wrong = tiny("pretrain", out.path()).args(["--device", "tpu"]).output().unwrap();
    let message = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(2) && message.contains("expected cpu, or a number"), "{message}");
}

#[test]
fn devices_are_listed_as_the_flag_calls_them() {
    let printed = succeeds(&mut qare(&["devices"]));
    assert!(printed.starts_with("backend "), "{printed}");
    let out = tempdir().unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--device", first_device()]));
}

#[cfg(any(feature = "flex", feature = "ndarray"))]
#[test]
fn the_cpu_has_two_names_and_old_recipes_a_third() {
    for (key, value) in [("device", "\"cpu\""), ("device", "0"), ("gpu", "0")] {
        let out = tempdir().unwrap();
        let recipe = out.path().join("recipe.toml");
        std::fs::write(&recipe, format!("{key} = {value}\n")).unwrap();
        succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--config"]).arg(&recipe));
        let kept = crate::driving::tiny_folder(out.path()).recipe();
        assert_eq!(kept["device"].to_string(), value, "{key} = {value}");
        // A flag overrides the recipe under either key.
        let mut again = tiny("pretrain", out.path());
        fails(again.args(["--overwrite", "--device", "1", "--config"]).arg(&recipe), 2, &["--device 1"]);
        assert_eq!(crate::driving::tiny_folder(out.path()).latest_epoch(), Some(1), "the run is gone");
    }
}

/// Simulates a machine without a driver.
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
#[test]
fn without_a_driver_the_error_says_which_to_install() {
    let out = tempdir().unwrap();
    let without = |mut call: std::process::Command| {
        for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
            call.env(variable, "/nonexistent.json");
        }
        call
    };
    let words = ["found no device", "Vulkan loader", "mesa-vulkan-drivers"];
    fails(&mut without(qare(&["devices"])), 1, &words);
    fails(&mut without(tiny("pretrain", out.path())), 1, &words);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

/// A run may come from a machine with more devices.
#[test]
fn a_probe_does_not_need_the_runs_device() {
    let out = tempdir().unwrap();
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--device", first_device()]));
    let run = crate::driving::tiny_folder(out.path());
    let recipe = run.read("recipe.toml");
    let mine: toml::Table = recipe.parse().unwrap();
    let elsewhere = recipe.replace(&format!("device = {}", mine["device"]), "device = 5");
    assert_ne!(recipe, elsewhere);
    std::fs::write(run.file("recipe.toml"), elsewhere).unwrap();
    let call = ["probe", "--epochs", "1", "--checkpoint", crate::driving::text(run.path())];
    fails(qare(&call).args(["--device", "5"]), 2, &["--device 5"]);
    succeeds(qare(&call).env("CUBECL_WGPU_DEFAULT_DEVICE", "Cpu"));
}

/// Software rendering is no GPU: training on it requires `--device cpu`.
#[cfg(any(feature = "wgpu", feature = "vulkan"))]
#[test]
fn software_rendering_has_to_be_asked_for() {
    if succeeds(&mut qare(&["devices"])).contains("--device 0") {
        return;
    }
    let out = tempdir().unwrap();
    let mut call = tiny("pretrain", out.path());
    fails(call.env_remove("CUBECL_WGPU_DEFAULT_DEVICE"), 1, &["found no GPU", "--device cpu"]);
    let mut call = tiny("pretrain", out.path());
    fails(call.env("CUBECL_WGPU_DEFAULT_DEVICE", "DiscreteGpu(3)"), 2, &["DiscreteGpu(3)", "no such device"]);
}

/// Checks the messages only on a machine without NVIDIA's driver.
#[cfg(feature = "cuda")]
#[test]
fn without_a_driver_the_error_says_what_is_missing() {
    let found = qare(&["devices"]).output().unwrap();
    if !found.status.success() {
        let out = tempdir().unwrap();
        fails(&mut qare(&["devices"]), 1, &["driver", "nvidia-smi"]);
        fails(&mut tiny("pretrain", out.path()), 1, &["driver", "nvidia-smi"]);
        assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    }
}
