//! The folder of a run: its name and its files.
//!
//! ```text
//! METHOD_DATASET_BACKBONE_BATCH_FEATURES_EMBEDDING_ALPHA_BETA[_IMAGES][_ID]/
//!   recipe.toml      the recipe
//!   log.csv          one row for each epoch
//!   results.json     figures of all stages, and their origin
//!   latest.json      the last finished epoch, and its files
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E.safetensors                     weights
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E.optimizer                       state of the optimizer
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E_linear_evaluation.safetensors   backbone and classifier
//! ```
//!
//! The name is that of the paper's repository, extended by `IMAGES` for the dataset `folder`: the name of the folder of images and
//! a hash of its path, so that runs on two folders have different names.

use std::path::{Path, PathBuf};

use qare_data::DatasetName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::open_run::Existing;
use crate::error::{LabError, Result};
use crate::recipe::Recipe;
use crate::runs::files::{is_part, write_whole};
use crate::runs::lock::Lock;
use crate::training::loss_scale::LossScale;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Prefix of the names of weights files, up to the seed.
    prefix: String,
    seed: u64,
}

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

impl RunFolder {
    /// Returns the folder of a recipe's run, which need not exist.
    pub fn of(recipe: &Recipe) -> Self {
        let Recipe { method, dataset, backbone, seed, batch_size, outter_fs, alpha, beta, .. } = recipe;
        let features = backbone.feature_dim();
        let mut name = format!("{method}_{dataset}_{backbone}_{batch_size}_{features}_{outter_fs}_{alpha:?}_{beta:?}");
        for suffix in [images_of(recipe), recipe.id.clone()].into_iter().flatten() {
            name = format!("{name}_{suffix}");
        }
        Self { path: recipe.out.join(name), prefix: format!("{method}_{dataset}_{backbone}_seed_"), seed: *seed }
    }

    /// Returns a folder at a given path for a recipe's run.
    pub fn at(path: &Path, recipe: &Recipe) -> Self {
        Self { path: path.to_path_buf(), ..Self::of(recipe) }
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of a file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Returns the name of the weights file of an epoch.
    pub fn weights_name(&self, epoch: usize) -> String {
        format!("{}{}_epoch_{epoch}.safetensors", self.prefix, self.seed)
    }

    /// Returns the last epoch that has a weights file, according to the file names.
    pub fn latest_weights(&self) -> Option<usize> {
        let prefix = format!("{}{}_epoch_", self.prefix, self.seed);
        let epoch = |name: &str| {
            let rest = name.strip_prefix(&prefix)?;
            rest.strip_suffix(".safetensors")?.parse::<usize>().ok()
        };
        let entries = std::fs::read_dir(&self.path).ok()?.flatten();
        entries.filter_map(|entry| epoch(&entry.file_name().to_string_lossy())).max()
    }

    /// Returns the name of the file with the optimizer's state after an epoch.
    pub fn optimizer_name(&self, epoch: usize) -> String {
        format!("{}{}_epoch_{epoch}.optimizer", self.prefix, self.seed)
    }

    /// Whether the path exists.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Reads the recipe of the run in the folder, if there is one.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn recipe(&self) -> Result<Option<Recipe>> {
        recipe_in(&self.path)
    }

    /// Creates the folder and writes the recipe. The path `out` of the recipe is made absolute.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub fn create(&self, recipe: &Recipe) -> Result<()> {
        self.write_recipe(recipe)?;
        // Finish a replacement that was killed.
        let replaced = self.replaced_path();
        if replaced.is_dir() { self.discard(&replaced) } else { Ok(()) }
    }

    fn write_recipe(&self, recipe: &Recipe) -> Result<()> {
        std::fs::create_dir_all(&self.path).map_err(|error| LabError::io("make the run folder", &self.path, error))?;
        self.remove_parts();
        let out = std::path::absolute(&recipe.out).unwrap_or_else(|_| recipe.out.clone());
        let recipe = Recipe { out, ..recipe.clone() };
        write_whole(&self.file("recipe.toml"), recipe.to_toml().as_bytes())
    }

    /// Whether the folder contains only temporary files of a run that was killed before it wrote its recipe.
    fn has_only_own_parts(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| self.is_own_part(&entry.path()))
    }

    /// Whether a file is a temporary file of a run. While the run is locked by this process, no other process writes it.
    fn is_own_part(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_run_name = OWN_FILES.iter().any(|own| name.starts_with(own)) || name.starts_with(&self.prefix);
        is_part(path) && is_run_name && path.is_file()
    }

    /// Whether a file was written by a run in this folder, with any seed.
    fn is_own(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_run_name = OWN_FILES.contains(&&*name) || (name.starts_with(&self.prefix) && name.contains("_epoch_"));
        (is_run_name && path.is_file()) || self.is_own_part(path)
    }

    /// Whether the folder contains only files that were written by a run in it.
    pub(crate) fn has_only_own_files(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| self.is_own(&entry.path()))
    }

    /// Returns the path to which a run is moved while it is replaced.
    fn replaced_path(&self) -> PathBuf {
        let name = self.path.file_name().expect("a run has a name").to_string_lossy();
        self.path.with_file_name(format!(".{name}.replaced"))
    }

    fn remove_parts(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if self.is_own_part(&entry.path()) {
                // A leftover file does no harm, so an error is ignored.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Replaces the run in the folder by a new one. The old run is deleted last, and files that no run wrote are kept.
    ///
    /// # Errors
    /// If a file cannot be moved, written or deleted.
    pub fn replace(&self, recipe: &Recipe) -> Result<()> {
        let real = self.path.canonicalize().map_err(|error| LabError::io("find", &self.path, error))?;
        if self.path.is_symlink() {
            // Replace the target of the link.
            return Self { path: real, ..self.clone() }.replace(recipe);
        }
        let replaced = self.replaced_path();
        if replaced.is_dir() {
            // Finish a replacement that was killed.
            self.discard(&replaced)?;
        }
        std::fs::rename(&self.path, &replaced).map_err(|error| LabError::io("move", &self.path, error))?;
        if let Err(error) = self.write_recipe(recipe) {
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = std::fs::rename(&replaced, &self.path);
            return Err(error);
        }
        self.discard(&replaced)
    }

    /// Deletes a replaced run. Files that no run wrote are moved to the folder of the new run, under new names if necessary.
    fn discard(&self, replaced: &Path) -> Result<()> {
        for entry in std::fs::read_dir(replaced).map_err(|error| LabError::io("read", replaced, error))?.flatten() {
            let path = entry.path();
            if self.is_own(&path) {
                continue;
            }
            let name = entry.file_name();
            let numbered = (1..).map(|number| {
                let mut other = name.clone();
                other.push(format!(".{number}"));
                other
            });
            let targets = std::iter::once(name.clone()).chain(numbered).map(|name| self.path.join(name));
            let target =
                targets.into_iter().find(|target| target.symlink_metadata().is_err()).expect("some number is free");
            std::fs::rename(&path, target).map_err(|error| LabError::io("move", &path, error))?;
        }
        std::fs::remove_dir_all(replaced).map_err(|error| LabError::io("delete", replaced, error))
    }

    /// Reads the last finished epoch, if there is one.
    ///
    /// # Errors
    /// If the file is damaged, or the weights that it names are missing.
    pub fn latest(&self) -> Result<Option<Latest>> {
        latest(&self.path)
    }

    /// Writes the last finished epoch. Its files must exist.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn set_latest(&self, latest: &Latest) -> Result<()> {
        let text = serde_json::to_string_pretty(latest).expect("plain data");
        write_whole(&self.file("latest.json"), text.as_bytes())
    }
}

/// Reads the recipe of the run in a folder, if there is one.
fn recipe_in(folder: &Path) -> Result<Option<Recipe>> {
    const ADVICE: &str = "put it back from a copy, or replace the run with --overwrite";
    read_record(&folder.join("recipe.toml"), ADVICE, complete_recipe)
}

/// Reads the last finished epoch of the run in a folder, if there is one.
///
/// # Errors
/// If the file is damaged, or the weights that it names are missing.
pub fn latest(folder: &Path) -> Result<Option<Latest>> {
    const ADVICE: &str =
        "put it back from a copy, or start another run from the weights in the folder with --checkpoint FILE";
    read_record(&folder.join("latest.json"), ADVICE, |text| {
        let latest: Latest = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Latest { epoch, weights, .. } = &latest;
        let file = folder.join(weights);
        if !weights.ends_with(&format!("_epoch_{epoch}.safetensors")) {
            Err(format!("its weights file {weights} is not of epoch {epoch}"))
        } else if !file.is_file() {
            Err(format!("its weights file {} is missing", file.display()))
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
    LabError::Failed(format!("{} is damaged: {problem}; nothing was changed: {advice}", path.display()))
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

/// Names of the files of a run besides weights and optimizer states.
const OWN_FILES: [&str; 4] = ["recipe.toml", "log.csv", "results.json", "latest.json"];

/// Whether an existing file belongs to a run: weights, files derived from weights, or records.
pub fn is_of_run(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let own = OWN_FILES.contains(&&*name) || name.contains("_epoch_");
    own && file.is_file() && crate::runs::files::folder_of(file).join("recipe.toml").is_file()
}

/// Returns the part of a run's name that identifies the folder of images, for the dataset `folder`.
pub fn images_of(recipe: &Recipe) -> Option<String> {
    let dir = recipe.data_dir.as_ref().filter(|_| recipe.dataset == DatasetName::Folder)?;
    let full = dir.canonicalize().or_else(|_| std::path::absolute(dir)).unwrap_or_else(|_| dir.clone());
    let name = full.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .trim_matches('.')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .take(24)
        .collect();
    let hash = crc32fast::hash(full.as_os_str().as_encoded_bytes());
    Some(format!("{}{:06x}", if name.is_empty() { name } else { name + "-" }, hash & 0xff_ffff))
}

/// Returns the epochs whose weights are kept: 25, 50, 75 and 100 % of all epochs, rounded down as in the paper's repository.
pub fn milestones(epochs: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (1..=4).map(|quarter| (epochs * quarter / 4).max(1)).collect();
    kept.dedup();
    kept
}

/// Checks an existing run in the folder, and returns whether to resume it.
///
/// # Errors
/// If the folder exists and is not a run, the run must not be changed, or it cannot be resumed with this recipe.
pub fn check_existing(folder: &RunFolder, recipe: &Recipe, existing: Existing) -> Result<bool> {
    let resume = existing == Existing::Resume;
    if !folder.exists() && resume {
        check_not_moved(folder, recipe)?;
    }
    if !folder.exists() || (existing == Existing::Overwrite && folder.file("recipe.toml").is_file()) {
        return Ok(false);
    }
    let path = folder.path().display();
    let Some(existing_recipe) = folder.recipe()? else {
        if folder.has_only_own_parts() {
            return Ok(false);
        }
        return Err(LabError::Usage(format!(
            "{path} exists and is not a run: nothing was changed; move it away, or choose another --out or --id"
        )));
    };
    let differences = recipe.differences(&existing_recipe);
    let listed = || if differences.is_empty() { String::new() } else { format!("; {}", differences.join(", ")) };
    if !resume {
        return Err(LabError::Usage(format!(
            "{path} holds a run already (seed {}{}): nothing was changed; --resume resumes it, --overwrite replaces it, \
             --id or --out starts another run",
            existing_recipe.seed,
            listed()
        )));
    }
    if differences.is_empty() {
        return Ok(true);
    }
    Err(LabError::Usage(format!(
        "{path} cannot be resumed with other settings: {}; resume it with its own settings, or choose another --id",
        differences.join(", ")
    )))
}

/// Checks that no run of the same settings exists whose folder of images was moved to that of the recipe.
///
/// Such a run has another name, so it would not be found, and training would start again.
fn check_not_moved(folder: &RunFolder, recipe: &Recipe) -> Result<()> {
    let Some(images) = recipe.data_dir.as_deref().filter(|_| recipe.dataset == DatasetName::Folder) else {
        return Ok(());
    };
    let runs = std::fs::read_dir(&recipe.out).into_iter().flatten().flatten().map(|entry| entry.path());
    for run in runs {
        let Ok(Some(other)) = recipe_in(&run) else { continue };
        let Some(before) = other.data_dir.as_deref().filter(|dir| *dir != images && !dir.is_dir()) else { continue };
        if other.id == recipe.id && recipe.differences(&other).is_empty() {
            return Err(LabError::Usage(format!(
                "there is no run of the images in {} to resume, but {} is a run with the same settings of images in {}, a \
                 folder that no longer exists. If the images were moved, rename the run to {}, then resume it; otherwise \
                 choose another --id",
                images.display(),
                run.display(),
                before.display(),
                folder.path.file_name().unwrap_or_default().to_string_lossy()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_as_in_the_paper_repository() {
        let recipe = Recipe { batch_size: 256, beta: 0.5, out: "o".into(), ..Default::default() };
        let folder = RunFolder::of(&recipe);
        assert_eq!(folder.path(), Path::new("o/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5"));
        assert_eq!(folder.weights_name(5), "sparseclr_qare_cifar10_conv4_seed_1_epoch_5.safetensors");
        let with_id = RunFolder::of(&Recipe { id: Some("X".into()), ..recipe.clone() });
        assert_eq!(with_id.path(), Path::new("o/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5_X"));
        // `data_dir` is part of the name for the dataset `folder` only.
        let moved = RunFolder::of(&Recipe { data_dir: Some("/elsewhere".into()), ..recipe });
        assert_eq!(moved.path(), folder.path());
    }

    #[test]
    fn runs_on_two_folders_of_images_have_different_names() {
        let name = |dir: &str, id: Option<&str>| {
            let recipe = Recipe {
                dataset: DatasetName::Folder,
                data_dir: Some(dir.into()),
                id: id.map(str::to_string),
                out: "o".into(),
                ..Default::default()
            };
            RunFolder::of(&recipe).path().file_name().unwrap().to_str().unwrap().to_string()
        };
        let start = "sparseclr_qare_folder_conv4_128_64_64_1.0_1.0_";
        let (one, other) = (name("/a/my photos", None), name("/b/my photos", None));
        assert!(one.starts_with(&format!("{start}my-photos-")) && other.starts_with(&format!("{start}my-photos-")));
        assert_ne!(one, other);
        assert_eq!(name("/a/my photos", Some("X")), format!("{one}_X"));
    }

    #[test]
    fn temporary_files_of_a_killed_start_are_not_a_run() {
        let out = tempfile::tempdir().unwrap();
        let recipe = Recipe { out: out.path().into(), ..Default::default() };
        let folder = RunFolder::of(&recipe);
        std::fs::create_dir(folder.path()).unwrap();
        let check = |existing| check_existing(&folder, &recipe, existing);
        for left in ["recipe.toml.part", "recipe.toml.17-0.part", "log.csv.17-1.part"] {
            std::fs::write(folder.file(left), "half").unwrap();
            for existing in [Existing::Refuse, Existing::Resume, Existing::Overwrite] {
                assert!(!check(existing).unwrap());
            }
        }
        folder.create(&recipe).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the recipe is left");
        std::fs::remove_file(folder.file("recipe.toml")).unwrap();
        std::fs::write(folder.file("thesis.part"), "irreplaceable").unwrap();
        assert!(check(Existing::Resume).unwrap_err().to_string().contains("is not a run"));
    }

    #[test]
    fn milestones_are_the_quarters() {
        assert_eq!(milestones(200), [50, 100, 150, 200]);
        assert_eq!(milestones(5), [1, 2, 3, 5]);
        assert_eq!(milestones(1), [1]);
    }
}
