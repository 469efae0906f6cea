//! `log.csv`: one row for each epoch of training.

use std::path::PathBuf;

use crate::error::Result;
use crate::files::{read_text, write_whole};
use crate::methods::Figure;

const BEFORE: &str = "epoch,loss,score";
const AFTER: &str = "learning_rate,views_per_second,seconds";

/// Figures of one epoch.
#[derive(Clone, Debug)]
pub struct EpochRow {
    pub epoch: usize,
    /// Mean over the epoch's steps.
    pub loss: f64,
    /// kNN accuracy on the held-out part, in percent.
    pub score: f64,
    /// Means of the method's own figures.
    pub method: Vec<f64>,
    pub learning_rate: f64,
    pub views_per_second: f64,
    /// Training and validation.
    pub seconds: f64,
}

/// The log of a run: rows of this process after those of earlier ones.
pub struct EpochLog {
    path: PathBuf,
    header: String,
    lines: Vec<String>,
}

impl EpochLog {
    /// Goes on after the rows of epochs up to `epoch`; rows of epochs that were not saved go.
    pub fn after(path: PathBuf, figures: &[Figure], epoch: usize) -> Result<Self> {
        let columns: Vec<String> = figures.iter().map(|figure| format!("{},", figure.column())).collect();
        let header = format!("{BEFORE},{}{AFTER}", columns.concat());
        let mut lines = Vec::new();
        if epoch > 0 && path.is_file() {
            let text = read_text(&path)?;
            let number = |line: &str| line.split(',').next().and_then(|field| field.parse::<usize>().ok());
            let kept = text.lines().skip(1).filter(|line| number(line).is_some_and(|n| n <= epoch));
            lines.extend(kept.map(str::to_string));
        }
        Ok(Self { path, header, lines })
    }

    pub fn push(&mut self, row: &EpochRow) -> Result<()> {
        let EpochRow { epoch, loss, score, method, learning_rate, views_per_second, seconds } = row;
        let method: Vec<String> = method.iter().map(|value| format!("{value:.6},")).collect();
        self.lines.push(format!(
            "{epoch},{loss:.6},{score:.2},{}{learning_rate},{views_per_second:.1},{seconds:.2}",
            method.concat()
        ));
        let text = format!("{}\n{}\n", self.header, self.lines.join("\n"));
        write_whole(&self.path, text.as_bytes())
    }

    /// Seconds of all epochs together, those of earlier processes too.
    pub fn total_seconds(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.rsplit(',').next()?.parse::<f64>().ok()).sum()
    }
}
