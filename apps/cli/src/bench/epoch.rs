//! One epoch on CIFAR-10 from end to end: runs `qare pretrain` as a child process and measures it.

use std::path::Path;

use qare_models::BackboneName;

use super::Bench;
use super::child::{Scratch, run, this_program};
use super::figure::Unit;
use super::probe::cifar10;
use crate::output::print_line;
use qare_lab::PrintablePath;
use qare_lab::runs::files::read_text;
use qare_lab::{LabError, Result};

const METHOD: &str = "sparseclr_qare";
const BACKBONE: BackboneName = BackboneName::Conv4;
const IMAGES: usize = 256;

pub fn measure(bench: &mut Bench) -> Result<()> {
    let Some(dir) = bench.options.data_dir.clone() else {
        print_line("epoch: skipped, needs --data-dir DIR with CIFAR-10");
        return Ok(());
    };
    let available = cifar10(&dir)?.len();
    let count = available.min(bench.options.images);
    let scratch = Scratch::new()?;
    let mut call = this_program()?;
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
    let peak = run(&mut call, "epoch")?;
    let EpochTimes { training, whole } = epoch_times(&scratch.0, count)?;

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

/// Seconds of an epoch.
struct EpochTimes {
    /// Training steps and loader.
    training: f64,
    /// The whole epoch, with validation and checkpoint.
    whole: f64,
}

/// The times in the run's log of an epoch over `count` images with two views each.
fn epoch_times(out: &Path, count: usize) -> Result<EpochTimes> {
    let folder = std::fs::read_dir(out).map_err(|error| LabError::io("read", out, error))?;
    let run = folder.flatten().map(|entry| entry.path()).find(|path| path.is_dir()).unwrap_or_default();
    let log = run.join("log.csv");
    parse_times(&log, &read_text(&log)?, count)
}

fn parse_times(path: &Path, log: &str, count: usize) -> Result<EpochTimes> {
    let mut lines = log.lines();
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let value = |name: &str| {
        let place = names.split(',').position(|column| column == name);
        place.and_then(|place| values.split(',').nth(place)).and_then(|value| value.parse::<f64>().ok())
    };
    match (value("views_per_second"), value("seconds")) {
        (Some(rate), Some(whole)) if rate > 0.0 => Ok(EpochTimes { training: 2.0 * count as f64 / rate, whole }),
        _ => Err(LabError::Failed(format!(
            "{}: expected an epoch with the columns views_per_second and seconds",
            path.printable()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_by_their_columns() {
        let log = "epoch,seconds,loss,views_per_second\n1,12.5,0.1,1000\n";
        let EpochTimes { training, whole } = parse_times(Path::new("log.csv"), log, 5000).unwrap();
        assert_eq!((training, whole), (10.0, 12.5));
        assert!(parse_times(Path::new("log.csv"), "epoch,seconds\n", 5000).is_err());
    }
}
