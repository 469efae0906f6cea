//! The command line. Every flag also goes by its name in the paper's repository.

mod bench_flags;
mod recipe_flags;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use qare_data::DatasetName;
use qare_models::BackboneName;
use serde::Serialize;

pub use bench_flags::BenchArgs;
pub use recipe_flags::RecipeFlags;

use crate::output::refused;
use qare_lab::Result;
use qare_lab::methods::Method;
use qare_lab::precision::Precision;
use qare_lab::recipe::DeviceChoice;

const EXAMPLES: &str = "Examples:
  qare run configs/quickstart.toml
  qare pretrain --dataset cifar10 --data-dir ~/data --method sparseclr_qare --backbone conv4 \\
                --batch-size 256 --epochs 200 --alpha 1 --beta 0.5
  qare probe --checkpoint checkpoint/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5 --data-dir ~/data
  qare test  --checkpoint checkpoint/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5 --data-dir ~/data";

/// Headings of groups of flags.
const TRAINING: &str = "What to train";
const OBJECTIVE: &str = "Objective";
const IMAGES: &str = "Images";
const RUN_FOLDER: &str = "Run folder";
const MACHINE: &str = "Machine";

/// Self-supervised representation learning by set contrast (QARe), SparseCLR and SimCLR.
#[derive(Debug, Parser)]
#[command(name = "qare", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
#[command(args_override_self = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// The call, read; nothing if it asked for help or the version, which is printed. A wrong call ends the program.
    pub fn read() -> Result<Option<Self>> {
        match Self::command().try_get_matches().and_then(|matches| Self::from_arg_matches(&matches)) {
            Ok(cli) => Ok(Some(cli)),
            Err(error) if error.use_stderr() => error.exit(),
            Err(asked) => {
                if let Err(error) = asked.print() {
                    refused(error);
                }
                Ok(None)
            }
        }
    }

    /// The command line, without those flags that a subcommand shares but has no use for.
    fn command() -> clap::Command {
        let unused = [
            ("sweep", &["seed", "method", "inner_fs"][..]),
            ("test", &["no_tui"]),
            ("embed", &["no_tui"]),
            ("bench", &["no_tui"]),
        ];
        let hide = |command: clap::Command, (name, flags): (&'static str, &'static [&'static str])| {
            command.mut_subcommand(name, |sub| {
                flags.iter().fold(sub, |sub, flag| sub.mut_arg(*flag, |argument| argument.hide(true)))
            })
        };
        unused.into_iter().fold(<Self as CommandFactory>::command(), hide)
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stage 1: train a backbone without labels [also: train_unsupervised]
    #[command(aliases = ["train_unsupervised", "train-unsupervised"])]
    Pretrain(PretrainArgs),
    /// Stage 2: train a linear classifier on the frozen features of a run, or fine-tune it [also: train_linear_evaluation]
    #[command(aliases = ["train_linear_evaluation", "train-linear-evaluation"])]
    Probe(ProbeArgs),
    /// Stage 3: loss and accuracy of the linear classifier on the unseen test split
    Test(TestArgs),
    /// All three stages, from a recipe
    Run(RunArgs),
    /// A recipe with several seeds and methods, and a table of mean ± standard deviation
    Sweep(SweepArgs),
    /// Features of a dataset or an image folder, as .npy or .safetensors
    Embed(EmbedArgs),
    /// A backbone alone: as .safetensors with PyTorch's names, or as a record of Burn (.mpk)
    Export(ExportArgs),
    /// Get a dataset, or check one
    #[command(subcommand)]
    Data(DataCommand),
    /// How fast this machine is at it: views, objectives, training steps, and the rest; and comparisons
    Bench(BenchArgs),
    /// Methods, backbones, datasets, and the backend built in
    List,
    /// Devices that the backend built in can compute on
    Devices,
}

impl Command {
    /// Whether what it prints is all it is for: then it fails if that cannot be written.
    pub fn only_prints(&self) -> bool {
        matches!(self, Self::List | Self::Devices | Self::Test(_) | Self::Bench(_) | Self::Data(DataCommand::Check(_)))
    }
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download a dataset from its official address, check it and unpack it
    Fetch(FetchArgs),
    /// Say which datasets are in a folder, and what is wrong with them
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub struct FetchArgs {
    /// cifar10, cifar100 (also for supercifar100), tiny or stl10
    pub dataset: DatasetName,
    /// Folder to put it in; it is made if it is not there
    #[arg(long, visible_alias = "data_dir", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Another address of the same archive, such as a mirror's; its checksum has to be the published one
    #[arg(long)]
    pub url: Option<String>,
    /// Keep the archive beside what was unpacked from it
    #[arg(long, alias = "keep_archive")]
    pub keep_archive: bool,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder with datasets as unpacked
    pub dir: PathBuf,
    /// The most pixels that an image file may announce; one with more counts as broken
    #[arg(long, alias = "max_pixels", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
    /// Count and name image files that cannot be decoded, and call the rest sound
    #[arg(long, alias = "skip_broken")]
    pub skip_broken: bool,
}

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Recipe that the runs share; without one, flags say what it would
    #[arg(value_name = "RECIPE")]
    pub recipe: Option<PathBuf>,
    /// The same, as a flag
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    pub config: Option<PathBuf>,
    /// Seeds of the runs, such as 1,2,3
    #[arg(long, value_delimiter = ',', required = true)]
    pub seeds: Vec<u64>,
    /// Methods of the runs, such as simclr,simclr_qare [default: the recipe's]
    #[arg(long, value_delimiter = ',')]
    pub methods: Vec<Method>,
    #[command(flatten)]
    pub flags: RecipeFlags,
}

/// Which part of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Train, then test.
    All,
    Train,
    Test,
    Unlabeled,
}

#[derive(Debug, Args)]
pub struct EmbedArgs {
    /// Run folder, or a weights file of this program or of PyTorch
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// File to write: FILE.npy (and FILE.labels.npy, FILE.classes.txt and FILE.files.txt beside it), or FILE.safetensors with all in one
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Dataset to embed; `folder` for any folder of images [default: the run's]
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// Dataset that the weights were trained on, where they do not say it themselves: images are brought to its size and
    /// normalised as it is [default: the one embedded]
    #[arg(long, alias = "trained_on", value_name = "DATASET")]
    pub trained_on: Option<DatasetName>,
    /// Part of the dataset to embed
    #[arg(long, value_enum, default_value = "all")]
    pub split: Part,
    /// Backbone of the weights, where they do not say it themselves
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// What the backbone computes in: f32, f16 or bf16 [default: the run's]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Height and width that images of a folder are brought to [default: those of the images trained on]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
    #[command(flatten)]
    pub machine: MachineFlags,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Run folder, or a weights file of this program or of PyTorch
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// File to write: FILE.safetensors or FILE.mpk; a text about it is written beside, as FILE.….README.md
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Dataset that the weights were trained on, where they do not say it themselves: images are normalised as it is
    #[arg(long, alias = "trained_on", value_name = "DATASET")]
    pub trained_on: Option<DatasetName>,
    /// Height and width of the images trained on, where the weights do not say it themselves [default: the dataset's]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
}

/// Where a run takes place.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct MachineFlags {
    /// Folder with the dataset's files, as unpacked
    #[arg(help_heading = IMAGES, long, alias = "data_dir", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Device to compute on: cpu, or the number of one that `qare devices` lists [default: the first]
    #[arg(help_heading = MACHINE, long, visible_alias = "gpu", value_name = "cpu|N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceChoice>,
    /// Threads that prepare batches [default: one less than cores]; results do not depend on it
    #[arg(help_heading = MACHINE, long, visible_alias = "num_workers", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_workers: Option<usize>,
    /// Leave out image files that cannot be decoded; they are counted and named
    #[arg(help_heading = IMAGES, long, alias = "skip_broken")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_broken: bool,
    /// The most pixels that an image file may announce; one with more counts as broken
    #[arg(help_heading = IMAGES, long, alias = "max_pixels", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,
    /// Plain progress instead of the dashboard
    #[arg(help_heading = MACHINE, long, alias = "no_tui")]
    #[serde(skip)]
    pub no_tui: bool,
}

/// What to do about a run folder that is there already.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ExistingFlags {
    /// Go on after the last whole epoch of an existing run
    #[arg(help_heading = RUN_FOLDER, long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Delete an existing run of the same name and start again
    #[arg(help_heading = RUN_FOLDER, long)]
    pub overwrite: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PretrainArgs {
    /// Recipe to start from; flags override it
    #[arg(help_heading = RUN_FOLDER, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: RecipeFlags,
    #[command(flatten)]
    pub existing: ExistingFlags,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Recipe of the run
    #[arg(value_name = "RECIPE", required_unless_present = "config")]
    pub recipe: Option<PathBuf>,
    /// The same, as a flag
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: RecipeFlags,
    #[command(flatten)]
    pub existing: ExistingFlags,
}

/// Python's spelling and everybody else's.
fn truth(text: &str) -> std::result::Result<bool, String> {
    text.to_lowercase().parse().map_err(|_| "expected true or false".to_string())
}

/// What `probe` and `test` work on. Names and sizes are in the run; given here, they are checked against it.
#[derive(Clone, Debug, Args)]
pub struct CheckpointFlags {
    /// Run folder, or a weights file: one of this program's, or the .tar, .pt or .pth of PyTorch
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// Dataset to train and test the classifier on [default: the one the run trained on]
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// Train backbone and classifier together, instead of the classifier alone
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_parser = truth, value_name = "BOOL")]
    pub finetune: Option<bool>,
    /// Method of the run, only checked
    #[arg(long)]
    pub method: Option<Method>,
    /// Backbone of the run, only checked, or known from the weights
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// Height and width that the images of dataset `folder` or `slim` are brought to [default: 64]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
    /// What the backbone computes in: f32, f16 or bf16 [default: the run's]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// Images in a batch of the classifier's training [default: 128]; of no consequence to test
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
    /// Seed of the probe's own draws [default: the run's]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Epochs of the classifier [default: 100]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Learning rate of Adam, without --finetune [default: 0.001]
    #[arg(long, alias = "learning_rate")]
    pub learning_rate: Option<f64>,
    /// With --finetune: train on affine views with erased squares instead of the images as they are
    #[arg(long)]
    pub augment: bool,
    /// File for backbone and classifier, FILE.safetensors; the figures go to FILE.results.json [default: beside the weights]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    #[command(flatten)]
    pub from: CheckpointFlags,
    /// Seed of the run, only checked
    #[arg(long)]
    pub seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_seeds_own_command_is_understood() {
        let words = "qare train_unsupervised --dataset=cifar10 --method=sparceclr_qare --backbone=conv4 --seed=1 \
                     --data_size=256 --K=32 --gpu=0 --epochs=200 --alpha=1 --beta=0.5 --num_workers=8 --inner_fs=64 \
                     --outter_fs=64 --id=x";
        let Command::Pretrain(args) = Cli::parse_from(words.split_whitespace()).command else { panic!() };
        let recipe = args.flags.over(None).unwrap();
        assert_eq!((recipe.method, recipe.batch_size, recipe.views), (Method::SparseclrQare.into(), 256, 32));
        assert_eq!((recipe.alpha, recipe.beta, recipe.epochs), (1.0, 0.5, 200));
        assert_eq!((recipe.num_workers, recipe.id.as_deref()), (8, Some("x")));
    }

    #[test]
    fn a_feature_size_that_the_backbone_does_not_have_is_told() {
        let flags = RecipeFlags { inner_fs: Some(128), ..Default::default() };
        assert!(flags.over(None).unwrap_err().to_string().contains("64"));
    }
}
