//! `qare runs` lists runs.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::driving::{Snapshot, fails, qare, succeeds, text, tiny, tiny_folder};

#[test]
fn runs_are_listed_with_their_state_and_accuracy() {
    let out = tempdir().unwrap();
    assert_eq!(succeeds(&mut qare(&["runs", text(&out)])), format!("no runs in {}\n", text(&out)));
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "2"]));
    succeeds(tiny("pretrain", out.path()).args(["--epochs", "1", "--method", "simclr", "--seed", "7"]));
    // The first is stopped after one of two epochs, and the second is probed.
    tiny_folder(out.path()).go_back_to_epoch_1();
    let simclr = out.path().join("simclr_shapes_conv4_8_64_64_1.0_1.0");
    let probe = ["probe", "--checkpoint", text(&simclr), "--epochs", "1", "--no-tui"];
    succeeds(&mut qare(&probe));
    let before = Snapshot::of(out.path());

    let list = |arguments: &[&str]| -> Vec<Value> {
        let mut call = qare(&["runs", text(&out), "--json"]);
        serde_json::from_str(&succeeds(call.args(arguments))).expect("JSON")
    };
    let runs = list(&["--sort", "method"]);
    assert_eq!(runs.len(), 2);
    assert_eq!(
        (&runs[0]["method"], &runs[0]["state"], &runs[0]["seed"]),
        (&"simclr".into(), &"done".into(), &7.into())
    );
    assert_eq!((&runs[0]["epochs_done"], &runs[0]["epochs"]), (&1.into(), &1.into()));
    assert_eq!(runs[0]["accuracy"]["stage"], "probe");
    assert_eq!(
        (&runs[1]["state"], &runs[1]["epochs_done"], &runs[1]["epochs"]),
        (&"stopped".into(), &1.into(), &2.into())
    );
    assert_eq!(runs[1]["accuracy"]["stage"], "score");
    assert!(runs[0]["started"].as_str().unwrap().ends_with('Z'), "{runs:?}");
    let first = |arguments: &[&str]| list(arguments)[0]["method"].as_str().unwrap().to_string();
    assert_eq!(first(&["--sort", "method", "--reverse"]), "sparseclr_qare");
    assert_eq!(first(&["--sort", "updated"]), "simclr");
    assert_eq!(first(&["--sort", "state"]), "sparseclr_qare");

    let table = succeeds(&mut qare(&["runs", text(&out), "--sort", "name"]));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 3, "{table}");
    assert!(lines[1].contains("simclr") && lines[1].contains("1/1") && lines[1].contains("% probe"), "{table}");
    assert!(
        lines[2].contains("stopped") && lines[2].ends_with("sparseclr_qare_shapes_conv4_8_64_64_1.0_1.0"),
        "{table}"
    );
    before.assert_unchanged(out.path());

    fs::write(simclr.join("latest.json"), "{").unwrap();
    assert_eq!(list(&["--sort", "method"])[0]["state"], "damaged");
    fails(&mut qare(&["runs", text(&out.path().join("none"))]), 2, &["there is no folder", "none"]);
    fails(&mut qare(&["runs", text(&out), "--sort", "size"]), 2, &["--sort"]);
}
