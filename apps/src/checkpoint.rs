//! Writing a run's weights, and reading them again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use qare_models::{NamedTensor, StateDict, safetensors_bytes};
use serde::{Deserialize, Serialize};

use crate::error::{AppError, Result};
use crate::files::write_whole;
use crate::recipe::Recipe;
use crate::run_folder::{self, Latest, RunFolder, milestones};

/// What a weights file says of itself, under one key of the safetensors metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    recipe: String,
    epoch: usize,
}

const ORIGIN: &str = "qare";

/// Writes weights with where they come from.
pub fn write_weights(path: &Path, tensors: &[NamedTensor], recipe: &Recipe, epoch: usize) -> Result<()> {
    if let Some(bad) = tensors.iter().find(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
        return Err(AppError::Failed(format!(
            "the weights of epoch {epoch} are not saved: `{}` holds NaN or infinity, training has diverged",
            bad.name
        )));
    }
    let origin = Origin { recipe: recipe.to_toml(), epoch };
    let origin = serde_json::to_string(&origin).expect("plain data");
    write_whole(path, &safetensors_bytes(tensors, Some(HashMap::from([(ORIGIN.to_string(), origin)]))))
}

/// Weights with where they come from.
pub struct Checkpoint {
    /// The run's folder.
    pub folder: PathBuf,
    pub file: PathBuf,
    pub recipe: Recipe,
    pub epoch: usize,
    pub weights: StateDict,
}

impl Checkpoint {
    /// Of a weights file of ours.
    pub fn read(file: &Path) -> Result<Self> {
        if !file.is_file() {
            return Err(AppError::Usage(format!(
                "no checkpoint at {}: expected a run folder, or a .safetensors file in one",
                file.display()
            )));
        }
        let weights = StateDict::read_safetensors(file)?;
        let damaged = |problem: &str| AppError::Failed(format!("{} {problem}", file.display()));
        let origin = weights.metadata().get(ORIGIN).ok_or_else(|| damaged("does not say which run it is from"))?;
        let origin: Origin = serde_json::from_str(origin).map_err(|error| damaged(&format!("is damaged: {error}")))?;
        let recipe = Recipe::parse(&origin.recipe).map_err(|error| damaged(&format!("is damaged: {error}")))?;
        let folder = match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        Ok(Self { folder, file: file.to_path_buf(), recipe, epoch: origin.epoch, weights })
    }

    /// The latest weights of a run folder, or the weights in a file.
    pub fn of_run_or_file(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Self::read(path);
        }
        Self::read(&path.join(Self::latest(path)?.weights))
    }

    fn latest(folder: &Path) -> Result<Latest> {
        run_folder::latest(folder)?.ok_or_else(|| {
            AppError::Usage(format!(
                "{} has no finished epoch: it is no run folder, or its training was stopped before one",
                folder.display()
            ))
        })
    }

    /// The linear probe of a run folder, or the one in a file.
    pub fn of_probe(path: &Path) -> Result<Self> {
        let file = match path.is_dir() {
            false => path.to_path_buf(),
            true => {
                let results = serde_json::Value::Object(run_folder::results(path)?);
                let latest = Self::latest(path)?.epoch;
                match results["probe"]["checkpoint"].as_str() {
                    Some(name) if results["probe"]["epoch"] == latest => path.join(name),
                    Some(name) => {
                        return Err(AppError::Usage(format!(
                            "the linear probe of {} is of epoch {}, and the run is at {latest}: run `qare probe --checkpoint \
                             {0}` first, or name the file to test ({name})",
                            path.display(),
                            results["probe"]["epoch"]
                        )));
                    }
                    None => {
                        return Err(AppError::Usage(format!(
                            "{} has no linear probe: run `qare probe --checkpoint {0}` first",
                            path.display()
                        )));
                    }
                }
            }
        };
        let checkpoint = Self::read(&file)?;
        match checkpoint.weights.has_prefix("classifier") {
            true => Ok(checkpoint),
            false => Err(AppError::Usage(format!(
                "{} has no classifier: run `qare probe --checkpoint {0}` first, and test what that writes",
                file.display()
            ))),
        }
    }
}

/// Keeps the weights of a run while it trains.
pub struct CheckpointWriter {
    pub folder: RunFolder,
    pub recipe: Recipe,
}

impl CheckpointWriter {
    /// Saves an epoch, and lets go of the one before unless it is one to keep.
    pub fn save(&self, epoch: usize, weights: &[NamedTensor], optimizer: Option<&[u8]>) -> Result<()> {
        let before = self.folder.latest()?;
        let name = self.folder.weights_name(epoch);
        write_weights(&self.folder.file(&name), weights, &self.recipe, epoch)?;
        let mut latest = Latest { epoch, weights: name, optimizer: None };
        if let Some(optimizer) = optimizer {
            let name = self.folder.optimizer_name(epoch);
            write_whole(&self.folder.file(&name), optimizer)?;
            latest.optimizer = Some(name);
        }
        self.folder.set_latest(&latest)?;

        let kept = milestones(self.recipe.epochs);
        if let Some(before) = before.filter(|before| before.epoch != epoch && !kept.contains(&before.epoch)) {
            for name in [Some(before.weights), before.optimizer].into_iter().flatten() {
                // Left over, it is in nobody's way.
                let _ = std::fs::remove_file(self.folder.file(&name));
            }
        }
        Ok(())
    }
}
