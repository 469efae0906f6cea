//! The runs in a folder: what each is, how far it is, and how good.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lock::Lock;
use super::log_table::LogTable;
use super::records::{self, latest, recipe_in, results_file};
use super::run_folder::RunFolder;
use super::run_record::RunRecord;
use super::stage_figures::headline;
use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;

/// How many folders deep runs are looked for.
const DEPTH: usize = 3;

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// A process holds the lock of its folder.
    Running,
    /// It has fewer epochs than its recipe asks for, and no process writes it.
    Stopped,
    /// It has all its epochs.
    Done,
    /// One of its files cannot be read.
    Damaged,
}

impl RunState {
    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Damaged => "damaged",
        }
    }
}

/// A test accuracy or Recall@1 of a run, or, before there is one, its latest validation score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Accuracy {
    /// In percent.
    pub percent: f64,
    /// Where it is from: `probe`, `knn`, `retrieve`, another stage of `results.json`, or `score` of the log.
    pub stage: String,
}

/// A run in a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ListedRun {
    /// The run folder.
    pub folder: PathBuf,
    /// Its recipe, unless that is damaged.
    #[serde(skip)]
    pub recipe: Option<Recipe>,
    /// Method, as text.
    pub method: String,
    /// Training dataset.
    pub dataset: String,
    /// Backbone.
    pub backbone: String,
    /// Seed.
    pub seed: Option<u64>,
    /// Number of finished epochs.
    pub epochs_done: usize,
    /// Number of epochs that the recipe asks for; 0 for an untrained backbone.
    pub epochs: usize,
    /// What it is doing.
    pub state: RunState,
    /// The process that writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Its best-founded accuracy.
    pub accuracy: Option<Accuracy>,
    /// When it was started, in UTC (RFC 3339).
    pub started: Option<String>,
    /// When its records were last written, in UTC (RFC 3339).
    pub updated: Option<String>,
    /// What is wrong with a damaged run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Returns the run folders in a folder and in folders below it, sorted by path; the folder itself if it is a run.
///
/// # Errors
/// If the folder does not exist or cannot be read.
pub fn run_folders(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Err(LabError::Usage(format!("there is no folder {}", dir.printable())));
    }
    let mut found = Vec::new();
    search(dir, DEPTH, &mut found).map_err(|error| LabError::io("read", dir, error))?;
    found.sort();
    Ok(found)
}

fn search(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if dir.join("recipe.toml").is_file() {
        found.push(dir.to_path_buf());
    } else if depth > 0 {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            // Hidden folders hold replaced runs. A folder that may not be read is passed over.
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if path.is_dir() && !path.is_symlink() && !hidden {
                let _ = search(&path, depth - 1, found);
            }
        }
    }
    Ok(())
}

/// Describes the run in a folder. A damaged run is described too, as far as it can be read.
pub fn describe(folder: &Path) -> ListedRun {
    let process = Lock::holder_of_run(folder);
    let mut run = ListedRun {
        folder: folder.to_path_buf(),
        recipe: None,
        method: String::new(),
        dataset: String::new(),
        backbone: String::new(),
        seed: None,
        epochs_done: 0,
        epochs: 0,
        state: RunState::Damaged,
        process,
        accuracy: None,
        started: None,
        updated: updated(folder),
        problem: None,
    };
    if let Err(error) = read_into(&mut run) {
        run.problem = Some(error.to_string());
    }
    run
}

fn read_into(run: &mut ListedRun) -> Result<()> {
    let folder = run.folder.clone();
    let Some(recipe) = recipe_in(&folder)? else { return Ok(()) };
    run.method = recipe.method.to_string();
    run.dataset = recipe.dataset.to_string();
    run.backbone = recipe.backbone.to_string();
    run.seed = Some(recipe.seed);
    run.epochs = if recipe.method == crate::methods::Method::Randomweights { 0 } else { recipe.epochs };
    run.recipe = Some(recipe.clone());
    let record = RunRecord::read(&RunFolder::at(&folder, &recipe))?;
    run.started = record.map(|record| record.began.started);
    let results = Value::Object(records::results(&results_file(&folder))?);
    run.accuracy = accuracy(&recipe, &results);
    let latest = latest(&folder)?;
    run.epochs_done = latest.as_ref().map_or(0, |latest| latest.epoch);
    if run.accuracy.is_none() {
        let score = LogTable::of_run(&folder)?.last("score");
        run.accuracy = score.map(|percent| Accuracy { percent, stage: "score".into() });
    }
    run.state = match (&run.process, latest) {
        (Some(_), _) => RunState::Running,
        (None, Some(latest)) if latest.epoch >= run.epochs => RunState::Done,
        _ => RunState::Stopped,
    };
    Ok(())
}

/// Returns the accuracy of the first of these stages that the results have: test of the classifier, probe, kNN, and retrieval with Recall@1 or
/// CMC@1.
fn accuracy(recipe: &Recipe, results: &Value) -> Option<Accuracy> {
    ["test", "probe", "knn", "retrieve"].into_iter().find_map(|name| {
        let stage = recipe.stage(name);
        Some(Accuracy { percent: headline(&results[&stage])?, stage })
    })
}

/// Returns the time of the latest record.
fn updated(folder: &Path) -> Option<String> {
    let names = ["recipe.toml", "log.csv", "latest.json", "results.json"];
    let times = names.iter().filter_map(|name| folder.join(name).metadata().ok()?.modified().ok());
    times.max().map(rfc3339)
}

fn rfc3339(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::epoch_log::{EpochLog, EpochRow};
    use crate::runs::records::Latest;
    use crate::training::live::LiveValues;
    use serde_json::json;

    fn run(out: &Path, id: &str, epochs: usize, done: usize) -> RunFolder {
        let recipe = Recipe { out: out.into(), id: Some(id.into()), epochs, ..Default::default() };
        let folder = RunFolder::of(&recipe);
        folder.create(&recipe).unwrap();
        let mut log = EpochLog::after(folder.file("log.csv"), &[], &[], 0).unwrap();
        for epoch in 1..=done {
            let row = EpochRow {
                epoch,
                loss: 1.0,
                score: Some(10.0 * epoch as f64),
                method: Vec::new(),
                live: LiveValues::default(),
                learning_rate: 1e-3,
                views_per_second: 1.0,
                seconds: 1.0,
            };
            log.push(&row).unwrap();
            let weights = folder.weights_name(epoch);
            std::fs::write(folder.file(&weights), "").unwrap();
            folder.set_latest(&Latest { epoch, weights, optimizer: None, loss_scale: None }).unwrap();
        }
        folder
    }

    #[test]
    fn states_follow_the_lock_and_the_epochs() {
        let dir = tempfile::tempdir().unwrap();
        let (done, stopped) = (run(dir.path(), "a", 2, 2), run(&dir.path().join("deep/er"), "b", 3, 1));
        let begun = run(dir.path(), "c", 3, 0);
        std::fs::create_dir_all(dir.path().join(".x.replaced")).unwrap();
        std::fs::write(dir.path().join(".x.replaced/recipe.toml"), "").unwrap();
        let mut expected = vec![done.path().to_path_buf(), begun.path().into(), stopped.path().into()];
        expected.sort();
        assert_eq!(run_folders(dir.path()).unwrap(), expected);
        assert_eq!(run_folders(done.path()).unwrap(), [done.path()]);
        assert_eq!(run_folders(&dir.path().join("none")).unwrap_err().exit_code(), 2);

        let found = describe(done.path());
        assert_eq!((found.state, found.epochs_done, found.epochs), (RunState::Done, 2, 2));
        assert_eq!(found.accuracy, Some(Accuracy { percent: 20.0, stage: "score".into() }));
        assert_eq!(describe(stopped.path()).state, RunState::Stopped);
        assert_eq!((describe(begun.path()).state, describe(begun.path()).epochs_done), (RunState::Stopped, 0));
        let lock = Lock::of_run(stopped.path(), "").unwrap();
        let found = describe(stopped.path());
        assert_eq!(found.state, RunState::Running);
        assert!(found.process.unwrap().contains("process"));
        drop(lock);
        assert_eq!(describe(stopped.path()).state, RunState::Stopped);
    }

    #[test]
    fn accuracies_of_tests_come_before_those_of_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let folder = run(dir.path(), "a", 1, 1);
        let mut stages = vec![("retrieve", json!({ "recall": { "1": 20.0 } }))];
        for (stage, percent) in [("retrieve", 20.0), ("knn", 30.0), ("probe", 40.0), ("test", 50.0)] {
            let file = results_file(folder.path());
            records::record(&file, stages.drain(..).map(|(name, value)| (name.to_string(), value))).unwrap();
            assert_eq!(describe(folder.path()).accuracy, Some(Accuracy { percent, stage: stage.into() }));
            stages = match stage {
                "retrieve" => vec![("knn", json!({ "accuracy": 30.0 }))],
                "knn" => vec![("probe", json!({ "test_accuracy": 40.0 }))],
                _ => vec![("test", json!({ "accuracy": 50.0 }))],
            };
        }
    }

    #[test]
    fn a_damaged_run_is_listed_with_its_problem() {
        let dir = tempfile::tempdir().unwrap();
        let folder = run(dir.path(), "a", 1, 1);
        std::fs::write(folder.file("latest.json"), "{").unwrap();
        let found = describe(folder.path());
        assert_eq!((found.state, found.method.as_str()), (RunState::Damaged, "sparseclr_qare"));
        assert!(found.problem.unwrap().contains("latest.json is damaged"));
    }
}
