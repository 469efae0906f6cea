//! A run, described by one value: read from a TOML file, overridden by flags, kept in the run folder.

mod device_choice;
mod layers;
mod unused;
mod validation;

use std::collections::BTreeSet;
use std::path::PathBuf;

use qare_data::{DatasetName, Normalization};
use qare_models::BackboneName;
use serde::{Deserialize, Serialize};

pub use device_choice::DeviceChoice;
pub use layers::Layer;
pub use validation::SIZES;

use crate::error::{LabError, Result};
use crate::images::normalization;
use crate::methods::{Aggregation, Floor, Method, MethodName};
use crate::precision::Precision;

/// Everything that a run depends on. The defaults are the protocol of the paper's repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// In a file: another recipe, found from the file's folder, whose settings hold where this one says nothing.
    #[serde(skip_serializing)]
    pub base: Option<PathBuf>,
    /// Images to train on.
    pub dataset: DatasetName,
    /// How to train.
    pub method: MethodName,
    /// What to train.
    pub backbone: BackboneName,
    /// Where all randomness starts from.
    pub seed: u64,
    /// Images in a batch; `data_size` in the paper's repository.
    #[serde(alias = "data_size")]
    pub batch_size: usize,
    /// Views of each image, the seed's K.
    #[serde(rename = "K", alias = "views")]
    pub views: usize,
    /// Epochs of training.
    pub epochs: usize,
    /// Weight of the pairwise term of the `*_qare` methods.
    pub alpha: f64,
    /// Weight of the set term of the `*_qare` methods.
    pub beta: f64,
    /// Temperature of NT-Xent.
    pub temperature: f64,
    /// Margin of SparseCLR.
    pub margin: f64,
    /// What the similarities of the set term are cut off at from below: "1e-8" or "none", which makes its cost linear in B.
    pub similarity_floor: Floor,
    /// How `relationnet` joins the features of two views.
    pub aggregation: Aggregation,
    /// How many clusters `deepcluster` makes; ten for each class, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    /// The learning rate at the start.
    pub learning_rate: f64,
    /// Momentum of SGD, with which `standard` trains.
    pub momentum: f64,
    /// Dimensions of an embedding, at the head's end.
    pub outter_fs: usize,
    /// What convolutions and linear layers are computed in: "f32", "f16" or "bf16".
    pub precision: Precision,
    /// Threads that prepare batches.
    pub num_workers: usize,
    /// Device of the backend: a number, or "cpu"; the first one, if nothing is said.
    #[serde(alias = "gpu", skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceChoice>,
    /// Devices to train on together, instead of `device`: each on its share of every batch, the main one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<DeviceChoice>>,
    /// On several devices: batch normalisation takes its statistics from each device's own share of the batch.
    pub local_batch_norm: bool,
    /// Height and width that the images of a folder are brought to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// Train and probe on this many images of the training split instead of all: a stratified part, drawn with the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Test on this many images of the test split instead of all: a stratified part, drawn with the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// Weights to start from: a run folder, or a weights file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// Where the dataset's files are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Leave out image files that cannot be decoded, instead of failing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_broken: bool,
    /// The most pixels an image file may announce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,
    /// Where run folders are made.
    pub out: PathBuf,
    /// Ends the run folder's name, to tell runs apart that share all else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether `run` also evaluates the untrained backbone, to compare with.
    pub compare_untrained: bool,
    /// Of `deepinfomax`.
    pub infomax: InfoMaxRecipe,
    /// Of kNN accuracies.
    pub knn: KnnRecipe,
    /// Of the linear probe, or fine-tuning.
    pub probe: ProbeRecipe,
}

/// Weights of the terms of `deepinfomax`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InfoMaxRecipe {
    /// Information between features and each place of the first maps.
    pub local: f64,
    /// Information between features and the first maps as a whole.
    pub global: f64,
    /// Matching the features with a uniform distribution.
    pub prior: f64,
}

/// The k-nearest-neighbour accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KnnRecipe {
    /// How many neighbours vote; `k`.
    pub neighbours: usize,
    /// What similarities are divided by before they weigh the votes.
    pub temperature: f64,
    /// During training: how many images of the training split are queries, held out of the bank (training sees them,
    /// without their labels) …
    pub held_out: usize,
    /// … against how many others.
    pub bank: usize,
}

/// The linear probe, or fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeRecipe {
    /// Of the probe's own draws; the run's where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Epochs of the classifier.
    pub epochs: usize,
    /// Images in a batch.
    #[serde(alias = "data_size")]
    pub batch_size: usize,
    /// The learning rate of a linear probe.
    pub learning_rate: f64,
    /// Another dataset than the one trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetName>,
    /// Train the backbone too.
    pub finetune: bool,
    /// In fine-tuning, train on affine views with erased squares.
    pub augment: bool,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            base: None,
            dataset: DatasetName::Cifar10,
            method: Method::SparseclrQare.into(),
            backbone: BackboneName::Conv4,
            seed: 1,
            batch_size: 128,
            views: 2,
            epochs: 200,
            alpha: 1.0,
            beta: 1.0,
            temperature: 0.5,
            margin: 1.0,
            similarity_floor: Floor::default(),
            aggregation: Aggregation::default(),
            clusters: None,
            learning_rate: 1e-3,
            momentum: 0.9,
            outter_fs: 64,
            precision: Precision::F32,
            // One core is left to the training itself.
            num_workers: std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).clamp(1, 8)),
            device: None,
            gpus: None,
            local_batch_norm: false,
            image_size: None,
            train_images: None,
            test_images: None,
            checkpoint: None,
            data_dir: None,
            skip_broken: false,
            max_pixels: None,
            out: PathBuf::from("./checkpoint"),
            id: None,
            compare_untrained: false,
            infomax: InfoMaxRecipe::default(),
            knn: KnnRecipe::default(),
            probe: ProbeRecipe::default(),
        }
    }
}

impl Default for InfoMaxRecipe {
    fn default() -> Self {
        Self { local: 1.0, global: 0.0, prior: 0.1 }
    }
}

impl Default for KnnRecipe {
    fn default() -> Self {
        Self { neighbours: 200, temperature: 0.1, held_out: 2000, bank: 10_000 }
    }
}

impl Default for ProbeRecipe {
    fn default() -> Self {
        Self {
            seed: None,
            epochs: 100,
            batch_size: 128,
            learning_rate: 1e-3,
            dataset: None,
            finetune: false,
            augment: false,
        }
    }
}

/// A path as it is from anywhere.
pub fn absolute(path: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let whole = |path: PathBuf| std::path::absolute(&path).map_err(|error| LabError::io("find", &path, error));
    path.map(whole).transpose()
}

impl Recipe {
    /// Reads a recipe as a run folder keeps it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim_end().to_string())
    }

    /// The recipe as a run folder keeps it.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is plain TOML")
    }

    /// The devices that it trains on, the main one first.
    pub fn devices(&self) -> Vec<Option<DeviceChoice>> {
        match &self.gpus {
            Some(several) => several.iter().copied().map(Some).collect(),
            None => vec![self.device],
        }
    }

    /// The device for all that is no training.
    pub fn main_device(&self) -> Option<DeviceChoice> {
        self.devices().first().copied().flatten()
    }

    /// The fewest images that a batch can have: on several devices one for each, or two where it has to make do with its own.
    pub fn least_batch(&self) -> usize {
        let devices = self.devices().len();
        2.max(if self.sees_shares() { 2 * devices } else { devices })
    }

    /// The dataset that a probe is trained and tested on.
    pub fn probed(&self) -> DatasetName {
        self.probe.dataset.unwrap_or(self.dataset)
    }

    /// What the images of a probe are normalised with.
    pub fn probe_normalization(&self) -> Normalization {
        // Fine-tuned weights were trained on the probed images last.
        let trained_on = if self.probe.finetune { self.probed() } else { self.dataset };
        normalization(self.probed(), trained_on)
    }

    /// The seed of a probe's own draws.
    pub fn probe_seed(&self) -> u64 {
        self.probe.seed.unwrap_or(self.seed)
    }

    /// What `results.json` and file names call a stage that is done to the probed dataset, the classifier frozen or not.
    pub fn stage(&self, name: &str) -> String {
        let tuned = match (name, self.probe.finetune) {
            ("probe", true) => "finetune".to_string(),
            (name, true) => format!("{name}_finetune"),
            (name, false) => name.to_string(),
        };
        match self.probed() == self.dataset {
            true => tuned,
            false => format!("{tuned}_{}", self.probed()),
        }
    }

    /// The names of the settings that decide a run's weights and differ between two recipes, of which the other is the run's.
    pub fn differences(&self, other: &Recipe) -> Vec<String> {
        let table = |recipe: &Recipe| toml::Table::try_from(recipe).expect("a recipe is plain TOML");
        let (mine, theirs) = (table(self), table(other));
        let elsewhere = [
            "data_dir",
            "skip_broken",
            "max_pixels",
            "out",
            "id",
            "num_workers",
            "device",
            "gpus",
            "compare_untrained",
            "test_images",
            "knn",
            "probe",
        ];
        let unused = if self.method == other.method { self.unused() } else { Vec::new() };
        let names: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        let told = |value: Option<&toml::Value>| value.map_or("none".to_string(), |value| value.to_string());
        let mut differences: Vec<String> = names
            .into_iter()
            .filter(|name| !elsewhere.contains(&name.as_str()) && !unused.contains(&name.as_str()))
            .filter(|name| mine.get(*name) != theirs.get(*name))
            // A run can be made longer.
            .filter(|name| *name != "epochs" || self.epochs < other.epochs)
            .map(|name| format!("{name} = {} (the run has {})", told(mine.get(name)), told(theirs.get(name))))
            .collect();
        // Where a device sees nothing but its share of a batch, their number decides what is learned.
        let (mine, theirs) = (self.devices().len(), other.devices().len());
        if mine != theirs && (self.sees_shares() || other.sees_shares()) {
            differences.push(format!("gpus names {mine} (the run has {theirs})"));
        }
        differences
    }

    /// Whether, on several devices, something of the method is decided by a device's own share of the batch.
    fn sees_shares(&self) -> bool {
        // Of another crate's method nothing is known.
        let own = matches!(self.method, MethodName::Own(_));
        self.local_batch_norm || own || self.method.plan(self).is_some_and(|plan| plan.local_negatives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_survives_its_own_file() {
        let recipe = Recipe { alpha: 0.7, data_dir: Some("/data".into()), ..Default::default() };
        assert_eq!(Recipe::parse(&recipe.to_toml()).unwrap(), recipe);
        assert_eq!(Recipe::of_layers([]).unwrap(), Recipe::default());
    }

    #[test]
    fn unknown_keys_and_names_are_told() {
        assert!(Recipe::parse("epoch = 3").unwrap_err().contains("epoch"));
        let of = |text: &str| Recipe::of_layers([text.parse().unwrap()]);
        assert!(of("method = \"moco\"").unwrap_err().contains("sparseclr_qare"));
        assert!(Recipe::parse("method = \"mo/co\"").unwrap_err().contains("sparseclr_qare"));
        // Of a run folder, it may be another crate's.
        assert_eq!(Recipe::parse("method = \"moco\"").unwrap().method, MethodName::Own("moco".into()));
        assert_eq!(Recipe::parse("method = \"sparceclr\"").unwrap().method, Method::Sparseclr);
    }

    #[test]
    fn only_what_decides_the_weights_is_a_difference() {
        let recipe = Recipe::default();
        let other =
            Recipe { num_workers: 7, gpus: Some(vec![DeviceChoice::Number(0); 2]), beta: 0.5, ..recipe.clone() };
        assert_eq!(other.differences(&recipe), ["beta = 0.5 (the run has 1.0)"]);
        let longer = Recipe { epochs: 300, ..recipe.clone() };
        assert!(longer.differences(&recipe).is_empty());
        assert_eq!(recipe.differences(&longer), ["epochs = 200 (the run has 300)"]);
        let local = Recipe { local_batch_norm: true, ..recipe.clone() };
        assert_eq!(local.differences(&recipe), ["local_batch_norm = true (the run has false)"]);
        let part = Recipe { train_images: Some(64), ..recipe.clone() };
        assert_eq!(recipe.differences(&part), ["train_images = none (the run has 64)"]);
        assert_eq!(part.differences(&recipe), ["train_images = 64 (the run has none)"]);
    }
}
