//! Event files of TensorBoard, in the run folder: scalars of steps and epochs, and the settings of the recipe as hyperparameters. At the end,
//! the files of the projector follow.
//!
//! `tensorboard --logdir OUT` shows all runs in a folder. The format is written here, because it is small: no crate for it is maintained.

mod event;
mod message;
pub mod projector;
mod record;
mod settings;

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use self::event::Status;
use self::record::record;
use self::settings::settings;
use super::StepLine;
use crate::error::{LabError, Result};
use crate::methods::Figure;
use crate::recipe::Recipe;
use crate::runs::epoch_log::EpochRow;

/// Beginning of the names of event files. TensorBoard looks for `tfevents`.
const PREFIX: &str = "events.out.tfevents.";

/// Whether a file name is that of an event file or of the projector.
pub(super) fn is_own(name: &str) -> bool {
    name.starts_with(PREFIX) || projector::is_own(name)
}

/// Whether a folder has event files without the files of the projector, which are written last.
pub(super) fn lacks_end(folder: &Path) -> bool {
    !projector::is_written(folder) && earlier_files(folder).is_ok_and(|files| !files.is_empty())
}

/// The event file of this process.
pub struct Tensorboard {
    path: PathBuf,
    file: BufWriter<File>,
    names: Vec<Figure>,
}

impl Tensorboard {
    /// Creates an event file. If the run resumes after `epochs_done` epochs of `steps` steps, earlier files stay, and TensorBoard forgets what
    /// they say about later steps.
    ///
    /// # Errors
    /// If the folder cannot be read or the file cannot be written.
    pub fn after(folder: &Path, recipe: &Recipe, names: &[Figure], epochs_done: usize, steps: usize) -> Result<Self> {
        if epochs_done == 0 {
            // Files of a process that was killed in the first epoch.
            for (_, path) in earlier_files(folder)? {
                std::fs::remove_file(&path).map_err(|error| LabError::io("delete", &path, error))?;
            }
        }
        let mut log = Self::continued(folder, names)?;
        match epochs_done {
            0 => {
                // A name of the session groups the runs that it belongs to: here the run alone.
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                log.write(&event::session_start(now(), &name, &settings(recipe)))?;
            }
            _ => log.write(&event::start(now(), epochs_done * steps + 1))?,
        }
        log.flush()?;
        Ok(log)
    }

    /// Creates an event file that continues those of earlier processes.
    ///
    /// # Errors
    /// If the folder cannot be read or the file cannot be written.
    pub(super) fn continued(folder: &Path, names: &[Figure]) -> Result<Self> {
        // TensorBoard reads files in the order of their names.
        let after_earlier = earlier_files(folder)?.iter().map(|(second, _)| second + 1).max().unwrap_or_default();
        let second = (now() as u64).max(after_earlier);
        let path = folder.join(format!("{PREFIX}{second:010}.{}", std::process::id()));
        let opened = OpenOptions::new().create_new(true).append(true).open(&path);
        let file = BufWriter::new(opened.map_err(|error| LabError::io("write", &path, error))?);
        let mut log = Self { path, file, names: names.to_vec() };
        log.write(&event::version(now()))?;
        Ok(log)
    }

    fn write(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record(event)).map_err(|error| LabError::io("write", &self.path, error))
    }

    /// Adds the scalars `train/…` of a step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn step(&mut self, line: &StepLine<'_>) -> Result<()> {
        let speed = line.figures.views_per_second;
        let others = [("learning_rate", line.learning_rate), ("views_per_second", speed)];
        let others = others.into_iter().map(|(name, value)| (name.to_string(), value));
        let values = line.figures().chain(others).map(|(name, value)| (format!("train/{name}"), value));
        self.write(&event::scalars(now(), line.step, values))
    }

    /// Adds the scalars `epoch/…` of an epoch, at its last step.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn epoch(&mut self, row: &EpochRow, step: usize) -> Result<()> {
        let EpochRow { loss, score, method, live, seconds, .. } = row;
        let method = self.names.iter().zip(method).map(|(figure, value)| (figure.column(), *value));
        let live = live.iter().map(|(figure, value)| (figure.figure().column(), value));
        let named = [("loss", Some(*loss)), ("score", *score), ("seconds", Some(*seconds))];
        let named = named.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
        let values: Vec<_> =
            named.chain(method).chain(live).map(|(name, value)| (format!("epoch/{name}"), value)).collect();
        self.write(&event::scalars(now(), step, values))
    }

    /// Adds that the run has ended.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn end(&mut self) -> Result<()> {
        self.write(&event::session_end(now(), Status::Success))
    }

    /// Hands all events to the system.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| LabError::io("write", &self.path, error))
    }
}

/// Returns the event files in a folder, with the seconds in their names.
fn earlier_files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = std::fs::read_dir(folder).map_err(|error| LabError::io("read", folder, error))?;
    let event_file = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix(PREFIX)?;
        Some((name.split('.').next()?.parse().ok()?, path))
    };
    Ok(entries.flatten().filter_map(|entry| event_file(entry.path())).collect())
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
