//! `log.csv`: one row for each epoch of training.

use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};
use crate::methods::Figure;
use crate::runs::files::{read_text, write_whole};

const BEFORE: &str = "epoch,loss,score";
const AFTER: &str = "learning_rate,views_per_second,seconds";

/// Figures of one epoch.
#[derive(Clone, Debug)]
pub struct EpochRow {
    /// The epoch.
    pub epoch: usize,
    /// Mean over the epoch's steps.
    pub loss: f64,
    /// kNN accuracy on the held-out part, in percent, where labels tell images apart.
    pub score: Option<f64>,
    /// Means of the method's own figures.
    pub method: Vec<f64>,
    /// That of the last step.
    pub learning_rate: f64,
    /// Views trained on in a second.
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
    ///
    /// # Errors
    /// If the file of a run that goes on does not have a row for each epoch so far.
    pub fn after(path: PathBuf, figures: &[Figure], epoch: usize) -> Result<Self> {
        let columns: Vec<String> = figures.iter().map(|figure| format!("{},", figure.column())).collect();
        let header = format!("{BEFORE},{}{AFTER}", columns.concat());
        let lines = if epoch > 0 { rows(&path, &header, epoch)? } else { Vec::new() };
        Ok(Self { path, header, lines })
    }

    /// Adds a row.
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

    /// Seconds of all epochs together, those of earlier processes too.
    pub fn total_seconds(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.rsplit(',').next()?.parse::<f64>().ok()).sum()
    }
}

/// The rows of the epochs up to `epoch` in a file with this header.
fn rows(path: &Path, header: &str, epoch: usize) -> Result<Vec<String>> {
    if !path.is_file() {
        return Err(LabError::Failed(format!(
            "{} is missing, which has a row for each of the {epoch} epochs so far; nothing was changed: put it back, or start \
             another run from the weights with --checkpoint",
            path.display()
        )));
    }
    let text = read_text(path)?;
    let damaged = |line: usize, problem: String| {
        Err(LabError::Failed(format!(
            "{} is damaged: line {line}: {problem}; nothing was changed: put it right, or start another run from the weights with --checkpoint",
            path.display()
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
            let expected = format!("expected {columns} numbers, the first {}", place + 1);
            return damaged(place + 2, format!("{expected}, found `{}`", start_of(line)));
        }
        rows.push(line.to_string());
    }
    match rows.len() {
        count if count == epoch => Ok(rows),
        count => damaged(count + 2, format!("expected the row of epoch {}, of {epoch} that were trained", count + 1)),
    }
}

/// So much of a line as a message can hold.
fn start_of(line: &str) -> String {
    line.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_of_a_run_that_goes_on_is_checked() {
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
        // The row of an epoch that was not saved goes.
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
