//! `log.csv`: one row for each epoch of training.

use std::path::PathBuf;

use crate::error::Result;
use crate::files::{read_text, write_whole};

const HEADER: &str = "epoch,loss,score,pairwise,qare,learning_rate,views_per_second,seconds";

/// Figures of one epoch.
#[derive(Clone, Debug)]
pub struct EpochRow {
    pub epoch: usize,
    /// Mean over the epoch's steps, as are the terms.
    pub loss: f64,
    /// kNN accuracy on the held-out part, in percent.
    pub score: f64,
    pub pairwise: f64,
    pub qare: Option<f64>,
    pub learning_rate: f64,
    pub views_per_second: f64,
    /// Training and validation.
    pub seconds: f64,
}

/// The log of a run: rows of this process after those of earlier ones.
pub struct EpochLog {
    path: PathBuf,
    lines: Vec<String>,
}

impl EpochLog {
    /// Goes on after the rows of epochs up to `epoch`; rows of epochs that were not saved go.
    pub fn after(path: PathBuf, epoch: usize) -> Result<Self> {
        let mut lines = Vec::new();
        if epoch > 0 && path.is_file() {
            let text = read_text(&path)?;
            let number = |line: &str| line.split(',').next().and_then(|field| field.parse::<usize>().ok());
            let kept = text.lines().skip(1).filter(|line| number(line).is_some_and(|n| n <= epoch));
            lines.extend(kept.map(str::to_string));
        }
        Ok(Self { path, lines })
    }

    pub fn push(&mut self, row: &EpochRow) -> Result<()> {
        let EpochRow { epoch, loss, score, pairwise, qare, learning_rate, views_per_second, seconds } = row;
        let qare = qare.map_or(String::new(), |value| format!("{value:.6}"));
        self.lines.push(format!(
            "{epoch},{loss:.6},{score:.2},{pairwise:.6},{qare},{learning_rate},{views_per_second:.1},{seconds:.2}"
        ));
        let text = format!("{HEADER}\n{}\n", self.lines.join("\n"));
        write_whole(&self.path, text.as_bytes())
    }

    /// Seconds of all epochs together, those of earlier processes too.
    pub fn total_seconds(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.rsplit(',').next()?.parse::<f64>().ok()).sum()
    }
}
