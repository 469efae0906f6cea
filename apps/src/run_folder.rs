//! A run's folder: its name, what is in it, and finding one again.
//!
//! ```text
//! METHOD_DATASET_BACKBONE_BATCH_FEATURES_EMBEDDING_ALPHA_BETA[_ID]/
//!   recipe.toml      the recipe used
//!   log.csv          a row an epoch
//!   results.json     figures of every stage
//!   latest.json      the last whole epoch, and its files
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E.safetensors                     weights
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E.optimizer                       state of the optimizer
//!   METHOD_DATASET_BACKBONE_seed_S_epoch_E_linear_evaluation.safetensors   backbone and classifier
//! ```

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{AppError, Result};
use crate::files::{read_json, read_text, write_whole};
use crate::loss_scale::ScaleState;
use crate::recipe::Recipe;

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// What the names of weights begin with.
    stem: String,
}

/// The last whole epoch of a run. Written after the files it names, so what it names is complete.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latest {
    pub epoch: usize,
    pub weights: String,
    pub optimizer: Option<String>,
    /// Of runs in f16.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<ScaleState>,
}

impl RunFolder {
    /// Where the run of a recipe is, whether it exists or not.
    pub fn of(recipe: &Recipe) -> Self {
        let Recipe { method, dataset, backbone, seed, data_size, outter_fs, alpha, beta, .. } = recipe;
        let features = backbone.feature_dim();
        let mut name = format!("{method}_{dataset}_{backbone}_{data_size}_{features}_{outter_fs}_{alpha:?}_{beta:?}");
        if let Some(id) = &recipe.id {
            name = format!("{name}_{id}");
        }
        Self { path: recipe.out.join(name), stem: format!("{method}_{dataset}_{backbone}_seed_{seed}") }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub fn weights_name(&self, epoch: usize) -> String {
        format!("{}_epoch_{epoch}.safetensors", self.stem)
    }

    pub fn optimizer_name(&self, epoch: usize) -> String {
        format!("{}_epoch_{epoch}.optimizer", self.stem)
    }

    /// Whether anything is there.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// The recipe of the run that is there, if one is.
    pub fn recipe(&self) -> Result<Option<Recipe>> {
        let path = self.file("recipe.toml");
        if !path.is_file() {
            return Ok(None);
        }
        let recipe = Recipe::parse(&read_text(&path)?);
        recipe.map(Some).map_err(|error| AppError::Failed(format!("{} is damaged: {error}", path.display())))
    }

    /// Makes the folder and puts the recipe there.
    pub fn create(&self, recipe: &Recipe) -> Result<()> {
        std::fs::create_dir_all(&self.path).map_err(|error| AppError::io("make the run folder", &self.path, error))?;
        write_whole(&self.file("recipe.toml"), recipe.to_toml().as_bytes())
    }

    /// Puts an empty run in the place of the one that is there, which goes last.
    pub fn replace(&self, recipe: &Recipe) -> Result<()> {
        let name = self.path.file_name().expect("a run has a name").to_string_lossy();
        let aside = self.path.with_file_name(format!(".{name}.replaced"));
        if aside.is_dir() {
            // Of a replacement that was killed half-way.
            std::fs::remove_dir_all(&aside).map_err(|error| AppError::io("delete", &aside, error))?;
        }
        std::fs::rename(&self.path, &aside).map_err(|error| AppError::io("move aside", &self.path, error))?;
        if let Err(error) = self.create(recipe) {
            let _ = std::fs::remove_dir_all(&self.path);
            let _ = std::fs::rename(&aside, &self.path);
            return Err(error);
        }
        std::fs::remove_dir_all(&aside).map_err(|error| AppError::io("delete", &aside, error))
    }

    pub fn latest(&self) -> Result<Option<Latest>> {
        latest(&self.path)
    }

    pub fn set_latest(&self, latest: &Latest) -> Result<()> {
        let text = serde_json::to_string_pretty(latest).expect("plain data");
        write_whole(&self.file("latest.json"), text.as_bytes())
    }
}

/// The last whole epoch of the run in a folder, if it has one.
pub fn latest(folder: &Path) -> Result<Option<Latest>> {
    let path = folder.join("latest.json");
    path.is_file().then(|| read_json(&path)).transpose()
}

/// The figures of all stages so far, by stage.
pub fn results(folder: &Path) -> Result<Map<String, Value>> {
    let path = folder.join("results.json");
    if path.is_file() { read_json(&path) } else { Ok(Map::new()) }
}

/// Adds figures of one stage to the `results.json` of a folder, beside those of the others.
pub fn record(folder: &Path, stage: &str, figures: Value) -> Result<()> {
    let mut results = results(folder)?;
    results.insert(stage.to_string(), figures);
    let text = serde_json::to_string_pretty(&results).expect("plain data");
    write_whole(&folder.join("results.json"), format!("{text}\n").as_bytes())
}

/// The epochs after which weights are kept: 25, 50, 75 and 100 % of all, rounded down as the seed does.
pub fn milestones(epochs: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = (1..=4).map(|quarter| (epochs * quarter / 4).max(1)).collect();
    kept.dedup();
    kept
}

/// Refuses, or makes way for, a run whose folder is there already. Returns whether to go on with the one there.
pub fn settle_existing(folder: &RunFolder, recipe: &Recipe, resume: bool, overwrite: bool) -> Result<bool> {
    if !folder.exists() {
        return Ok(false);
    }
    let path = folder.path().display();
    if overwrite && folder.file("recipe.toml").is_file() {
        return Ok(false);
    }
    let Some(existing) = folder.recipe()? else {
        let empty = std::fs::read_dir(folder.path()).is_ok_and(|mut entries| entries.next().is_none());
        return match empty {
            true => Ok(false),
            false => Err(AppError::Usage(format!(
                "{path} is there and is not a run: nothing was changed; move it away, or choose another --out or --id"
            ))),
        };
    };
    if !resume {
        return Err(AppError::Usage(format!(
            "{path} holds a run already (seed {}): nothing was changed; --resume goes on with it, --overwrite replaces it, \
             --id or --out makes another",
            existing.seed
        )));
    }
    match recipe.differences(&existing).as_slice() {
        [] => Ok(true),
        differences => Err(AppError::Usage(format!(
            "{path} cannot be resumed with other settings: {}; resume with the run's own, or choose another --id",
            differences.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_named_as_the_seed_names_it() {
        let recipe = Recipe { data_size: 256, beta: 0.5, out: "o".into(), ..Default::default() };
        let folder = RunFolder::of(&recipe);
        assert_eq!(folder.path(), Path::new("o/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5"));
        assert_eq!(folder.weights_name(5), "sparseclr_qare_cifar10_conv4_seed_1_epoch_5.safetensors");
        let with_id = RunFolder::of(&Recipe { id: Some("X".into()), ..recipe });
        assert_eq!(with_id.path(), Path::new("o/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5_X"));
    }

    #[test]
    fn milestones_are_the_quarters() {
        assert_eq!(milestones(200), [50, 100, 150, 200]);
        assert_eq!(milestones(5), [1, 2, 3, 5]);
        assert_eq!(milestones(1), [1]);
    }
}
