//! Rows of the parts `backbones` and `methods`: one training each, measured in a process of its own.

use super::Bench;
use super::child::{Scratch, run, this_program};
use super::figure::Unit;
use super::report::Report;
use super::trainer::{Trainer, Work};
use crate::backend::HOST;
use qare_lab::Result;

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
        let scratch = Scratch::new()?;
        let (file, options, work) = (scratch.0.join("row.json"), &bench.options, &self.work);
        let mut call = this_program()?;
        call.args(["bench", self.part, "--row", "--precision", options.precision.as_str()])
            .args(["--seconds", &options.seconds.to_string(), "--batches", &work.images.to_string()])
            .args(["--methods", work.method.as_str(), "--backbones", work.backbone.as_str()])
            .args(["--sizes", &work.side.to_string()])
            .arg("--json")
            .arg(&file);
        if options.quick {
            call.arg("--quick");
        }
        if let Some(device) = options.device {
            call.args(["--device", &device.to_string()]);
        }
        let peak = run(&mut call, &self.label)?;
        for figure in Report::read(&file)?.figures {
            if figure.part() == self.part {
                bench.figures.add(figure);
            }
        }
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
