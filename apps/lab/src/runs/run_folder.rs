//! A run's folder: its name, what is in it, and finding one again.
//!
//! ```text
//! METHOD_DATASET_BACKBONE_BATCH_FEATURES_EMBEDDING_ALPHA_BETA[_IMAGES][_ID]/
//!   recipe.toml      the recipe used
//!   log.csv          a row an epoch
//!   results.json     figures of every stage, and where they come from
//!   latest.json      the last whole epoch, and its files
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E.safetensors                     weights
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E.optimizer                       state of the optimizer
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E_linear_evaluation.safetensors   backbone and classifier
//! ```
//!
//! The name is the one that the paper's repository gives, but for `IMAGES`: of the dataset `folder` it is the name of the
//! folder of images and a hash of its path, so that two such folders have two runs.

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
    /// What the names of weights begin with, up to the seed.
    kind: String,
    seed: u64,
}

/// The last whole epoch of a run. Written after the files it names, so what it names is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latest {
    /// The epoch.
    pub epoch: usize,
    /// The name of its weights file.
    pub weights: String,
    /// The name of the file with the optimizer's state.
    pub optimizer: Option<String>,
    /// Of runs in f16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

impl RunFolder {
    /// Where the run of a recipe is, whether it exists or not.
    pub fn of(recipe: &Recipe) -> Self {
        let Recipe { method, dataset, backbone, seed, batch_size, outter_fs, alpha, beta, .. } = recipe;
        let features = backbone.feature_dim();
        let mut name = format!("{method}_{dataset}_{backbone}_{batch_size}_{features}_{outter_fs}_{alpha:?}_{beta:?}");
        for end in [images_of(recipe), recipe.id.clone()].into_iter().flatten() {
            name = format!("{name}_{end}");
        }
        Self { path: recipe.out.join(name), kind: format!("{method}_{dataset}_{backbone}_seed_"), seed: *seed }
    }

    /// The run of a recipe in a folder of another name.
    pub fn at(path: &Path, recipe: &Recipe) -> Self {
        Self { path: path.to_path_buf(), ..Self::of(recipe) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The name of the weights of an epoch.
    pub fn weights_name(&self, epoch: usize) -> String {
        format!("{}{}_epoch_{epoch}.safetensors", self.kind, self.seed)
    }

    /// The last epoch of which there are weights, as their names tell.
    pub fn latest_weights(&self) -> Option<usize> {
        let start = format!("{}{}_epoch_", self.kind, self.seed);
        let number = |name: &str| {
            let rest = name.strip_prefix(&start)?;
            rest.strip_suffix(".safetensors")?.parse::<usize>().ok()
        };
        let entries = std::fs::read_dir(&self.path).ok()?.flatten();
        entries.filter_map(|entry| number(&entry.file_name().to_string_lossy())).max()
    }

    /// The name of the optimizer's state after an epoch.
    pub fn optimizer_name(&self, epoch: usize) -> String {
        format!("{}{}_epoch_{epoch}.optimizer", self.kind, self.seed)
    }

    /// Whether anything is there.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// The recipe of the run that is there, if one is.
    pub fn recipe(&self) -> Result<Option<Recipe>> {
        recipe_in(&self.path)
    }

    /// Makes the folder and puts the recipe there. Its paths are absolute, so that it means the same from anywhere.
    pub fn create(&self, recipe: &Recipe) -> Result<()> {
        self.make(recipe)?;
        // Of a replacement that was killed half-way.
        let aside = self.aside();
        if aside.is_dir() { self.discard(&aside) } else { Ok(()) }
    }

    fn make(&self, recipe: &Recipe) -> Result<()> {
        std::fs::create_dir_all(&self.path).map_err(|error| LabError::io("make the run folder", &self.path, error))?;
        self.remove_parts();
        let out = std::path::absolute(&recipe.out).unwrap_or_else(|_| recipe.out.clone());
        let recipe = Recipe { out, ..recipe.clone() };
        write_whole(&self.file("recipe.toml"), recipe.to_toml().as_bytes())
    }

    /// Whether what is there is no more than a start leaves that was killed before it had made a run.
    fn never_began(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| self.is_own_part(&entry.path()))
    }

    /// Whether a file is an unfinished one of a run, which nobody writes any more once the run is locked.
    fn is_own_part(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let starts = OWN_FILES.iter().any(|own| name.starts_with(own)) || name.starts_with(&self.kind);
        is_part(path) && starts && path.is_file()
    }

    /// Whether a file is one that a run of this folder writes, with this seed or another.
    fn is_own(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let written = OWN_FILES.contains(&&*name) || (name.starts_with(&self.kind) && name.contains("_epoch_"));
        (written && path.is_file()) || self.is_own_part(path)
    }

    /// Whether there is nothing but files that a run of this folder writes.
    pub(crate) fn has_only_own_files(&self) -> bool {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return false };
        entries.flatten().all(|entry| self.is_own(&entry.path()))
    }

    /// Where a run waits that is being replaced.
    fn aside(&self) -> PathBuf {
        let name = self.path.file_name().expect("a run has a name").to_string_lossy();
        self.path.with_file_name(format!(".{name}.replaced"))
    }

    fn remove_parts(&self) {
        for entry in std::fs::read_dir(&self.path).into_iter().flatten().flatten() {
            if self.is_own_part(&entry.path()) {
                // Left over, it is in nobody's way.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Puts an empty run in the place of the one that is there, which goes last. What is in its folder and no run's stays.
    pub fn replace(&self, recipe: &Recipe) -> Result<()> {
        let real = self.path.canonicalize().map_err(|error| LabError::io("find", &self.path, error))?;
        if self.path.is_symlink() {
            // The folder that the link leads to, where it is.
            return Self { path: real, ..self.clone() }.replace(recipe);
        }
        let aside = self.aside();
        if aside.is_dir() {
            // Of a replacement that was killed half-way.
            self.discard(&aside)?;
        }
        std::fs::rename(&self.path, &aside).map_err(|error| LabError::io("move aside", &self.path, error))?;
        if let Err(error) = self.make(recipe) {
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = std::fs::rename(&aside, &self.path);
            return Err(error);
        }
        self.discard(&aside)
    }

    /// Deletes a run that was moved aside, but for what is no run's, which goes where the run was.
    fn discard(&self, aside: &Path) -> Result<()> {
        for entry in std::fs::read_dir(aside).map_err(|error| LabError::io("read", aside, error))?.flatten() {
            let path = entry.path();
            if self.is_own(&path) {
                continue;
            }
            let name = entry.file_name();
            let names = (1..).map(|number| {
                let mut other = name.clone();
                other.push(format!(".{number}"));
                other
            });
            let free = std::iter::once(name.clone()).chain(names).map(|name| self.path.join(name));
            let place = free.into_iter().find(|place| place.symlink_metadata().is_err()).expect("some number is free");
            std::fs::rename(&path, place).map_err(|error| LabError::io("move", &path, error))?;
        }
        std::fs::remove_dir_all(aside).map_err(|error| LabError::io("delete", aside, error))
    }

    /// The last whole epoch, if there is one.
    pub fn latest(&self) -> Result<Option<Latest>> {
        latest(&self.path)
    }

    /// Names the last whole epoch, whose files are there.
    pub fn set_latest(&self, latest: &Latest) -> Result<()> {
        let text = serde_json::to_string_pretty(latest).expect("plain data");
        write_whole(&self.file("latest.json"), text.as_bytes())
    }
}

/// The recipe of the run in a folder, if there is one.
fn recipe_in(folder: &Path) -> Result<Option<Recipe>> {
    const ADVICE: &str = "put it back from a copy, or replace the run with --overwrite";
    record_of(&folder.join("recipe.toml"), ADVICE, whole_recipe)
}

/// The last whole epoch of the run in a folder, if it has one.
pub fn latest(folder: &Path) -> Result<Option<Latest>> {
    const ADVICE: &str =
        "put it back from a copy, or start another run from weights in the folder with --checkpoint FILE";
    record_of(&folder.join("latest.json"), ADVICE, |text| {
        let latest: Latest = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let Latest { epoch, weights, .. } = &latest;
        let file = folder.join(weights);
        if !weights.ends_with(&format!("_epoch_{epoch}.safetensors")) {
            Err(format!("its weights, {weights}, are not those of epoch {epoch}"))
        } else if !file.is_file() {
            Err(format!("its weights, {}, are not there", file.display()))
        } else {
            Ok(latest)
        }
    })
}

/// What a file of a run says, if it is there.
///
/// # Errors
/// If it is damaged, with what to do.
fn record_of<T>(
    path: &Path,
    advice: &str,
    parse: impl FnOnce(&str) -> std::result::Result<T, String>,
) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|error| LabError::io("read", path, error))?;
    let parsed = match std::str::from_utf8(&bytes) {
        Err(_) => Err("it is no text in UTF-8".into()),
        Ok(text) if text.trim().is_empty() => Err("it is empty".into()),
        Ok(text) => parse(text),
    };
    parsed.map(Some).map_err(|problem| damaged(path, &problem, advice))
}

/// What is said of a file of a run that cannot be used.
fn damaged(path: &Path, problem: &str, advice: &str) -> LabError {
    LabError::Failed(format!("{} is damaged: {problem}; nothing was changed: {advice}", path.display()))
}

/// A recipe as a run keeps it: with everything, so that one that is cut off is not one with defaults.
fn whole_recipe(text: &str) -> std::result::Result<Recipe, String> {
    let recipe = Recipe::parse(text)?;
    recipe.validate().map_err(|error| error.to_string())?;
    // The last setting of every run's recipe.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    match table.get("probe").and_then(|probe| probe.get("augment")) {
        Some(_) => Ok(recipe),
        None => Err("it is cut off: a run's recipe has a table `probe` with a line `augment`".into()),
    }
}

/// Where a run folder keeps the figures of its stages.
pub fn results_file(folder: &Path) -> PathBuf {
    folder.join("results.json")
}

/// What to do about damaged results.
const ADVICE_ON_RESULTS: &str =
    "put it back from a copy, or move it away, which loses the figures so far and the names of the classes";

/// The figures of all stages so far, by stage.
pub fn results(file: &Path) -> Result<Map<String, Value>> {
    let results =
        record_of(file, ADVICE_ON_RESULTS, |text| serde_json::from_str(text).map_err(|error| error.to_string()))?;
    Ok(results.unwrap_or_default())
}

/// What is said of results in which something is wrong.
pub fn damaged_results(file: &Path, problem: &str) -> LabError {
    damaged(file, problem, ADVICE_ON_RESULTS)
}

/// Adds figures of stages to a file of results, beside those of the others.
pub fn record(file: &Path, stages: impl IntoIterator<Item = (String, Value)>) -> Result<()> {
    let _lock = Lock::of_file(file)?;
    let mut results = results(file)?;
    results.extend(stages);
    let text = serde_json::to_string_pretty(&results).expect("plain data");
    write_whole(file, format!("{text}\n").as_bytes())
}

/// Files of a run that are written as a whole, apart from weights.
const OWN_FILES: [&str; 4] = ["recipe.toml", "log.csv", "results.json", "latest.json"];

/// Whether a file that is there belongs to a run: its weights, its records, and what was made of them.
pub fn is_of_run(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let own = OWN_FILES.contains(&&*name) || name.contains("_epoch_");
    own && file.is_file() && crate::runs::files::folder_of(file).join("recipe.toml").is_file()
}

/// What tells a folder of images from others in the name of a run.
pub fn images_of(recipe: &Recipe) -> Option<String> {
    let dir = recipe.data_dir.as_ref().filter(|_| recipe.dataset == DatasetName::Folder)?;
    let whole = dir.canonicalize().or_else(|_| std::path::absolute(dir)).unwrap_or_else(|_| dir.clone());
    let name = whole.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .trim_matches('.')
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' })
        .take(24)
        .collect();
    let hash = crc32fast::hash(whole.as_os_str().as_encoded_bytes());
    Some(format!("{}{:06x}", if name.is_empty() { name } else { name + "-" }, hash & 0xff_ffff))
}

/// The epochs after which weights are kept: 25, 50, 75 and 100 % of all, rounded down as the seed does.
pub fn milestones(epochs: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (1..=4).map(|quarter| (epochs * quarter / 4).max(1)).collect();
    kept.dedup();
    kept
}

/// Refuses, or makes way for, a run whose folder is there already. Returns whether to go on with the one there.
pub fn settle_existing(folder: &RunFolder, recipe: &Recipe, existing: Existing) -> Result<bool> {
    let resume = existing == Existing::Resume;
    if !folder.exists() && resume {
        not_moved(folder, recipe)?;
    }
    if !folder.exists() || (existing == Existing::Overwrite && folder.file("recipe.toml").is_file()) {
        return Ok(false);
    }
    let path = folder.path().display();
    let Some(there) = folder.recipe()? else {
        if folder.never_began() {
            return Ok(false);
        }
        return Err(LabError::Usage(format!(
            "{path} is there and is not a run: nothing was changed; move it away, or choose another --out or --id"
        )));
    };
    let differences = recipe.differences(&there);
    let others = || if differences.is_empty() { String::new() } else { format!("; {}", differences.join(", ")) };
    if !resume {
        return Err(LabError::Usage(format!(
            "{path} holds a run already (seed {}{}): nothing was changed; --resume goes on with it, --overwrite replaces it, \
             --id or --out makes another",
            there.seed,
            others()
        )));
    }
    if differences.is_empty() {
        return Ok(true);
    }
    Err(LabError::Usage(format!(
        "{path} cannot be resumed with other settings: {}; resume with the run's own, or choose another --id",
        differences.join(", ")
    )))
}

/// Refuses to begin anew what would go on, had its folder of images not been moved.
fn not_moved(folder: &RunFolder, recipe: &Recipe) -> Result<()> {
    let Some(images) = recipe.data_dir.as_deref().filter(|_| recipe.dataset == DatasetName::Folder) else {
        return Ok(());
    };
    let runs = std::fs::read_dir(&recipe.out).into_iter().flatten().flatten().map(|entry| entry.path());
    for run in runs {
        let Ok(Some(other)) = recipe_in(&run) else { continue };
        let Some(before) = other.data_dir.as_deref().filter(|dir| *dir != images && !dir.is_dir()) else { continue };
        if other.id == recipe.id && recipe.differences(&other).is_empty() {
            return Err(LabError::Usage(format!(
                "no run of the images in {} is there to go on with, but {} is the same run of images in {}, which is there no \
                 more. If they were moved, rename the run to {}, and it goes on; if they are others, choose another --id",
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
    fn the_folder_is_named_as_the_seed_names_it() {
        let recipe = Recipe { batch_size: 256, beta: 0.5, out: "o".into(), ..Default::default() };
        let folder = RunFolder::of(&recipe);
        assert_eq!(folder.path(), Path::new("o/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5"));
        assert_eq!(folder.weights_name(5), "sparseclr_qare_cifar10_conv4_seed_1_epoch_5.safetensors");
        let with_id = RunFolder::of(&Recipe { id: Some("X".into()), ..recipe.clone() });
        assert_eq!(with_id.path(), Path::new("o/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5_X"));
        // Only of the dataset `folder` the place of the images says which images they are.
        let moved = RunFolder::of(&Recipe { data_dir: Some("/elsewhere".into()), ..recipe });
        assert_eq!(moved.path(), folder.path());
    }

    #[test]
    fn two_folders_of_images_have_two_runs() {
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
    fn what_a_killed_start_leaves_is_no_run() {
        let out = tempfile::tempdir().unwrap();
        let recipe = Recipe { out: out.path().into(), ..Default::default() };
        let folder = RunFolder::of(&recipe);
        std::fs::create_dir(folder.path()).unwrap();
        let settle = |existing| settle_existing(&folder, &recipe, existing);
        for left in ["recipe.toml.part", "recipe.toml.17-0.part", "log.csv.17-1.part"] {
            std::fs::write(folder.file(left), "half").unwrap();
            for existing in [Existing::Refuse, Existing::Resume, Existing::Overwrite] {
                assert!(!settle(existing).unwrap());
            }
        }
        folder.create(&recipe).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the recipe is left");
        std::fs::remove_file(folder.file("recipe.toml")).unwrap();
        std::fs::write(folder.file("thesis.part"), "irreplaceable").unwrap();
        assert!(settle(Existing::Resume).unwrap_err().to_string().contains("is not a run"));
    }

    #[test]
    fn milestones_are_the_quarters() {
        assert_eq!(milestones(200), [50, 100, 150, 200]);
        assert_eq!(milestones(5), [1, 2, 3, 5]);
        assert_eq!(milestones(1), [1]);
    }
}
