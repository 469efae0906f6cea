//! The report of a check.

use std::fmt::{self, Display};
use std::path::PathBuf;

use qare_printable::printable;

use crate::datasets::DatasetName;
use crate::error::{DataError, counted, with_cause};

/// Number of problems that a finding lists; further ones are counted.
pub const NAMED_PROBLEMS: usize = 100;

/// The datasets that [`check`](crate::check()) found in a folder.
#[derive(Debug)]
pub struct Report {
    /// The folder that was checked.
    pub dir: PathBuf,
    /// The datasets in it.
    pub findings: Vec<Finding>,
    /// What the folder holds instead, if it holds no dataset.
    pub notes: Vec<String>,
}

/// A dataset on disk.
#[derive(Debug)]
pub struct Finding {
    /// The names that it can be loaded with.
    pub datasets: Vec<DatasetName>,
    /// The form of its files.
    pub form: &'static str,
    /// The folder of the files.
    pub dir: PathBuf,
    /// The splits that can be read.
    pub splits: Vec<SplitSummary>,
    /// The first [`NAMED_PROBLEMS`] problems. Each is an error of [`load`](crate::load).
    pub problems: Vec<DataError>,
    /// Number of further problems.
    pub further_problems: usize,
    /// Remarks that are no problems, such as missing classes.
    pub notes: Vec<String>,
    /// Whether it is the complete published dataset; `None` if that is unknown, as for a folder of images.
    pub complete: Option<bool>,
}

/// The images of a split and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitSummary {
    /// `train`, `test` or `unlabeled`.
    pub name: &'static str,
    /// The number of images.
    pub images: usize,
    /// The number of classes with images; 0 without labels.
    pub classes: usize,
    /// The smallest and the largest label; `None` without labels.
    pub labels: Option<(u16, u16)>,
    /// Number of images of the smallest and of the largest class.
    pub class_sizes: (usize, usize),
}

impl SplitSummary {
    pub(crate) fn of(name: &'static str, labels: impl Iterator<Item = u16>) -> Self {
        let mut counts = vec![0usize; usize::from(u16::MAX) + 1];
        labels.for_each(|label| counts[usize::from(label)] += 1);
        let there = || counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(label, _)| label as u16);
        let sizes = || counts.iter().copied().filter(|count| *count > 0);
        Self {
            name,
            images: counts.iter().sum(),
            classes: there().count(),
            labels: there().min().zip(there().max()),
            class_sizes: (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0)),
        }
    }

    pub(crate) fn unlabeled(name: &'static str, images: usize) -> Self {
        Self { name, images, classes: 0, labels: None, class_sizes: (0, 0) }
    }
}

impl Report {
    /// Whether there is a dataset and no problem.
    pub fn is_sound(&self) -> bool {
        !self.findings.is_empty() && self.findings.iter().all(Finding::is_sound)
    }

    /// The end of a message about a folder that is not sound: "there is no dataset in DIR" or "2 problems in DIR, see above";
    /// [`None`] if it is sound.
    pub fn fault(&self) -> Option<String> {
        let dir = printable(&self.dir);
        if self.findings.is_empty() {
            return Some(format!("there is no dataset in {dir}"));
        }
        let problems = self.findings.iter().map(|finding| finding.problems.len() + finding.further_problems).sum();
        (problems > 0).then(|| format!("{} in {dir}, see above", counted(problems, "problem")))
    }
}

impl Finding {
    /// Whether there is no problem, so the dataset can be loaded. It may still be incomplete.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn new(datasets: &[DatasetName], form: &'static str, dir: PathBuf) -> Self {
        Self {
            datasets: datasets.to_vec(),
            form,
            dir,
            splits: Vec::new(),
            problems: Vec::new(),
            further_problems: 0,
            notes: Vec::new(),
            complete: None,
        }
    }

    pub(crate) fn add(&mut self, problems: impl IntoIterator<Item = DataError>) {
        for problem in problems {
            if self.problems.len() < NAMED_PROBLEMS {
                self.problems.push(problem);
            } else {
                self.further_problems += 1;
            }
        }
    }

    /// Returns the value, or adds the problems.
    pub(crate) fn take<T>(&mut self, result: Result<T, Vec<DataError>>) -> Option<T> {
        result.map_err(|problems| self.add(problems)).ok()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.findings.is_empty() {
            let names: Vec<&str> =
                DatasetName::ALL.iter().filter(|name| name.needs_files()).map(|n| n.as_str()).collect();
            write!(f, "{}: no dataset found (looked for {})", printable(&self.dir), names.join(", "))?;
            return self.notes.iter().try_for_each(|note| write!(f, "\n  note: {note}"));
        }
        for (place, finding) in self.findings.iter().enumerate() {
            write!(f, "{}{finding}", if place > 0 { "\n" } else { "" })?;
        }
        Ok(())
    }
}

impl Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.datasets.iter().map(|name| name.as_str()).collect();
        let state = match (self.problems.len() + self.further_problems, self.complete) {
            (0, Some(true)) => "sound and complete".to_owned(),
            (0, Some(false)) => "sound, but only a part of the dataset".to_owned(),
            (0, None) => "sound".to_owned(),
            (count, _) => counted(count, "problem"),
        };
        write!(f, "{} ({}) in {}: {state}", names.join(", "), self.form, printable(&self.dir))?;
        for split in &self.splits {
            write!(f, "\n  {split}")?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        for problem in &self.problems {
            write!(f, "\n  problem: {}", with_cause(problem))?;
        }
        if self.further_problems > 0 {
            write!(f, "\n  and {} more", self.further_problems)?;
        }
        Ok(())
    }
}

impl Display for SplitSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, counted(self.images, "image"))?;
        let Some((first, last)) = self.labels else {
            return Ok(());
        };
        let (smallest, largest) = self.class_sizes;
        write!(f, ", {} (labels {first} to {last})", counted(self.classes, "class"))?;
        if smallest == largest {
            write!(f, ", {} each", counted(largest, "image"))
        } else {
            write!(f, ", {smallest} to {largest} images each")
        }
    }
}
