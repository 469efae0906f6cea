//! The recipe: all settings of a run, read from a TOML file, overridden by flags, and saved in the run folder.

mod device_choice;
mod figures;
mod layers;
mod source_size;
mod syntax_error;
mod tables;
mod unused;
mod validation;
mod variation;

use std::collections::BTreeSet;
use std::path::PathBuf;

use qare::SetTerm;
use qare_data::{AugmentOn, DatasetName, Normalization, TestClasses};
use qare_models::BackboneName;
use serde::{Deserialize, Serialize};

pub use device_choice::DeviceChoice;
pub use figures::Figures;
pub use layers::Layer;
pub use source_size::SourceSize;
pub(crate) use syntax_error::shortened;
pub use tables::{InfoMaxRecipe, KnnRecipe, ProbeRecipe};
pub use validation::SIZES;
pub use variation::Variation;

use self::figures::one_or_several;
use self::tables::table;
use crate::error::{LabError, Result};
use crate::loggers::LoggerName;
use crate::methods::metric::{MetricLossName, TripletChoice};
use crate::methods::{Aggregation, Floor, Method, MethodName, MetricMethod};
use crate::precision::Precision;

/// All settings of a run. The defaults are the protocol of the paper's repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// In a file: another recipe, relative to the folder of the file, whose settings are used where this recipe has none.
    #[serde(skip_serializing)]
    pub base: Option<PathBuf>,
    /// Dataset to train on.
    pub dataset: DatasetName,
    /// Training method.
    pub method: MethodName,
    /// Backbone to train.
    pub backbone: BackboneName,
    /// Seed of all random draws.
    pub seed: u64,
    /// Number of images in a batch; `data_size` in the paper's repository.
    #[serde(alias = "data_size")]
    pub batch_size: usize,
    /// Number of views of each image; `K` in the paper's repository.
    #[serde(rename = "K", alias = "views")]
    pub views: usize,
    /// Number of training epochs.
    pub epochs: usize,
    /// Weight of the pairwise term of the `*_qare` methods.
    pub alpha: f64,
    /// Weight of the set term of the `*_qare` methods.
    pub beta: f64,
    /// Temperature of NT-Xent.
    pub temperature: f64,
    /// Margin of SparseCLR.
    pub margin: f64,
    /// Lower bound of the similarities in the set term: "1e-8", or "none", which makes the cost of the term linear in B.
    pub similarity_floor: Floor,
    /// Set term of the `*_qare` methods: "spectral", the paper's, "frobenius", "centred", "mean" or "uniformity".
    pub set_term: SetTerm,
    /// Aggregation of the features of two views in `relationnet`.
    pub aggregation: Aggregation,
    /// Number of images of each class in a batch, in metric learning.
    pub images_per_identity: usize,
    /// Which triplets count in `triplet`: "all", "hard" or "semihard".
    pub triplets: TripletChoice,
    /// Margin of the positive pairs of `contrastive`; by default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_margin: Option<f64>,
    /// Scale of the similarities in `proxyanchor`, its α, by default 32, and in `arcface`, by default 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Scale of the similarities of positives in `multisimilarity`, its α; by default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_scale: Option<f64>,
    /// Scale of the similarities of negatives in `multisimilarity`, its β; by default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_scale: Option<f64>,
    /// Similarity that positives should be above and negatives below in `multisimilarity`, its λ; by default 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_similarity: Option<f64>,
    /// Learning rate of the proxies relative to that of the networks, in metric learning; by default 100 for `proxyanchor`, as its authors
    /// have it, and 10 for `normsoftmax` and `arcface`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_rate: Option<f64>,
    /// The part of the training classes that metric learning holds out for its validation, or of the images of each class if the test split
    /// has the same classes. With 0, training uses all images, and there is no validation.
    pub validation_share: f64,
    /// Number of clusters of `deepcluster`; by default ten for each class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    /// Initial learning rate.
    pub learning_rate: f64,
    /// Momentum of SGD, the optimizer of `standard`.
    pub momentum: f64,
    /// Number of dimensions of an embedding, the output of the head. In metric learning, 0 takes the features for embeddings.
    pub outter_fs: usize,
    /// Number type of convolutions and linear layers: "f32", "f16" or "bf16".
    pub precision: Precision,
    /// Number of threads that prepare batches.
    pub num_workers: usize,
    /// Where the views of training are computed: "host", or "device" for contrastive views.
    pub augment_on: AugmentOn,
    /// Device of the backend: a number, or "cpu"; by default the first one.
    #[serde(alias = "gpu", skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceChoice>,
    /// Devices that share each batch, instead of `device`; the main one first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<DeviceChoice>>,
    /// On several devices, compute the statistics of batch normalisation over each device's share of the batch.
    pub local_batch_norm: bool,
    /// Keep batch normalisation of the backbone as it is in the weights that training starts from: its statistics, weights and biases.
    pub freeze_batch_norm: bool,
    /// Height and width to which the images of a folder are resized.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// What random crops of photographs are drawn from: the whole image, with this number of pixels on its shorter side, or "square", the
    /// image of `image_size`. A new run takes 8/7 of `image_size`, which is 256 for 224; a resumed run what it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_size: Option<SourceSize>,
    /// Train and probe on this number of images of the training split: a stratified sample, drawn with the seed. By default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Test on this number of images of the test split: a stratified sample, drawn with the seed. By default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// On dataset `folder`: the classes of the test split, which training does not have. A number takes the last classes in order, a
    /// fraction that part of them, and a list those of these names. By default, both splits have the same classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_classes: Option<TestClasses>,
    /// Weights to start from: a run folder, or a weights file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// Folder of the dataset's files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Leave out image files that cannot be decoded, instead of failing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_broken: bool,
    /// Maximum number of pixels that the header of an image file may declare.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,
    /// Figures while it trains: a list, "all" or "none". They have no effect on the weights.
    pub figures: Figures,
    /// Files besides `log.csv` that training is logged to: "jsonl", "tensorboard".
    #[serde(deserialize_with = "one_or_several")]
    pub logger: Vec<LoggerName>,
    /// Folder in which run folders are created.
    pub out: PathBuf,
    /// Suffix of the run folder's name, to distinguish runs with equal settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whether `run` also evaluates the untrained backbone, for comparison.
    pub compare_untrained: bool,
    /// Settings of `deepinfomax`.
    #[serde(deserialize_with = "table")]
    pub infomax: InfoMaxRecipe,
    /// Settings of kNN accuracies.
    #[serde(deserialize_with = "table")]
    pub knn: KnnRecipe,
    /// Settings of the linear probe and of fine-tuning.
    #[serde(deserialize_with = "table")]
    pub probe: ProbeRecipe,
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
            set_term: SetTerm::default(),
            aggregation: Aggregation::default(),
            images_per_identity: 4,
            triplets: TripletChoice::default(),
            positive_margin: None,
            scale: None,
            positive_scale: None,
            negative_scale: None,
            base_similarity: None,
            proxy_rate: None,
            validation_share: 0.1,
            clusters: None,
            learning_rate: 1e-3,
            momentum: 0.9,
            outter_fs: 64,
            precision: Precision::F32,
            // One core is left for the training.
            num_workers: std::thread::available_parallelism().map_or(1, |cores| (cores.get() - 1).clamp(1, 8)),
            augment_on: AugmentOn::default(),
            device: None,
            gpus: None,
            local_batch_norm: false,
            freeze_batch_norm: false,
            image_size: None,
            source_size: None,
            train_images: None,
            test_images: None,
            test_classes: None,
            checkpoint: None,
            data_dir: None,
            skip_broken: false,
            max_pixels: None,
            figures: Figures::default(),
            logger: Vec::new(),
            out: PathBuf::from("./checkpoint"),
            id: None,
            compare_untrained: false,
            infomax: InfoMaxRecipe::default(),
            knn: KnnRecipe::default(),
            probe: ProbeRecipe::default(),
        }
    }
}

/// Makes a path absolute.
///
/// # Errors
/// If the path is empty or the current folder is unknown.
pub fn absolute(path: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let make_absolute = |path: PathBuf| std::path::absolute(&path).map_err(|error| LabError::io("find", &path, error));
    path.map(make_absolute).transpose()
}

/// Returns the statistics to normalise the images of a dataset with, for weights that were trained on another: those of the
/// dataset, as in the paper's cross-domain evaluation. A folder of images has no statistics and takes those of the training
/// dataset.
pub fn normalization(images: DatasetName, trained_on: DatasetName) -> Normalization {
    match images {
        DatasetName::Folder => trained_on.normalization(),
        _ => images.normalization(),
    }
}

impl Recipe {
    /// Parses a recipe in the format of a run folder's `recipe.toml`.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        toml::from_str(text).map_err(|error| syntax_error::describe(&error, Some(text)))
    }

    /// Formats the recipe for a run folder's `recipe.toml`.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a recipe is plain TOML")
    }

    /// Returns the training devices, the main one first.
    pub fn devices(&self) -> Vec<Option<DeviceChoice>> {
        match &self.gpus {
            Some(devices) => devices.iter().copied().map(Some).collect(),
            None => vec![self.device],
        }
    }

    /// Returns the main device, which computes everything but training.
    pub fn main_device(&self) -> Option<DeviceChoice> {
        self.devices().first().copied().flatten()
    }

    /// Returns the smallest batch size: one image for each device, or two where each device contrasts only its own share.
    pub fn least_batch(&self) -> usize {
        let devices = self.devices().len();
        2.max(if self.sees_shares() { 2 * devices } else { devices })
    }

    /// Returns the number of dimensions of the embeddings of metric learning.
    pub fn embedding_dim(&self) -> usize {
        if self.outter_fs == 0 { self.backbone.feature_dim() } else { self.outter_fs }
    }

    /// Returns the learning rate of proxies, relative to that of the networks.
    pub fn proxy_rate(&self) -> f64 {
        let anchors = matches!(
            self.method,
            MethodName::BuiltIn(Method::Metric(MetricMethod { loss: MetricLossName::ProxyAnchor, .. }))
        );
        self.proxy_rate.unwrap_or(if anchors { 100.0 } else { 10.0 })
    }

    /// Whether the method is one of metric learning.
    pub fn is_metric(&self) -> bool {
        self.method.built_in().is_ok_and(Method::is_metric)
    }

    /// Whether `run` and `sweep` evaluate by retrieval, and not by a probe: the methods of metric learning, and all methods on datasets whose test
    /// split has other classes.
    pub fn is_evaluated_by_retrieval(&self) -> bool {
        let is_divided = self.probed() == DatasetName::Folder && self.test_classes.is_some();
        self.is_metric() || is_divided || self.probed().tests_on_other_classes()
    }

    /// Returns the dataset that a probe is trained and tested on.
    pub fn probed(&self) -> DatasetName {
        self.probe.dataset.unwrap_or(self.dataset)
    }

    /// Returns the statistics that the images of a probe are normalised with.
    pub fn probe_normalization(&self) -> Normalization {
        // Fine-tuned weights were trained on the probed images last.
        let trained_on = if self.probe.finetune { self.probed() } else { self.dataset };
        normalization(self.probed(), trained_on)
    }

    /// Returns the seed of the probe's random draws.
    pub fn probe_seed(&self) -> u64 {
        self.probe.seed.unwrap_or(self.seed)
    }

    /// Returns the name of a stage in `results.json` and in file names: it tells a fine-tuned backbone and another probed dataset.
    pub fn stage(&self, name: &str) -> String {
        let tuned = match (name, self.probe.finetune) {
            ("probe", true) => "finetune".to_string(),
            (name, true) => format!("{name}_finetune"),
            (name, false) => name.to_string(),
        };
        if self.probed() == self.dataset { tuned } else { format!("{tuned}_{}", self.probed()) }
    }

    /// Returns the settings that decide the weights and differ from those of the run's recipe, `other`.
    pub fn differences(&self, other: &Recipe) -> Vec<String> {
        let table = |recipe: &Recipe| toml::Table::try_from(recipe).expect("a recipe is plain TOML");
        let (mine, theirs) = (table(self), table(other));
        let without_effect_on_weights = [
            "data_dir",
            "skip_broken",
            "max_pixels",
            "figures",
            "logger",
            "out",
            "id",
            "num_workers",
            "augment_on",
            "device",
            "gpus",
            "compare_untrained",
            "test_images",
            "knn",
            "probe",
        ];
        let unused = if self.method == other.method { self.unused() } else { Vec::new() };
        let is_square = |size: Option<SourceSize>| matches!(size, None | Some(SourceSize::Square));
        // If it is not set, a run keeps its own.
        let same_source = self.source_size.is_none() || (is_square(self.source_size) && is_square(other.source_size));
        let names: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        let shown = |value: Option<&toml::Value>| value.map_or("none".to_string(), |value| value.to_string());
        let mut differences: Vec<String> = names
            .into_iter()
            .filter(|name| !without_effect_on_weights.contains(&name.as_str()) && !unused.contains(&name.as_str()))
            .filter(|name| mine.get(*name) != theirs.get(*name))
            .filter(|name| *name != "source_size" || !same_source)
            // A run can be extended to more epochs.
            .filter(|name| *name != "epochs" || self.epochs < other.epochs)
            .map(|name| format!("{name} = {} (the run has {})", shown(mine.get(name)), shown(theirs.get(name))))
            .collect();
        // If a device sees only its share of a batch, the number of devices changes the result.
        let (mine, theirs) = (self.devices().len(), other.devices().len());
        if mine != theirs && (self.sees_shares() || other.sees_shares()) {
            differences.push(format!("gpus names {mine} (the run has {theirs})"));
        }
        differences
    }

    /// Whether a device's loss depends on its own share of the batch only, for example through its negatives.
    fn sees_shares(&self) -> bool {
        // The plan of a method of another crate is unknown here, so the answer is yes.
        let custom = matches!(self.method, MethodName::Custom(_));
        self.local_batch_norm || custom || self.method.plan(self).is_some_and(|plan| plan.local_negatives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_normalise_as_embeddings_do() {
        let recipe = |finetune| Recipe {
            dataset: DatasetName::Cifar10,
            probe: ProbeRecipe { dataset: Some(DatasetName::Folder), finetune, ..Default::default() },
            ..Default::default()
        };
        // Of a folder there are no statistics. Fine-tuning has trained on it.
        assert_eq!(recipe(false).probe_normalization(), DatasetName::Cifar10.normalization());
        assert_eq!(recipe(true).probe_normalization(), DatasetName::Folder.normalization());
        for probed in [DatasetName::Cifar100, DatasetName::Stl10, DatasetName::Cifar10] {
            let mut recipe = recipe(false);
            recipe.probe.dataset = Some(probed);
            assert_eq!(recipe.probe_normalization(), probed.normalization());
            assert_eq!(normalization(probed, recipe.dataset), probed.normalization());
        }
        assert_eq!(normalization(DatasetName::Folder, DatasetName::Cifar10), DatasetName::Cifar10.normalization());
    }

    #[test]
    fn a_recipe_is_unchanged_by_writing_and_reading() {
        let recipe = Recipe { alpha: 0.7, data_dir: Some("/data".into()), ..Default::default() };
        assert_eq!(Recipe::parse(&recipe.to_toml()).unwrap(), recipe);
        assert_eq!(Recipe::of_layers([]).unwrap(), Recipe::default());
    }

    #[test]
    fn unknown_keys_and_names_are_errors() {
        assert!(Recipe::parse("epoch = 3").unwrap_err().contains("epoch"));
        let of = |text: &str| Recipe::of_layers([text.parse().unwrap()]);
        assert!(of("method = \"moco\"").unwrap_err().contains("sparseclr_qare"));
        assert!(Recipe::parse("method = \"mo/co\"").unwrap_err().contains("sparseclr_qare"));
        // In a run folder, an unknown method may be of another crate.
        assert_eq!(Recipe::parse("method = \"moco\"").unwrap().method, MethodName::Custom("moco".into()));
        assert_eq!(Recipe::parse("method = \"sparceclr\"").unwrap().method, Method::Sparseclr);
    }

    #[test]
    fn only_settings_that_affect_the_weights_are_differences() {
        let recipe = Recipe::default();
        let other = Recipe {
            num_workers: 7,
            augment_on: AugmentOn::Device,
            gpus: Some(vec![DeviceChoice::Number(0); 2]),
            beta: 0.5,
            ..recipe.clone()
        };
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
