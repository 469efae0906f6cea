//! The figures of a benchmark with program, machine and date, as a JSON file.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::machine::{Machine, today};
use qare_lab::PrintablePath;
use qare_lab::runs::files::{folder_of, write_whole};
use qare_lab::{LabError, Result};

/// The benchmark of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name and version.
    pub program: String,
    pub backend: String,
    pub date: String,
    pub machine: Machine,
    pub figures: Vec<Figure>,
}

impl Report {
    /// Starts a report of this program with the figures of an earlier file, if it exists.
    pub fn start(known: Option<&Path>) -> Result<Self> {
        let figures = match known.filter(|path| path.exists()) {
            Some(path) => Self::read(path)?.figures,
            None => Vec::new(),
        };
        Ok(Self {
            program: format!("qare {}", env!("CARGO_PKG_VERSION")),
            backend: crate::backend::NAME.to_string(),
            date: today(),
            machine: Machine::current(),
            figures,
        })
    }

    /// Reads a report of this program or another one.
    ///
    /// # Errors
    /// If the file cannot be read or is not a report.
    pub fn read(path: &Path) -> Result<Self> {
        let unreadable = |error: String| {
            LabError::Usage(format!(
                "{}: {error}; expected a file written by `qare bench --json` or `apps/bench/pytorch/bench.py --json`",
                path.printable()
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))
    }

    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).expect("a report is valid JSON");
        write_whole(path, format!("{text}\n").as_bytes())
    }

    /// Adds figures. A figure replaces an earlier one with the same key, or with `least` takes over what of it is less.
    pub fn add(&mut self, mut figures: Vec<Figure>, least: bool) {
        if least {
            for figure in &mut figures {
                if let Some(earlier) = self.figure(&figure.key) {
                    figure.take_less(earlier);
                }
            }
        }
        self.figures.retain(|known| figures.iter().all(|figure| figure.key != known.key));
        self.figures.extend(figures);
    }

    pub fn figure(&self, key: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.key == key)
    }

    /// Program, version and backend.
    pub fn name(&self) -> String {
        format!("{} ({})", self.program, self.backend)
    }

    /// Program and backend without versions.
    pub fn short_name(&self) -> String {
        format!("{} ({})", self.program.split([' ', ',']).next().unwrap_or_default(), self.backend)
    }

    /// A line with program, machine and date.
    pub fn head(&self) -> String {
        let Machine { cpu, cores, threads, gpu, system } = &self.machine;
        let gpu = gpu.as_ref().map_or(String::new(), |gpu| format!(", {gpu}"));
        format!("{}: {cpu}, {cores} cores, {threads} threads{gpu}, {system}, {}", self.name(), self.date)
    }
}

/// Checks that a file can be written, before anything is measured.
///
/// # Errors
/// If the folder does not exist, or the path is a folder.
pub fn writable(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if !folder.is_dir() {
        return Err(LabError::Usage(format!("{}: there is no folder {}", path.printable(), folder.printable())));
    }
    if path.is_dir() || path.file_name().is_none() {
        return Err(LabError::Usage(format!("{}: is a folder, expected the name of a file", path.printable())));
    }
    Ok(())
}
