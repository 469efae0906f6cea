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

use crate::error::Result;
use crate::recipe::Recipe;
use crate::runs::files::write_whole;
use crate::runs::records::{self, Latest};

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    pub(super) path: PathBuf,
    /// Prefix of the names of weights files, up to the seed.
    pub(super) prefix: String,
    pub(super) seed: u64,
}

/// The settings that the name of a run's folder tells, besides `id` and the folder of images.
pub const TOLD_BY_NAME: [&str; 7] = ["method", "dataset", "backbone", "batch_size", "outter_fs", "alpha", "beta"];

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
        records::recipe_in(&self.path)
    }

    /// Reads the last finished epoch, if there is one.
    ///
    /// # Errors
    /// If the file is damaged, or the weights that it names are missing.
    pub fn latest(&self) -> Result<Option<Latest>> {
        records::latest(&self.path)
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
    fn milestones_are_the_quarters() {
        assert_eq!(milestones(200), [50, 100, 150, 200]);
        assert_eq!(milestones(5), [1, 2, 3, 5]);
        assert_eq!(milestones(1), [1]);
    }
}
