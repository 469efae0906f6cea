//! Runs on CIFAR-10's official binary files, whole and damaged.
//!
//! The files have their full size. Only the images that are trained on are written; the rest are holes in sparse files.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::{TempDir, tempdir};

use crate::driving::{RunFolder, fails, qare, succeeds, text};

const RECORD: usize = 1 + 3 * 32 * 32;
const FILE: usize = 10_000 * RECORD;
/// Number of images that are not black.
const DRAWN: usize = 48;

fn files() -> impl Iterator<Item = String> {
    (1..=5).map(|batch| format!("data_batch_{batch}.bin")).chain(["test_batch.bin".to_string()])
}

/// A folder that holds `cifar-10-batches-bin`.
pub struct Cifar10(pub TempDir);

impl Cifar10 {
    pub fn new() -> Self {
        let dir = tempdir().unwrap();
        let this = Self(dir);
        fs::create_dir(this.file("")).unwrap();
        let mut records = vec![0; DRAWN * RECORD];
        let mut state = 1u32;
        for (index, record) in records.chunks_exact_mut(RECORD).enumerate() {
            record[0] = (index % 10) as u8;
            for pixel in &mut record[1..] {
                // Noise from a linear congruential generator.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *pixel = (state >> 24) as u8;
            }
        }
        for name in files() {
            let mut file = File::create(this.file(&name)).unwrap();
            file.write_all(&records).unwrap();
            file.set_len(FILE as u64).unwrap();
        }
        this
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join("cifar-10-batches-bin").join(name)
    }
}

/// Pre-training with the README's flags, on a few images.
fn pretrain(data: &Cifar10, out: &Path) -> Command {
    let words = "pretrain --dataset cifar10 --method sparseclr_qare --backbone conv4 --seed 1 --data_size 256 --epochs 5 \
                 --alpha 1 --beta 0.5 --no-tui --train_images 48";
    let words: Vec<&str> = words.split_whitespace().collect();
    let mut call = qare(&words);
    call.arg("--data-dir").arg(data.0.path()).arg("--out").arg(out);
    call
}

#[test]
fn the_three_stages_work_on_cifar10() {
    let (data, out) = (Cifar10::new(), tempdir().unwrap());
    succeeds(&mut pretrain(&data, out.path()));
    let run = RunFolder(out.path().join("sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5"));
    for epoch in [1, 2, 3, 5] {
        let weights = run.file(&format!("sparseclr_qare_cifar10_conv4_seed_1_epoch_{epoch}.safetensors"));
        assert!(weights.is_file() && weights.with_extension("optimizer").is_file(), "{:?}", run.names());
    }
    // The data may have moved since training.
    let mut probe = qare(&["probe", "--epochs", "5", "--checkpoint", text(run.path()), "--data-dir"]);
    succeeds(probe.arg(data.file("")));
    let printed = succeeds(qare(&["test", "--checkpoint", text(run.path()), "--data-dir"]).arg(data.0.path()));
    let results = run.results();
    assert_eq!(results["test"]["images"], 10_000);
    let accuracy = results["test"]["accuracy"].as_f64().unwrap();
    assert_eq!(results["probe"]["test_accuracy"].as_f64(), Some(accuracy));
    assert_eq!(printed.lines().last().unwrap(), format!("test accuracy: {accuracy:.2} %"));
}

#[test]
fn damaged_files_are_errors_with_file_and_position() {
    let (data, out) = (Cifar10::new(), tempdir().unwrap());
    let made = out.path().join("made");
    let change = |name: &str, change: &dyn Fn(&mut File)| {
        change(&mut File::options().write(true).open(data.file(name)).unwrap());
    };

    change("data_batch_1.bin", &|file| file.set_len(1_000_000).unwrap());
    let place = ["data_batch_1.bin", "wrong size", "1000000", "30730000", "download"];
    fails(&mut pretrain(&data, &made), 1, &place);
    change("data_batch_1.bin", &|file| file.set_len(FILE as u64 + 7).unwrap());
    fails(&mut pretrain(&data, &made), 1, &["data_batch_1.bin", "wrong size", "byte offset 30730000"]);
    change("data_batch_1.bin", &|file| file.set_len(FILE as u64).unwrap());

    let offset = 7777 * RECORD as u64;
    let label = |byte: u8| {
        move |file: &mut File| {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.write_all(&[byte]).unwrap();
        }
    };
    change("test_batch.bin", &label(10));
    let place = ["test_batch.bin", "bad label 10", &offset.to_string(), "record 7777"];
    fails(&mut pretrain(&data, &made), 1, &place);
    change("test_batch.bin", &label(9));

    fs::remove_file(data.file("data_batch_3.bin")).unwrap();
    fails(&mut pretrain(&data, &made), 1, &["data_batch_3.bin", "is missing"]);
    assert!(!made.exists(), "the run folder is created after the data is read");
}
