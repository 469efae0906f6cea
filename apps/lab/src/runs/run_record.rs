//! The entry `run` of `results.json`: the processes and images that a run's weights and figures come from.

use std::path::PathBuf;

use qare_data::Splits;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use log::info;

use crate::error::{LabError, Result};
use crate::evaluation::labels;
use crate::recipe::Recipe;
use crate::runs::records::{self, results_file};
use crate::runs::run_folder::RunFolder;
use crate::version::{COMMIT, VERSION};

/// The origin of a run's weights and figures, besides its recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The process that started the run.
    #[serde(flatten)]
    pub began: Process,
    /// The processes that resumed the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continued: Vec<Process>,
    /// Seed of the run.
    pub seed: u64,
    /// Seed of the probe.
    pub probe_seed: u64,
    /// Name of the dataset.
    pub dataset: String,
    /// Absolute path of the folder of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Number of training images.
    pub images: usize,
    /// Number of broken images that were left out.
    #[serde(default)]
    pub skipped: usize,
    /// Class names, if the training split has labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Planned number of epochs: at the start, and after each extension.
    pub epochs: Vec<usize>,
}

/// One process of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Version of this crate.
    pub version: String,
    /// Commit of the sources.
    pub commit: String,
    /// Name of the backend.
    pub backend: String,
    /// Command line.
    pub command: Vec<String>,
    /// Start time in UTC.
    pub started: String,
    /// Number of finished epochs at the start of the process.
    pub after_epoch: usize,
}

/// A command line as a shell reads it.
pub fn shell_line<S: AsRef<str>>(command: &[S]) -> String {
    let quoted = command.iter().map(|word| shlex::try_quote(word.as_ref()).unwrap_or_else(|_| word.as_ref().into()));
    quoted.collect::<Vec<_>>().join(" ")
}

impl Process {
    fn current(backend: &str, after_epoch: usize) -> Self {
        Self {
            version: VERSION.into(),
            commit: COMMIT.into(),
            backend: backend.into(),
            command: std::env::args().collect(),
            started: OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default(),
            after_epoch,
        }
    }
}

impl RunRecord {
    /// Creates the record of a run that this process starts on a number of training images.
    pub fn begun(recipe: &Recipe, splits: &Splits, images: usize, backend: &str) -> Self {
        Self {
            began: Process::current(backend, 0),
            continued: Vec::new(),
            seed: recipe.seed,
            probe_seed: recipe.probe_seed(),
            dataset: recipe.dataset.to_string(),
            data_dir: recipe.data_dir.clone().filter(|_| recipe.dataset.needs_files()),
            images,
            skipped: splits.skipped.len(),
            classes: labels::names(&splits.train),
            epochs: vec![recipe.epochs],
        }
    }

    /// Reads the record in a run folder. Runs of version 0.1.0 have none.
    ///
    /// # Errors
    /// If the results file is damaged.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>> {
        let path = results_file(folder.path());
        let record = records::results(&path)?.remove(ENTRY).map(serde_json::from_value).transpose();
        record.map_err(|error| records::damaged_results(&path, &format!("`{ENTRY}`: {error}")))
    }

    /// Writes the record to a run folder.
    ///
    /// # Errors
    /// If the results file is damaged or cannot be written.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let record = serde_json::to_value(self).expect("plain data");
        records::record(&results_file(folder.path()), [(ENTRY.into(), record)])
    }

    /// Extends the record by this process, which resumes the run. `current` is the record of a run on the current images.
    ///
    /// # Errors
    /// If the classes of the images have changed since the run started.
    pub fn continued(&self, current: &Self, after_epoch: usize) -> Result<Self> {
        if let (Some(before), Some(now)) = (&self.classes, &current.classes)
            && before != now
        {
            return Err(LabError::Usage(format!(
                "the run cannot be resumed: {}; restore the class folders, or start another run with --id",
                labels::difference("it was trained on the classes", before, "the images now have", now)
            )));
        }
        if self.images != current.images {
            info!("note: the run started with {} images and resumes with {}", self.images, current.images);
        }
        let mut record = Self {
            data_dir: current.data_dir.clone(),
            skipped: current.skipped,
            probe_seed: current.probe_seed,
            ..self.clone()
        };
        record.continued.push(Process::current(&current.began.backend, after_epoch));
        if record.epochs.last() != current.epochs.last() {
            record.epochs.extend(&current.epochs);
        }
        Ok(record)
    }
}

/// Key of the record in `results.json`.
const ENTRY: &str = "run";

#[cfg(test)]
mod tests {
    use qare_data::ImageSet;

    use super::*;

    fn record(classes: &[&str], epochs: usize) -> RunRecord {
        let names: Vec<String> = classes.iter().map(|name| name.to_string()).collect();
        let images = ImageSet::new(vec![0; 24], vec![0, 1], 2, names).unwrap();
        let recipe = Recipe { epochs, data_dir: Some("/data".into()), ..Default::default() };
        RunRecord::begun(&recipe, &Splits::new(images.clone(), images), 2, "flex")
    }

    #[test]
    fn a_run_resumes_only_with_the_same_classes() {
        let run = record(&["green", "red"], 2);
        let error = run.continued(&record(&["red", "zgreen"], 2), 1).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("zgreen") && error.to_string().contains("green"), "{error}");
        let longer = run.continued(&record(&["green", "red"], 4), 2).unwrap();
        assert_eq!((longer.epochs, longer.continued[0].after_epoch), (vec![2, 4], 2));
    }

    #[test]
    fn a_record_is_unchanged_by_writing_and_reading() {
        let run = record(&["a", "b"], 3);
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), run);
        assert!(run.began.started.ends_with('Z'), "{}", run.began.started);
    }
}
