//! `log.csv`: one row for each epoch of training.

use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};
use crate::methods::Figure;
use crate::printable_path::PrintablePath;
use crate::runs::files::{read_text, write_whole};

/// Columns before the method's figures.
const BEFORE: &str = "epoch,loss,score";
/// Columns after the method's figures.
const AFTER: &str = "learning_rate,views_per_second,seconds";

/// The figures of one epoch.
#[derive(Clone, Debug)]
pub struct EpochRow {
    /// The epoch, counted from 1.
    pub epoch: usize,
    /// Mean loss over the steps of the epoch.
    pub loss: f64,
    /// kNN accuracy of the held-out images in percent, if the run has a validation.
    pub score: Option<f64>,
    /// Means of the method's figures over the steps of the epoch.
    pub method: Vec<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Number of views per second of training.
    pub views_per_second: f64,
    /// Duration of training and validation in seconds.
    pub seconds: f64,
}

/// The log of a run: the rows of earlier processes and of this one.
pub struct EpochLog {
    path: PathBuf,
    header: String,
    lines: Vec<String>,
}

impl EpochLog {
    /// Continues the log after the rows of the epochs up to `epoch`. Later rows belong to epochs that were not saved and are dropped.
    ///
    /// # Errors
    /// If the log file of a resumed run does not have a valid row for each of these epochs.
    pub fn after(path: PathBuf, figures: &[Figure], epoch: usize) -> Result<Self> {
        let columns: Vec<String> = figures.iter().map(|figure| format!("{},", figure.column())).collect();
        let header = format!("{BEFORE},{}{AFTER}", columns.concat());
        let lines = if epoch > 0 { rows(&path, &header, epoch)? } else { Vec::new() };
        Ok(Self { path, header, lines })
    }

    /// Adds a row and writes the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, row: &EpochRow) -> Result<()> {
        let EpochRow { epoch, loss, score, method, learning_rate, views_per_second, seconds } = row;
        let score = score.map_or(String::new(), |score| format!("{score:.2}"));
        let method: Vec<String> = method.iter().map(|value| format!("{value:.6},")).collect();
        self.lines.push(format!(
            "{epoch},{loss:.6},{score},{}{learning_rate},{views_per_second:.1},{seconds:.2}",
            method.concat()
        ));
        let text = format!("{}\n{}\n", self.header, self.lines.join("\n"));
        write_whole(&self.path, text.as_bytes())
    }

    /// Returns the total duration of all epochs in seconds, including those of earlier processes.
    pub fn total_seconds(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.rsplit(',').next()?.parse::<f64>().ok()).sum()
    }
}

/// Reads the rows of the epochs up to `epoch` from a file with this header.
fn rows(path: &Path, header: &str, epoch: usize) -> Result<Vec<String>> {
    if !path.is_file() {
        return Err(LabError::Failed(format!(
            "{} is missing: it should have a row for each of the {epoch} finished epochs; nothing was changed: put it back from a \
             copy, or start another run from the weights with --checkpoint",
            path.printable()
        )));
    }
    let text = read_text(path)?;
    let damaged = |line: usize, problem: String| {
        Err(LabError::Failed(format!(
            "{} is damaged: line {line}: {problem}; nothing was changed: repair it, or start another run from the weights with \
             --checkpoint",
            path.printable()
        )))
    };
    let mut lines = text.lines();
    match lines.next().unwrap_or_default() {
        found if found == header => {}
        found => return damaged(1, format!("expected `{header}`, found `{}`", start_of(found))),
    }
    let columns = header.split(',').count();
    let mut rows = Vec::new();
    for (place, line) in lines.enumerate().take(epoch) {
        let fields: Vec<&str> = line.split(',').collect();
        let numbers = fields.iter().all(|field| field.is_empty() || field.parse::<f64>().is_ok());
        if fields.len() != columns || !numbers || fields[0].parse() != Ok(place + 1) {
            let expected = format!("expected {columns} numbers, the first of them {}", place + 1);
            return damaged(place + 2, format!("{expected}, found `{}`", start_of(line)));
        }
        rows.push(line.to_string());
    }
    match rows.len() {
        count if count == epoch => Ok(rows),
        count => damaged(count + 2, format!("expected the row of epoch {}; {epoch} epochs are finished", count + 1)),
    }
}

/// Returns the start of a line, short enough for a message.
fn start_of(line: &str) -> String {
    line.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_resumed_run_is_checked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let row = |epoch| EpochRow {
            epoch,
            loss: 1.0,
            score: (epoch > 1).then_some(50.0),
            method: Vec::new(),
            learning_rate: 1e-3,
            views_per_second: 10.0,
            seconds: 1.5,
        };
        let mut log = EpochLog::after(path.clone(), &[], 0).unwrap();
        (1..=3).for_each(|epoch| log.push(&row(epoch)).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        let after = |text: &str, epoch| {
            std::fs::write(&path, text).unwrap();
            EpochLog::after(path.clone(), &[], epoch).map(|log| (log.lines.len(), log.total_seconds()))
        };
        // The row of an epoch that was not saved is dropped.
        assert_eq!(after(&whole, 2).unwrap(), (2, 3.0));
        assert_eq!(after(&whole, 0).unwrap(), (0, 0.0));
        let lines: Vec<&str> = whole.lines().collect();
        let cases = [
            ("line 1", whole.replacen("loss", "lost", 1)),
            ("line 2", [lines[0], lines[2], lines[3]].join("\n")),
            ("line 3", whole.replacen("\n2,", "\nx,", 1)),
            ("line 4", lines[..3].join("\n")),
            ("line 4", format!("{}\n{}", lines[..3].join("\n"), &lines[3][..5])),
            ("line 1", String::new()),
        ];
        for (place, text) in cases {
            let error = after(&text, 3).unwrap_err().to_string();
            assert!(error.contains("log.csv is damaged") && error.contains(place), "{text}\n{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(EpochLog::after(path.clone(), &[], 3).is_err());
    }
}
