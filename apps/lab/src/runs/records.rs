//! The records of a run: its recipe, its last finished epoch, and the figures of its stages.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::files::write_whole;
use crate::runs::lock::Lock;
use crate::training::loss_scale::LossScale;

/// The last finished epoch of a run. It is written after the files that it names, so these are complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latest {
    /// The epoch.
    pub epoch: usize,
    /// Name of the weights file.
    pub weights: String,
    /// Name of the file with the optimizer's state.
    pub optimizer: Option<String>,
    /// Loss scale of a run in f16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// Reads the recipe of the run in a folder, if there is one.
pub(super) fn recipe_in(folder: &Path) -> Result<Option<Recipe>> {
    const ADVICE: &str = "put it back from a copy, or replace the run with --overwrite";
    read_record(&folder.join("recipe.toml"), ADVICE, complete_recipe)
}

/// Reads the last finished epoch of the run in a folder, if there is one.
///
/// # Errors
/// If the file is damaged, or the weights that it names are missing.
pub fn latest(folder: &Path) -> Result<Option<Latest>> {
    const ADVICE: &str = "put it back from a copy, start another run from weights in the folder with --checkpoint FILE, or start it again with \
         --overwrite";
    read_record(&folder.join("latest.json"), ADVICE, |text| {
        let latest: Latest = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Latest { epoch, weights, .. } = &latest;
        let file = folder.join(weights);
        if !weights.ends_with(&format!("_epoch_{epoch}.safetensors")) {
            Err(format!("its weights file {weights} is not of epoch {epoch}"))
        } else if !file.is_file() {
            Err(format!("its weights file {} is missing", file.printable()))
        } else {
            Ok(latest)
        }
    })
}

/// Reads and parses a file of a run, if it exists.
///
/// # Errors
/// If it is damaged. `advice` ends the message.
fn read_record<T>(
    path: &Path,
    advice: &str,
    parse: impl FnOnce(&str) -> std::result::Result<T, String>,
) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|error| LabError::io("read", path, error))?;
    let parsed = match std::str::from_utf8(&bytes) {
        Err(_) => Err("it is not UTF-8 text".into()),
        Ok(text) if text.trim().is_empty() => Err("it is empty".into()),
        Ok(text) => parse(text),
    };
    parsed.map(Some).map_err(|problem| damaged(path, &problem, advice))
}

/// Returns the error for a damaged file of a run.
fn damaged(path: &Path, problem: &str, advice: &str) -> LabError {
    LabError::Failed(format!("{} is damaged: {problem}; nothing was changed: {advice}", path.printable()))
}

/// Parses the recipe of a run, which contains all settings. A truncated file is an error, so that defaults do not replace the missing
/// settings.
fn complete_recipe(text: &str) -> std::result::Result<Recipe, String> {
    let recipe = Recipe::parse(text)?;
    recipe.validate().map_err(|error| error.to_string())?;
    // `probe.augment` is the last setting of the file.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    match table.get("probe").and_then(|probe| probe.get("augment")) {
        Some(_) => Ok(recipe),
        None => Err("it is truncated: the setting `augment` in the table `probe` is missing".into()),
    }
}

/// Returns the path of a run folder's results.
pub fn results_file(folder: &Path) -> PathBuf {
    folder.join("results.json")
}

/// Advice for a damaged results file.
const ADVICE_ON_RESULTS: &str =
    "put it back from a copy, or move it away, which loses the previous figures and the class names";

/// Reads the figures of all stages by name; empty if the file does not exist.
///
/// # Errors
/// If the file is damaged.
pub fn results(file: &Path) -> Result<Map<String, Value>> {
    let results =
        read_record(file, ADVICE_ON_RESULTS, |text| serde_json::from_str(text).map_err(|error| error.to_string()))?;
    Ok(results.unwrap_or_default())
}

/// Returns the error for a damaged results file.
pub fn damaged_results(file: &Path, problem: &str) -> LabError {
    damaged(file, problem, ADVICE_ON_RESULTS)
}

/// Adds the figures of stages to a results file. Other stages are kept.
///
/// # Errors
/// If the file is damaged or cannot be written.
pub fn record(file: &Path, stages: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
    let _lock = Lock::of_file(file)?;
    let mut results = results(file)?;
    results.extend(stages);
    let text = serde_json::to_string_pretty(&results).expect("plain data");
    write_whole(file, format!("{text}\n").as_bytes())
}
