//! One epoch on CIFAR-10 from end to end: the program itself, called as a person would, and watched.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use qare_models::BackboneName;

use super::Bench;
use super::figure::Unit;
use super::memory::peak_of;
use super::probe::cifar10;
use crate::output::say;
use qare_lab::runs::files::read_text;
use qare_lab::{LabError, Result};

const METHOD: &str = "sparseclr_qare";
const BACKBONE: BackboneName = BackboneName::Conv4;
const IMAGES: usize = 256;

pub fn measure(bench: &mut Bench) -> Result<()> {
    let Some(dir) = bench.options.data_dir.clone() else {
        say("epoch: left out, it needs --data-dir DIR with CIFAR-10");
        return Ok(());
    };
    let there = cifar10(&dir)?.len();
    let count = there.min(bench.options.images);
    let scratch = Scratch::new()?;
    let mut call = Command::new(std::env::current_exe().map_err(|error| start_failed(&error))?);
    call.args(["pretrain", "--no-tui", "--dataset", "cifar10", "--method", METHOD, "--backbone", BACKBONE.as_str()])
        .args(["--epochs", "1", "--data-size", &IMAGES.to_string(), "--train-images", &count.to_string()])
        .args(["--precision", bench.options.precision.as_str()])
        .args(["--num-workers", &bench.options.workers().to_string()])
        .arg("--data-dir")
        .arg(&dir)
        .arg("--out")
        .arg(&scratch.0);
    if let Some(device) = bench.options.device {
        call.args(["--device", &device.to_string()]);
    }
    let peak = run(&mut call)?;
    let Row { training, whole } = scratch.row(count)?;

    let network = bench.options.network(BACKBONE);
    let key = |name: &str| format!("epoch.{network}.B{IMAGES}.{METHOD}.N{count}.{name}");
    let label = |what: &str| format!("epoch of {METHOD}, {network}, B = {IMAGES}, {count} images: {what}");
    bench.figures.seconds(key("training"), label("training"), &[training], 1, None);
    bench.figures.seconds(key("whole"), label("with validation and checkpoint"), &[whole], 1, None);
    if let Some(peak) = peak {
        bench.figures.number(key("memory"), label("peak memory"), Unit::Bytes, peak);
    }
    Ok(())
}

/// Runs the program to its end and tells its peak memory, where the system tells it.
fn run(call: &mut Command) -> Result<Option<f64>> {
    let mut child = call
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| start_failed(&error))?;
    let mut peak = None;
    while child.try_wait().map_err(|error| start_failed(&error))?.is_none() {
        peak = peak_of(child.id()).or(peak);
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().map_err(|error| start_failed(&error))?;
    match output.status.success() {
        true => Ok(peak),
        false => {
            let message = String::from_utf8_lossy(&output.stderr);
            Err(LabError::Failed(format!("the epoch failed: {}", message.trim().trim_start_matches("error: "))))
        }
    }
}

fn start_failed(error: &std::io::Error) -> LabError {
    LabError::Failed(format!("the program cannot call itself: {error}"))
}

/// Seconds of an epoch: of its training steps with the loader, and of all of it.
struct Row {
    training: f64,
    whole: f64,
}

/// A folder for the run, deleted in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("qare-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| LabError::io("make the folder", &path, error))?;
        Ok(Self(path))
    }

    /// What the run's log says of its epoch, which was of two views of each image.
    fn row(&self, count: usize) -> Result<Row> {
        let folder = std::fs::read_dir(&self.0).map_err(|error| LabError::io("read", &self.0, error))?;
        let run = folder.flatten().map(|entry| entry.path()).find(|path| path.is_dir()).unwrap_or_default();
        let log = run.join("log.csv");
        figures_of(&log, &read_text(&log)?, count)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn figures_of(path: &Path, log: &str, count: usize) -> Result<Row> {
    let mut lines = log.lines();
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let value = |name: &str| {
        let place = names.split(',').position(|column| column == name);
        place.and_then(|place| values.split(',').nth(place)).and_then(|value| value.parse::<f64>().ok())
    };
    match (value("views_per_second"), value("seconds")) {
        (Some(rate), Some(whole)) if rate > 0.0 => Ok(Row { training: 2.0 * count as f64 / rate, whole }),
        _ => Err(LabError::Failed(format!("{}: there is no epoch with its times", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_by_their_columns() {
        let log = "epoch,seconds,loss,views_per_second\n1,12.5,0.1,1000\n";
        let Row { training, whole } = figures_of(Path::new("log.csv"), log, 5000).unwrap();
        assert_eq!((training, whole), (10.0, 12.5));
        assert!(figures_of(Path::new("log.csv"), "epoch,seconds\n", 5000).is_err());
    }
}
