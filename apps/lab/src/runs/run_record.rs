//! The entry `run` of `results.json`: where a run's weights and figures come from.

use std::path::PathBuf;

use qare_data::Splits;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use log::info;

use crate::error::{LabError, Result};
use crate::evaluation::labels;
use crate::recipe::Recipe;
use crate::runs::run_folder::{self, RunFolder, results_file};
use crate::version::{COMMIT, VERSION};

/// What is known of a run besides its recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The process that began the run.
    #[serde(flatten)]
    pub began: Process,
    /// Processes that went on with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub continued: Vec<Process>,
    /// The run's.
    pub seed: u64,
    /// The probe's.
    pub probe_seed: u64,
    /// The dataset's name.
    pub dataset: String,
    /// The absolute folder of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Images trained on.
    pub images: usize,
    /// Broken images that were left out.
    #[serde(default)]
    pub skipped: usize,
    /// Names of the labels, if the images trained on or their siblings have labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// How many epochs the run was to have, first and after each extension.
    pub epochs: Vec<usize>,
}

/// One process of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Of this crate.
    pub version: String,
    /// Of the sources.
    pub commit: String,
    /// What it computed on.
    pub backend: String,
    /// How it was called.
    pub command: Vec<String>,
    /// When it started, in UTC.
    pub started: String,
    /// Whole epochs there were when it started.
    pub after_epoch: usize,
}

impl Process {
    fn this(backend: &str, after_epoch: usize) -> Self {
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
    /// The record of a run that this process begins on so many images of these splits.
    pub fn begun(recipe: &Recipe, splits: &Splits, images: usize, backend: &str) -> Self {
        Self {
            began: Process::this(backend, 0),
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

    /// The record in a run folder; runs of version 0.1.0 have none.
    pub fn read(folder: &RunFolder) -> Result<Option<Self>> {
        let path = results_file(folder.path());
        let record = run_folder::results(&path)?.remove(ENTRY).map(serde_json::from_value).transpose();
        record.map_err(|error| run_folder::damaged_results(&path, &format!("`{ENTRY}`: {error}")))
    }

    /// Puts the record into a run folder.
    pub fn write(&self, folder: &RunFolder) -> Result<()> {
        let record = serde_json::to_value(self).expect("plain data");
        run_folder::record(&results_file(folder.path()), [(ENTRY.into(), record)])
    }

    /// The record of the same run as this process goes on with it, on the images of now.
    ///
    /// # Errors
    /// If the labels no longer mean what they meant when the run began.
    pub fn continued(&self, now: &Self, after_epoch: usize) -> Result<Self> {
        if let (Some(then), Some(now)) = (&self.classes, &now.classes)
            && then != now
        {
            return Err(LabError::Usage(format!(
                "the run cannot go on: {}; put the class folders back, or start another run with --id",
                labels::difference("it was trained on", then, "the images are now", now)
            )));
        }
        if self.images != now.images {
            info!("note: the run began with {} images, and goes on with {}", self.images, now.images);
        }
        let mut record =
            Self { data_dir: now.data_dir.clone(), skipped: now.skipped, probe_seed: now.probe_seed, ..self.clone() };
        record.continued.push(Process::this(&now.began.backend, after_epoch));
        if record.epochs.last() != now.epochs.last() {
            record.epochs.extend(&now.epochs);
        }
        Ok(record)
    }
}

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
    fn a_run_goes_on_only_while_labels_mean_the_same() {
        let run = record(&["green", "red"], 2);
        let error = run.continued(&record(&["red", "zgreen"], 2), 1).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("zgreen") && error.to_string().contains("green"), "{error}");
        let longer = run.continued(&record(&["green", "red"], 4), 2).unwrap();
        assert_eq!((longer.epochs, longer.continued[0].after_epoch), (vec![2, 4], 2));
    }

    #[test]
    fn a_record_survives_its_own_file() {
        let run = record(&["a", "b"], 3);
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&text).unwrap(), run);
        assert!(run.began.started.ends_with('Z'), "{}", run.began.started);
    }
}
