//! `log.csv`: one row for each epoch of training.

use std::path::{Path, PathBuf};

use crate::error::{LabError, Result};
use crate::methods::Figure;
use crate::printable_path::PrintablePath;
use crate::runs::files::{read_text, write_whole};
use crate::training::live::{LiveFigure, LiveValues};

/// Columns before the method's figures.
const BEFORE: &str = "epoch,loss,score";
/// Columns after the method's figures and those of the representation.
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
    /// Means of the figures while it trains over the samples of the epoch.
    pub live: LiveValues,
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
    /// The figures while it trains that have a column.
    live: Vec<LiveFigure>,
    lines: Vec<String>,
}

impl EpochLog {
    /// Continues the log after the rows of the epochs up to `epoch`. Later rows belong to epochs that were not saved and are dropped.
    ///
    /// `live` are the chosen figures while it trains. Those that earlier rows have keep their columns, and fields of epochs without a figure
    /// are empty.
    ///
    /// # Errors
    /// If the log file of a resumed run does not have a valid row for each of these epochs.
    pub fn after(path: PathBuf, figures: &[Figure], live: &[LiveFigure], epoch: usize) -> Result<Self> {
        if epoch == 0 {
            return Ok(Self { path, header: header(figures, live), live: live.to_vec(), lines: Vec::new() });
        }
        let (before, lines) = rows(&path, figures, live, epoch)?;
        let all = LiveFigure::ALL.into_iter().filter(|figure| live.contains(figure) || before.contains(figure));
        let all: Vec<LiveFigure> = all.collect();
        let start = BEFORE.split(',').count() + figures.len();
        let with_all = |line: &String| {
            let fields: Vec<&str> = line.split(',').collect();
            let (first, rest) = fields.split_at(start);
            let (of_live, last) = rest.split_at(before.len());
            let place = |figure: &LiveFigure| before.iter().position(|other| other == figure);
            let of_live = all.iter().map(|figure| place(figure).map_or("", |place| of_live[place]));
            first.iter().copied().chain(of_live).chain(last.iter().copied()).collect::<Vec<_>>().join(",")
        };
        let lines = lines.iter().map(with_all).collect();
        Ok(Self { path, header: header(figures, &all), live: all, lines })
    }

    /// Adds a row and writes the file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push(&mut self, row: &EpochRow) -> Result<()> {
        let EpochRow { epoch, loss, score, method, live, learning_rate, views_per_second, seconds } = row;
        let score = score.map_or(String::new(), |score| format!("{score:.2}"));
        let method: Vec<String> = method.iter().map(|value| format!("{value:.6},")).collect();
        let of = |figure: &LiveFigure| live.get(*figure).map_or(",".to_string(), |value| format!("{value:.6},"));
        let of_live: Vec<String> = self.live.iter().map(of).collect();
        self.lines.push(format!(
            "{epoch},{loss:.6},{score},{}{}{learning_rate},{views_per_second:.1},{seconds:.2}",
            method.concat(),
            of_live.concat()
        ));
        let text = format!("{}\n{}\n", self.header, self.lines.join("\n"));
        write_whole(&self.path, text.as_bytes())
    }

    /// Returns the values of a figure while it trains in all rows that have one.
    pub fn values(&self, figure: LiveFigure) -> Vec<f64> {
        let column = figure.figure().column();
        let Some(place) = self.header.split(',').position(|name| name == column) else { return Vec::new() };
        self.lines.iter().filter_map(|line| line.split(',').nth(place)?.parse().ok()).collect()
    }

    /// Returns the total duration of all epochs in seconds, including those of earlier processes.
    pub fn total_seconds(&self) -> f64 {
        self.lines.iter().filter_map(|line| line.rsplit(',').next()?.parse::<f64>().ok()).sum()
    }
}

/// Returns the first line of a log.
fn header(figures: &[Figure], live: &[LiveFigure]) -> String {
    let columns = figures.iter().map(Figure::column).chain(live.iter().map(|figure| figure.figure().column()));
    format!("{BEFORE},{}{AFTER}", columns.map(|column| column + ",").collect::<String>())
}

/// Returns the figures while it trains that a log has, given its first line. `None` if the line is not of such a log.
fn live_columns(found: &str, figures: &[Figure]) -> Option<Vec<LiveFigure>> {
    let plain = header(figures, &[]);
    let rest = found.strip_prefix(plain.strip_suffix(AFTER)?)?.strip_suffix(AFTER)?;
    let of_name = |name: &str| LiveFigure::ALL.into_iter().find(|figure| figure.figure().column() == name);
    let columns = rest.split_terminator(',').map(of_name);
    columns.collect::<Option<Vec<_>>>().filter(|live| header(figures, live) == found)
}

/// Reads the rows of the epochs up to `epoch` from a file, and which figures while it trains they have.
fn rows(path: &Path, figures: &[Figure], live: &[LiveFigure], epoch: usize) -> Result<(Vec<LiveFigure>, Vec<String>)> {
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
    let found = lines.next().unwrap_or_default();
    let Some(of_log) = live_columns(found, figures) else {
        return damaged(1, format!("expected `{}`, found `{}`", header(figures, live), start_of(found)));
    };
    let columns = found.split(',').count();
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
        count if count == epoch => Ok((of_log, rows)),
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
            live: LiveValues::default(),
            learning_rate: 1e-3,
            views_per_second: 10.0,
            seconds: 1.5,
        };
        let mut log = EpochLog::after(path.clone(), &[], &[], 0).unwrap();
        (1..=3).for_each(|epoch| log.push(&row(epoch)).unwrap());
        let whole = std::fs::read_to_string(&path).unwrap();
        let after = |text: &str, epoch| {
            std::fs::write(&path, text).unwrap();
            EpochLog::after(path.clone(), &[], &[], epoch).map(|log| (log.lines.len(), log.total_seconds()))
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
        assert!(EpochLog::after(path.clone(), &[], &[], 3).is_err());
    }

    /// A log of a release without figures, or with others, is continued: each epoch keeps what it has.
    #[test]
    fn columns_of_figures_may_change_when_a_run_is_resumed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        let method = [Figure::term("Pairwise")];
        let row = |epoch, figures: &[(LiveFigure, f64)]| {
            let mut live = LiveValues::default();
            figures.iter().for_each(|(figure, value)| live.insert(*figure, *value));
            EpochRow {
                epoch,
                loss: 1.0,
                score: None,
                method: vec![2.0],
                live,
                learning_rate: 1e-3,
                views_per_second: 10.0,
                seconds: 1.5,
            }
        };
        let (rank, probe, norm) = (LiveFigure::RankMe, LiveFigure::Probe, LiveFigure::GradientNorm);
        EpochLog::after(path.clone(), &method, &[], 0).unwrap().push(&row(1, &[])).unwrap();
        let mut log = EpochLog::after(path.clone(), &method, &[rank, probe], 1).unwrap();
        log.push(&row(2, &[(rank, 3.0), (probe, 60.0)])).unwrap();
        let mut log = EpochLog::after(path.clone(), &method, &[norm], 2).unwrap();
        log.push(&row(3, &[(norm, 0.5)])).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "epoch,loss,score,pairwise,rankme,gradient_norm,probe_accuracy,learning_rate,views_per_second,seconds\n\
             1,1.000000,,2.000000,,,,0.001,10.0,1.50\n\
             2,1.000000,,2.000000,3.000000,,60.000000,0.001,10.0,1.50\n\
             3,1.000000,,2.000000,,0.500000,,0.001,10.0,1.50\n"
        );
        assert_eq!((log.values(rank), log.values(LiveFigure::Alignment)), (vec![3.0], Vec::new()));
        assert_eq!(log.total_seconds(), 4.5);
        let text = std::fs::read_to_string(&path).unwrap();
        for header in ["pairwise,rank,", "pairwise,rankme,rankme,", "pairwise,,", "rankme,pairwise,"] {
            std::fs::write(&path, text.replacen("pairwise,rankme,", header, 1)).unwrap();
            assert!(EpochLog::after(path.clone(), &method, &[], 3).is_err(), "{header}");
        }
    }
}
