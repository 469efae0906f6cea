//! The flags that build a recipe or override one.

use std::path::{Path, PathBuf};

use clap::Args;
use qare::SetTerm;
use qare_data::{AugmentOn, DatasetName, TestClasses};
use qare_models::BackboneName;
use serde::Serialize;

use super::values::parse_bool;
use super::{IMAGES, MACHINE, MachineFlags, OBJECTIVE, RUN_FOLDER, TRAINING};
use qare_lab::PrintablePath;
use qare_lab::loggers::LoggerName;
use qare_lab::methods::metric::TripletChoice;
use qare_lab::methods::{Aggregation, Floor, Method};
use qare_lab::precision::Precision;
use qare_lab::recipe::{DeviceChoice, Figures, Layer, Recipe, SourceSize, absolute};
use qare_lab::{LabError, Result};

/// The settings of a run. A flag that is absent takes its value from the recipe file, or else the default.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct RecipeFlags {
    /// cifar10, cifar100, supercifar100, tiny, stl10, slim, omniglot, cub200, cars196, sop, market1501, cuhk03, folder or shapes (needs
    /// no files) [default: cifar10]
    #[arg(help_heading = TRAINING, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetName>,
    /// simclr, simclr_qare, sparseclr, sparseclr_qare, rotationnet, deepinfomax, deepcluster, relationnet, standard, randomweights; metric
    /// learning: triplet, contrastive, infonce, supcon, ntlogistic, multisimilarity, sparseclr_labels, proxyanchor, normsoftmax or arcface,
    /// with the set term triplet_qare and so on [default: sparseclr_qare]
    #[arg(help_heading = TRAINING, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// conv4, resnet8, resnet20, resnet32, resnet44, resnet56, resnet110, resnet18, resnet34 or resnet50 [default: conv4]
    #[arg(help_heading = TRAINING, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<BackboneName>,
    /// Seed of all random draws [default: 1]
    #[arg(help_heading = TRAINING, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Images in a batch; 64 for relationnet [default: 128]
    #[arg(help_heading = TRAINING, long, visible_alias = "data_size", aliases = ["batch_size", "data-size"], value_name = "B")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Views of each image; 32 for relationnet [default: 2]
    #[arg(help_heading = TRAINING, long = "K", alias = "views", value_name = "K")]
    #[serde(skip_serializing_if = "Option::is_none", rename = "K")]
    pub views: Option<usize>,
    /// Epochs of training [default: 200]
    #[arg(help_heading = TRAINING, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Weight of the pairwise term in the *_qare methods [default: 1]
    #[arg(help_heading = OBJECTIVE, long, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// Weight of the QARe term in the *_qare methods [default: 1]
    #[arg(help_heading = OBJECTIVE, long, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Temperature of NT-Xent [default: 0.5], or of the loss of metric learning [default: its own]
    #[arg(help_heading = OBJECTIVE, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Margin of SparseCLR [default: 1], or of the loss of metric learning, for arcface in degrees [default: its own]
    #[arg(help_heading = OBJECTIVE, long, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Floor of the similarities in the QARe term: 1e-8, or none, which makes its cost linear in B [default: 1e-8]
    #[arg(help_heading = OBJECTIVE, long, alias = "similarity_floor", value_name = "FLOOR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity_floor: Option<Floor>,
    /// Set term of the *_qare methods: spectral, the paper's, frobenius, which needs no decomposition, or centred, mean or uniformity
    /// (for comparison) [default: spectral]
    #[arg(help_heading = OBJECTIVE, long, alias = "set_term", value_name = "TERM")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_term: Option<SetTerm>,
    /// How relationnet joins the features of two views: cat, sum, mean or max [default: cat]
    #[arg(help_heading = OBJECTIVE, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Aggregation>,
    /// Metric learning: images of each class in a batch; the batch size divided by it is the number of classes [default: 4]
    #[arg(help_heading = OBJECTIVE, long, alias = "images_per_identity", value_name = "M")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_identity: Option<usize>,
    /// Triplets that triplet counts: all, hard or semihard [default: all]
    #[arg(help_heading = OBJECTIVE, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triplets: Option<TripletChoice>,
    /// Margin of the positive pairs of contrastive [default: 0]
    #[arg(help_heading = OBJECTIVE, long, aliases = ["positive_margin", "pos-margin", "pos_margin"], value_name = "MARGIN")]
    #[arg(allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_margin: Option<f64>,
    /// Scale of the similarities in proxyanchor, its α [default: 32], and in arcface [default: 64]
    #[arg(help_heading = OBJECTIVE, long, allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Scale of the similarities of positives in multisimilarity, its α [default: 2]
    #[arg(help_heading = OBJECTIVE, long, alias = "positive_scale", value_name = "SCALE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_scale: Option<f64>,
    /// Scale of the similarities of negatives in multisimilarity, its β [default: 50]
    #[arg(help_heading = OBJECTIVE, long, alias = "negative_scale", value_name = "SCALE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub negative_scale: Option<f64>,
    /// Similarity that positives should be above and negatives below in multisimilarity, its λ [default: 0.5]
    #[arg(help_heading = OBJECTIVE, long, alias = "base_similarity", value_name = "SIMILARITY", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_similarity: Option<f64>,
    /// Metric learning: learning rate of proxies relative to that of the networks [default: 100 for proxyanchor, 10 for normsoftmax and
    /// arcface]
    #[arg(help_heading = OBJECTIVE, long, alias = "proxy_rate", value_name = "RATE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_rate: Option<f64>,
    /// Metric learning: part of the training classes to hold out for the Recall@1 after each epoch; 0 for none [default: 0.1]
    #[arg(help_heading = IMAGES, long, alias = "validation_share", value_name = "SHARE", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_share: Option<f64>,
    /// Number of clusters of deepcluster [default: 10 for each class]
    #[arg(help_heading = OBJECTIVE, long, value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clusters: Option<usize>,
    /// Learning rate; 0.1 for standard, 0.0001 for deepinfomax [default: 0.001]
    #[arg(help_heading = TRAINING, long, alias = "learning_rate")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Dimensions of the backbone's features; only checked, the backbone determines them
    #[arg(help_heading = OBJECTIVE, long, visible_alias = "inner_fs", value_name = "F")]
    #[serde(skip)]
    pub inner_fs: Option<usize>,
    /// Dimensions of the head's embeddings; in metric learning, 0 takes the features for embeddings [default: 64]
    #[arg(help_heading = OBJECTIVE, long, visible_aliases = ["outter_fs", "embedding-size"], value_name = "D")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outter_fs: Option<usize>,
    /// Precision that networks compute in: f32, f16 or bf16; weights and losses stay in f32 [default: f32]
    #[arg(help_heading = MACHINE, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Where contrastive views are computed: host, or device, for machines whose CPU cannot keep up with their GPU [default: host]
    #[arg(help_heading = MACHINE, long, alias = "augment_on", value_name = "PLACE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment_on: Option<AugmentOn>,
    /// Train on this many images, a stratified subset drawn with the seed [default: all]
    #[arg(help_heading = IMAGES, long, alias = "train_images", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_images: Option<usize>,
    /// Test on this many images, drawn likewise [default: all]
    #[arg(help_heading = IMAGES, long, alias = "test_images", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_images: Option<usize>,
    /// On dataset `folder`: test on classes that training does not have. The last N in order, a fraction such as 0.5, or their names
    /// [default: the same classes in both splits]
    #[arg(help_heading = IMAGES, long, alias = "test_classes", value_name = "N|NAME,NAME", allow_negative_numbers = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_classes: Option<TestClasses>,
    /// Height and width to resize images to, on datasets of image files [default: 64; 28 on omniglot]
    #[arg(help_heading = IMAGES, long, alias = "image_size", value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_size: Option<usize>,
    /// On photographs of any size: draw random crops from whole images whose shorter side is resized to this, or from the square of
    /// --image-size [default: 8/7 of --image-size, 256 for 224]
    #[arg(help_heading = IMAGES, long, alias = "source_size", value_name = "PIXELS|square")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_size: Option<SourceSize>,
    /// Devices to train on together, such as 0,1; relationnet and deepinfomax keep negatives within a device [default: --device]
    #[arg(help_heading = MACHINE, long, value_delimiter = ',', value_name = "N,N", conflicts_with = "device")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Vec<DeviceChoice>>,
    /// With --gpus: normalise over each device's images instead of the whole batch; faster, other results [default: false]
    #[arg(help_heading = MACHINE, long, alias = "local_batch_norm", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_bool, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_batch_norm: Option<bool>,
    /// Keep batch normalisation as it is in the weights that training starts from [default: false]
    #[arg(help_heading = TRAINING, long, alias = "freeze_batch_norm", num_args = 0..=1, default_missing_value = "true")]
    #[arg(value_parser = parse_bool, value_name = "BOOL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze_batch_norm: Option<bool>,
    /// A flag of the paper's repository; --resume replaces it
    #[arg(long, alias = "epoch_start", hide = true)]
    #[serde(skip)]
    pub epoch_start: Option<usize>,
    /// Weights to start from: a run folder, or a weights file of this program or of PyTorch
    #[arg(help_heading = TRAINING, long, value_name = "RUN_OR_FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<PathBuf>,
    /// Suffix of the run folder's name
    #[arg(help_heading = RUN_FOLDER, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Figures while it trains: rankme, alignment, uniformity, dead_dimensions, gradient_norm, probe; all or none [default: all but probe]
    #[arg(help_heading = RUN_FOLDER, long, value_name = "NAME,NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// Log every step besides log.csv: jsonl for steps.jsonl, tensorboard for event files; several are separated by commas
    #[arg(help_heading = RUN_FOLDER, long, value_name = "NAME,NAME", value_delimiter = ',')]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logger: Vec<LoggerName>,
    /// Folder to create run folders in [default: ./checkpoint]
    #[arg(help_heading = RUN_FOLDER, long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineFlags,
}

impl RecipeFlags {
    /// The flags of the call as a layer of a recipe.
    pub fn layer(&self) -> Result<Layer> {
        for path in [&self.out, &self.checkpoint, &self.machine.data_dir].into_iter().flatten() {
            if path.to_str().is_none() {
                return Err(LabError::Usage(format!("{}: a path in a recipe must be UTF-8", path.printable())));
            }
        }
        Layer::try_from(self).map_err(|error| LabError::Usage(format!("a flag cannot be stored in a recipe: {error}")))
    }

    /// The flags of the call that have no effect with the recipe's method.
    pub fn without_effect(&self, recipe: &Recipe) -> Vec<String> {
        let given = self.layer().unwrap_or_default();
        let unused = recipe.unused().into_iter().filter(|name| given.contains_key(*name));
        unused.map(|name| format!("--{}", name.replace('_', "-"))).collect()
    }

    /// The recipe: the file's settings, if there is one, overridden by the flags.
    ///
    /// `data_dir` and `checkpoint` are made absolute.
    ///
    /// # Errors
    /// If the file cannot be read, a setting is out of range, or `--inner-fs` is not the backbone's feature size.
    pub fn to_recipe(&self, file: Option<&Path>) -> Result<Recipe> {
        self.to_recipe_with(file, Layer::new())
    }

    /// The same with settings `above` those of flags and file.
    pub fn to_recipe_with(&self, file: Option<&Path>, above: Layer) -> Result<Recipe> {
        if let Some(seed) = self.seed.filter(|seed| *seed > i64::MAX as u64) {
            return Err(LabError::Usage(format!(
                "--seed {seed}: must be at most {}, the largest integer in TOML",
                i64::MAX
            )));
        }
        if self.epoch_start.is_some_and(|epoch| epoch > 0) {
            return Err(LabError::Usage(
                "--epoch_start is not supported: --resume continues a run where it stopped, and --checkpoint starts a new \
                 run from weights"
                    .into(),
            ));
        }
        let base = file.map(Recipe::layers).transpose()?;
        let recipe = Recipe::of_layers(base.iter().cloned().chain([self.layer()?, above]))
            .and_then(|recipe| recipe.validate().map(|()| recipe).map_err(|error| error.to_string()));
        let recipe = recipe.map_err(|message| {
            // An error that the file has without the flags is the file's.
            let alone = |layer| Recipe::of_layers([layer])?.validate().map_err(|error| error.to_string());
            match (file, base.map(alone)) {
                (Some(file), Some(Err(of_file))) if of_file == message => {
                    LabError::Usage(format!("recipe {}: {message}", file.printable()))
                }
                _ => LabError::Usage(message),
            }
        })?;
        let recipe =
            Recipe { data_dir: absolute(recipe.data_dir)?, checkpoint: absolute(recipe.checkpoint)?, ..recipe };
        let features = recipe.backbone.feature_dim();
        if let Some(inner) = self.inner_fs.filter(|inner| *inner != features) {
            return Err(LabError::Usage(format!(
                "--inner-fs {inner}: the features of {} have {features} dimensions",
                recipe.backbone
            )));
        }
        Ok(recipe)
    }
}
