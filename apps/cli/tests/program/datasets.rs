//! `qare data`, probes on other datasets, and fine-tuning.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use tempfile::tempdir;

use crate::driving::{RunFolder, Snapshot, fails, qare, succeeds, tensors, text};
use crate::official_files;

#[test]
fn check_reports_datasets_and_faults() {
    let data = tempdir().unwrap();
    for dataset in ["cifar10", "tiny"] {
        official_files::write(dataset, data.path());
    }
    let printed = succeeds(&mut qare(&["data", "check", text(&data)]));
    for word in ["cifar10", "tiny", "50000"] {
        assert!(printed.contains(word), "`{word}` is not in: {printed}");
    }
    let broken = data.path().join("tiny-imagenet-200/train/n01443537/images/picture_3.JPEG");
    fs::write(&broken, b"no picture").unwrap();
    fs::remove_file(data.path().join("cifar-10-batches-bin/data_batch_4.bin")).unwrap();
    let before = Snapshot::of(data.path());
    let output = qare(&["data", "check", text(&data)]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in ["picture_3.JPEG", "data_batch_4.bin"] {
        assert!(printed.contains(word), "`{word}` is not in: {printed}");
    }
    before.assert_unchanged(data.path());
    fails(&mut qare(&["data", "check", "/missing"]), 2, &["/missing", "no such folder"]);
}

#[test]
fn a_broken_image_is_named() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    official_files::write("tiny", data.path());
    fs::write(data.path().join("tiny-imagenet-200/val/images/val_2.JPEG"), [0xff, 0xd8, 0xff, 0x00]).unwrap();
    let mut call = qare(&["pretrain", "--dataset", "tiny", "--no-tui", "--data-dir", text(&data), "--out", text(&out)]);
    fails(call.args(["--epochs", "1"]), 1, &["val_2.JPEG"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn fetching_a_missing_or_wrong_file_fails_cleanly() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let found = String::from_utf8_lossy(&request[..read]).contains("/cifar");
            let body = "not the archive";
            let status = if found { "200 OK" } else { "404 Not Found" };
            let length = body.len();
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        }
    });
    let data = tempdir().unwrap();
    let call = |path: &str| {
        let url = format!("http://{address}/{path}");
        qare(&["data", "fetch", "cifar10", "--data-dir", text(&data), "--url", &url])
    };
    fails(&mut call("missing.tar.gz"), 1, &["404"]);
    fails(&mut call("cifar-10-binary.tar.gz"), 1, &["cifar-10-binary.tar.gz"]);
    assert!(!data.path().join("cifar-10-batches-bin").exists());
    fails(&mut qare(&["data", "fetch", "slim", "--data-dir", text(&data)]), 2, &["slim", "https://"]);
    fails(&mut qare(&["data", "fetch", "mnist", "--data-dir", text(&data)]), 2, &["mnist", "cifar10"]);
}

#[test]
fn probes_on_another_dataset_and_fine_tuned_ones_are_kept_beside_the_runs_own() {
    let (data, out) = (tempdir().unwrap(), tempdir().unwrap());
    for dataset in ["cifar10", "cifar100"] {
        official_files::write(dataset, data.path());
    }
    let limits = ["--train-images", "16", "--test-images", "20", "--data-size", "8"];
    let mut call =
        qare(&["pretrain", "--dataset", "cifar10", "--no-tui", "--data-dir", text(&data), "--out", text(&out)]);
    succeeds(call.args(["--epochs", "1"]).args(limits));
    let run = RunFolder(out.path().join("sparseclr_qare_cifar10_conv4_8_64_64_1.0_1.0"));
    let probe = |flags: &[&str]| {
        let mut call = qare(&["probe", "--epochs", "2", "--data-size", "8", "--checkpoint", text(run.path())]);
        call.args(flags);
        call
    };
    let test = |flags: &[&str]| succeeds(qare(&["test", "--checkpoint", text(run.path())]).args(flags));
    succeeds(&mut probe(&[]));
    fails(qare(&["test", "--checkpoint", text(run.path())]).args(["--dataset", "cifar100"]), 2, &["probe_cifar100"]);
    succeeds(&mut probe(&["--dataset", "cifar100"]));
    succeeds(&mut probe(&["--finetune", "True"]));
    succeeds(&mut probe(&["--finetune", "--augment", "--dataset", "cifar100"]));
    fails(&mut probe(&["--augment"]), 2, &["finetune"]);
    fails(&mut probe(&["--finetune", "--learning-rate", "0.5"]), 2, &["rates of its own"]);
    fails(&mut probe(&["--finetune", "maybe"]), 2, &["true or false"]);

    let stem = "sparseclr_qare_cifar10_conv4_seed_1_epoch_1";
    let file = |end: &str| tensors(&run.file(&format!("{stem}_{end}.safetensors")));
    assert_eq!(file("linear_evaluation")["classifier.weight"].0, "F32[10, 64]");
    assert_eq!(file("linear_evaluation_cifar100")["classifier.weight"].0, "F32[100, 64]");
    let (frozen, tuned) = (file("linear_evaluation"), file("finetuned"));
    assert!(frozen["backbone.layer1.conv.weight"] != tuned["backbone.layer1.conv.weight"]);
    assert_eq!(file("finetuned_cifar100")["classifier.bias"].0, "F32[100]");

    let again = text(&run.file(&format!("{stem}_finetuned.safetensors"))).to_string();
    fails(&mut qare(&["probe", "--finetune", "false", "--checkpoint", &again]), 2, &["fine-tuned"]);
    fails(&mut qare(&["test", "--finetune", "false", "--checkpoint", &again]), 2, &["fine-tuned"]);

    test(&[]);
    test(&["--dataset", "cifar100"]);
    test(&["--finetune"]);
    test(&["--finetune", "--dataset", "cifar100"]);
    let results = run.results();
    for stage in ["probe", "probe_cifar100", "finetune", "finetune_cifar100"] {
        let test = stage.replace("probe", "test").replace("finetune", "test_finetune");
        assert_eq!(results[stage]["test_accuracy"], results[test.as_str()]["accuracy"], "{stage} {test}");
    }
}

#[test]
fn list_names_everything_there_is() {
    let printed = succeeds(&mut qare(&["list"]));
    for name in [
        "sparseclr_qare",
        "relationnet",
        "randomweights",
        "conv4",
        "resnet110",
        "resnet34",
        "stl10",
        "folder",
        "backend",
    ] {
        assert!(printed.contains(name), "`{name}` is not in: {printed}");
    }
}
