//! Files that training is logged to, besides `log.csv`: JSON lines, and event files of TensorBoard.
//!
//! A run that resumes continues its files after the last finished epoch, so that each step is logged once.

pub mod json_lines;
mod step_line;
pub mod tensorboard;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use step_line::StepLine;

use self::json_lines::{JsonLines, STEPS_FILE};
use self::tensorboard::Tensorboard;
use crate::error::Result;
use crate::methods::Figure;
use crate::nearest_name::advice;
use crate::recipe::{Recipe, shortened};
use crate::runs::epoch_log::EpochRow;

/// A kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LoggerName {
    /// `steps.jsonl`, a JSON object for each step.
    JsonLines,
    /// Event files of TensorBoard.
    Tensorboard,
}

impl LoggerName {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::JsonLines, Self::Tensorboard];

    /// Returns the name in recipes and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonLines => "jsonl",
            Self::Tensorboard => "tensorboard",
        }
    }
}

impl fmt::Display for LoggerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for LoggerName {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        Self::ALL.into_iter().find(|logger| logger.as_str() == name).ok_or_else(|| {
            let note = if name == "csv" { " (log.csv is always written)" } else { "" };
            format!("unknown logger `{}`{note}{}", shortened(name), advice(name, &Self::ALL.map(Self::as_str)))
        })
    }
}

impl TryFrom<String> for LoggerName {
    type Error = String;

    fn try_from(name: String) -> std::result::Result<Self, String> {
        name.parse()
    }
}

impl From<LoggerName> for String {
    fn from(logger: LoggerName) -> String {
        logger.to_string()
    }
}

/// Whether a file name in a run folder is one of a log.
pub(crate) fn is_own_log(name: &str) -> bool {
    name.starts_with(STEPS_FILE) || tensorboard::is_own(name)
}

/// The logs of a run.
#[derive(Default)]
pub struct Loggers {
    json_lines: Option<JsonLines>,
    tensorboard: Option<Tensorboard>,
}

impl Loggers {
    /// Opens the logs that the recipe names, after the last finished epoch of the run. An earlier process may have logged more: the projector
    /// then shows embeddings of earlier weights, and is withdrawn.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn open(recipe: &Recipe, folder: &Path, figures: &[Figure], epochs_done: usize, steps: usize) -> Result<Self> {
        tensorboard::projector::withdraw(folder)?;
        let has = |logger| recipe.logger.contains(&logger);
        let json_lines = has(LoggerName::JsonLines).then(|| JsonLines::after(&folder.join(STEPS_FILE), epochs_done));
        let tensorboard =
            has(LoggerName::Tensorboard).then(|| Tensorboard::after(folder, recipe, figures, epochs_done, steps));
        Ok(Self { json_lines: json_lines.transpose()?, tensorboard: tensorboard.transpose()? })
    }

    /// Whether the logs of a run that has trained all epochs lack their end, because its process was killed before it.
    pub fn lack_end(recipe: &Recipe, folder: &Path) -> bool {
        recipe.logger.contains(&LoggerName::Tensorboard) && tensorboard::lacks_end(folder)
    }

    /// Ends the logs of a run that has trained all epochs in an earlier process.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn end_later(recipe: &Recipe, folder: &Path) -> Result<()> {
        if recipe.logger.contains(&LoggerName::Tensorboard) {
            let mut log = Tensorboard::continued(folder, &[])?;
            log.end()?;
            log.flush()?;
        }
        Ok(())
    }

    /// Logs a step.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn step(&mut self, line: &StepLine<'_>) -> Result<()> {
        if let Some(log) = &mut self.json_lines {
            log.step(line)?;
        }
        match &mut self.tensorboard {
            Some(log) => log.step(line),
            None => Ok(()),
        }
    }

    /// Logs an epoch. `step` is its last step, counted from the start of the run.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn epoch(&mut self, row: &EpochRow, step: usize) -> Result<()> {
        match &mut self.tensorboard {
            Some(log) => log.epoch(row, step),
            None => Ok(()),
        }
    }

    /// Hands what has been logged to the system, so that readers see it and a killed process does not lose it.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        if let Some(log) = &mut self.json_lines {
            log.flush()?;
        }
        match &mut self.tensorboard {
            Some(log) => log.flush(),
            None => Ok(()),
        }
    }

    /// Ends the logs of a run that has trained all epochs.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn end(&mut self) -> Result<()> {
        if let Some(log) = &mut self.tensorboard {
            log.end()?;
        }
        self.flush()
    }
}
