//! `steps.jsonl`: a JSON object for each step of training.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::StepLine;
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::files::write_whole;

/// Name of the file in the run folder.
pub const STEPS_FILE: &str = "steps.jsonl";

/// The log of all steps.
pub struct JsonLines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl JsonLines {
    /// Continues the log after the last step of `epochs_done` epochs. Later lines belong to steps that will be repeated, and are deleted, as is
    /// the beginning of a line that a killed process left.
    ///
    /// # Errors
    /// If the file cannot be read or written, or an earlier line is damaged.
    pub fn after(path: &Path, epochs_done: usize) -> Result<Self> {
        let before = match std::fs::read(path) {
            Ok(bytes) if epochs_done > 0 => bytes,
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(LabError::io("read", path, error)),
        };
        let mut kept = 0;
        for (place, line) in before.split_inclusive(|byte| *byte == b'\n').enumerate() {
            match epoch_of(line) {
                Some(epoch) if epoch <= epochs_done && line.ends_with(b"\n") => kept += line.len(),
                Some(_) => break,
                None if !line.ends_with(b"\n") => break,
                None => {
                    return Err(LabError::Failed(format!(
                        "{} is damaged: line {}: expected an object with an epoch; nothing was changed: repair it, or move it away to go on \
                         without its steps",
                        path.printable(),
                        place + 1
                    )));
                }
            }
        }
        write_whole(path, &before[..kept])?;
        let file = OpenOptions::new().append(true).open(path).map_err(|error| LabError::io("write", path, error))?;
        Ok(Self { path: path.to_path_buf(), file: BufWriter::new(file) })
    }

    /// Adds a line.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn step(&mut self, line: &StepLine<'_>) -> Result<()> {
        let (rate, speed) = (line.learning_rate, line.figures.views_per_second);
        let times = [("learning_rate", rate), ("views_per_second", speed), ("seconds", line.seconds())];
        let times = times.into_iter().map(|(name, value)| (name.to_string(), value));
        let numbers = line.figures().chain(times).map(|(name, value)| format!(",{}:{}", json!(name), json!(value)));
        let text = format!("{{\"step\":{},\"epoch\":{}{}}}\n", line.step, line.epoch, numbers.collect::<String>());
        self.file.write_all(text.as_bytes()).map_err(|error| LabError::io("write", &self.path, error))
    }

    /// Hands all lines to the system.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file.flush().map_err(|error| LabError::io("write", &self.path, error))
    }
}

/// Returns the epoch of a line; `None` if it is damaged.
fn epoch_of(line: &[u8]) -> Option<usize> {
    serde_json::from_slice::<Value>(line).ok()?["epoch"].as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::Figure;
    use crate::training::live::{LiveFigure, LiveValues};
    use crate::training::step::StepFigures;

    /// Logs steps 1 to `last` of a run with three steps an epoch, after `epochs_done` epochs.
    fn log(path: &Path, epochs_done: usize, last: usize) {
        let mut log = JsonLines::after(path, epochs_done).unwrap();
        for step in 3 * epochs_done + 1..=last {
            let mut live = LiveValues::default();
            if step % 3 == 1 {
                live.insert(LiveFigure::RankMe, 4.5);
            }
            let figures = StepFigures {
                loss: 0.5,
                method: vec![f64::from(step as u32)],
                views: 10,
                views_per_second: 20.0,
                live,
                ..Default::default()
            };
            let names = [Figure::term("Pair-wise")];
            let epoch = (step - 1) / 3 + 1;
            log.step(&StepLine { step, epoch, learning_rate: 0.25, figures: &figures, names: &names }).unwrap();
        }
        log.flush().unwrap();
    }

    #[test]
    fn a_step_is_an_object_on_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(STEPS_FILE);
        log(&path, 0, 2);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "{\"step\":1,\"epoch\":1,\"loss\":0.5,\"pair_wise\":1.0,\"rankme\":4.5,\"learning_rate\":0.25,\
             \"views_per_second\":20.0,\"seconds\":0.5}\n\
             {\"step\":2,\"epoch\":1,\"loss\":0.5,\"pair_wise\":2.0,\"learning_rate\":0.25,\"views_per_second\":20.0,\
             \"seconds\":0.5}\n"
        );
    }

    #[test]
    fn a_resumed_log_is_that_of_an_uninterrupted_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(STEPS_FILE);
        let read = || std::fs::read_to_string(&path).unwrap();
        log(&path, 0, 12);
        let whole = read();
        // Killed in the third epoch, in the middle of a line.
        let killed = &whole[..whole.lines().take(7).map(|line| line.len() + 1).sum::<usize>() + 9];
        for (left, epochs_done) in [(killed, 2), (&whole[..], 3), (&whole[..], 0), ("", 0)] {
            std::fs::write(&path, left).unwrap();
            log(&path, epochs_done, 12);
            assert_eq!(read(), whole, "{epochs_done}");
        }
        // A damaged line is told, and kept with all others.
        let damaged = whole.replacen("{\"step\":3,", "{\"st", 1);
        std::fs::write(&path, &damaged).unwrap();
        let error = JsonLines::after(&path, 2).err().unwrap().to_string();
        assert!(error.contains("steps.jsonl is damaged: line 3"), "{error}");
        assert_eq!(read(), damaged);
        // A run that is logged from its third epoch on.
        std::fs::remove_file(&path).unwrap();
        log(&path, 2, 12);
        assert!(whole.ends_with(&read()) && read().lines().count() == 6);
    }
}
