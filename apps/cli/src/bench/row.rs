//! Rows that are measured in a process of their own; those of the parts `backbones` and `methods` are one training each.

use std::process::Command;

use super::Bench;
use super::child::{Scratch, run_watched, this_program};
use super::figure::Unit;
use super::memory::peak_of;
use super::report::Report;
use super::trainer::{Trainer, Work};
use crate::backend::HOST;
use qare_lab::Result;

/// Runs a call of `qare bench PART` for a single row, adds its figures, and returns the largest value of `memory` meanwhile, which takes the
/// number of the process. `what` names the work.
pub fn measure_apart(
    bench: &mut Bench,
    part: &str,
    call: &mut Command,
    what: &str,
    memory: impl Fn(u32) -> Option<f64>,
) -> Result<Option<f64>> {
    let (scratch, options) = (Scratch::named("row")?, &bench.options);
    let file = scratch.0.join("row.json");
    call.args(["--row", "--seconds", &options.seconds.to_string(), "--json"]).arg(&file);
    if options.quick {
        call.arg("--quick");
    }
    if let Some(device) = options.device {
        call.args(["--device", &device.to_string()]);
    }
    let peak = run_watched(call, what, memory)?;
    for figure in Report::read(&file)?.figures {
        if figure.part() == part {
            bench.figures.add(figure);
        }
    }
    Ok(peak)
}

/// A row: a training, and the names of its figures.
pub struct Row {
    /// The part, which its figures' keys begin with.
    pub part: &'static str,
    /// The rest of the keys, without the name of the figure.
    pub key: String,
    /// What the labels name.
    pub label: String,
    pub work: Work,
    /// Whether the time of forward passes without a gradient is measured too.
    pub embedding: bool,
}

impl Row {
    /// Measures the row in a process of its own, or in this one if it is that process.
    pub fn measure(&self, bench: &mut Bench) -> Result<()> {
        if bench.options.row { self.measure_here(bench) } else { self.measure_apart(bench) }
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{}.{name}", self.part, self.key)
    }

    fn measure_apart(&self, bench: &mut Bench) -> Result<()> {
        let work = &self.work;
        let mut call = this_program()?;
        call.args(["bench", self.part, "--precision", bench.options.precision.as_str()])
            .args(["--batches", &work.images.to_string(), "--sizes", &work.side.to_string()])
            .args(["--methods", work.method.as_str(), "--backbones", work.backbone.as_str()]);
        let peak = measure_apart(bench, self.part, &mut call, &self.label, peak_of)?;
        // The memory of the process says little about that of a GPU.
        if let Some(peak) = peak.filter(|_| HOST) {
            let label = format!("{}: peak memory", self.label);
            bench.figures.number(self.key("memory"), label, Unit::Bytes, peak);
        }
        Ok(())
    }

    fn measure_here(&self, bench: &mut Bench) -> Result<()> {
        let mut trainer = Trainer::new(&self.work, &bench.clock.device)?;
        let runs = bench.clock.measure(|| trainer.step())?;
        let views = trainer.views();
        let label = format!("{}: step on {views} views", self.label);
        bench.figures.seconds(self.key("step"), label, &runs, 1, Some("steps"));
        if self.embedding {
            let embedding = trainer.embedding();
            let runs = bench.clock.measure(embedding)?;
            let label = format!("{}: features of {views} images", self.label);
            bench.figures.seconds(self.key("features"), label, &runs, 1, None);
        }
        Ok(())
    }
}
