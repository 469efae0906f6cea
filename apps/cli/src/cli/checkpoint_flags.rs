//! The flags of `qare probe` and `qare test`.

use std::path::PathBuf;

use clap::Args;
use qare_data::DatasetName;
use qare_lab::methods::Method;
use qare_lab::precision::Precision;
use qare_models::BackboneName;

use super::values::parse_bool;
use super::{EXAMPLES, MachineFlags};

/// The weights that `probe` and `test` read. Names and sizes come from the run; flags are checked against them.
#[derive(Clone, Debug, Args)]
pub struct CheckpointFlags {
    /// Run folder, or a weights file of this program or of PyTorch
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// Dataset to train and test the classifier on [default: the run's dataset]
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// Train backbone and classifier together, instead of the classifier alone
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_parser = parse_bool, value_name = "BOOL")]
    pub finetune: Option<bool>,
    /// Method of the run; only checked
    #[arg(long)]
    pub method: Option<Method>,
    /// Backbone of the run or of the weights; only checked
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// Height and width to resize images to, on datasets of image files [default: 64; 28 on omniglot]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
    /// Precision that the backbone computes in: f32, f16 or bf16 [default: the run's]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Batch size of the classifier's training [default: 128]
    #[arg(long, visible_alias = "data_size", aliases = ["batch_size", "data-size"], value_name = "B")]
    pub batch_size: Option<usize>,
    #[command(flatten)]
    pub machine: MachineFlags,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProbeArgs {
    #[command(flatten)]
    pub from: CheckpointFlags,
    /// Seed of the classifier's training [default: the run's seed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Epochs to train the classifier for [default: 100]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Learning rate of Adam, without --finetune [default: 0.001]
    #[arg(long, alias = "learning_rate")]
    pub learning_rate: Option<f64>,
    /// With --finetune: train on affine views with erased squares instead of the plain images
    #[arg(long)]
    pub augment: bool,
    /// File to write backbone and classifier to, FILE.safetensors; figures go to FILE.results.json [default: beside the weights]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    #[command(flatten)]
    pub from: CheckpointFlags,
    /// Seed of the run; only checked
    #[arg(long)]
    pub seed: Option<u64>,
}
