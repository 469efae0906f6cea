//! The command line. Every flag is also accepted under its name in the paper's repository.

mod bench_flags;
mod checkpoint_flags;
mod recipe_flags;
mod report_flags;
mod retrieve_flags;
mod runs_flags;
mod show_flags;
mod values;

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use qare_data::{DatasetName, TestClasses};
use qare_models::BackboneName;
use serde::Serialize;

pub use bench_flags::BenchArgs;
pub use checkpoint_flags::{CheckpointFlags, ProbeArgs, TestArgs};
pub use recipe_flags::RecipeFlags;
pub use report_flags::{CardArgs, MapKind, ReportArgs};
pub use retrieve_flags::RetrieveArgs;
pub use runs_flags::{RunOrder, RunsArgs};
pub use show_flags::{ShowArgs, Split};

use self::values::with_numbers;
use crate::output::{eprint_line, record_write_error};
use qare_lab::Result;
use qare_lab::export::Format;
use qare_lab::methods::Method;
use qare_lab::precision::Precision;
use qare_lab::recipe::{DeviceChoice, Variation};

const EXAMPLES: &str = "Examples:
  qare run configs/quickstart.toml
  qare pretrain --dataset cifar10 --data-dir ~/data --method sparseclr_qare --backbone conv4 \\
                --batch-size 256 --epochs 200 --alpha 1 --beta 0.5
  qare probe --checkpoint checkpoint/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5 --data-dir ~/data
  qare test  --checkpoint checkpoint/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5 --data-dir ~/data";

/// Headings that group the flags in `--help`.
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
    /// Parses the command line.
    ///
    /// Prints help or the version if the call asks for it, and returns `None`. Exits with code 2 on a wrong call.
    pub fn read() -> Result<Option<Self>> {
        match Self::command().try_get_matches().and_then(|matches| Self::from_arg_matches(&matches)) {
            Ok(cli) => Ok(Some(cli)),
            Err(error) if error.use_stderr() => {
                let code = error.exit_code();
                // Without colours if arguments hold characters that act on a terminal.
                if std::env::args_os().any(|argument| argument.to_string_lossy().contains(char::is_control)) {
                    eprint_line(error.render());
                    std::process::exit(code);
                }
                error.exit()
            }
            Err(help) => {
                if let Err(error) = help.print() {
                    record_write_error(error);
                }
                Ok(None)
            }
        }
    }

    /// The clap command. Flags that a subcommand inherits from a shared group but does not use are hidden, and numbers may be negative,
    /// so that the message for them says what is expected.
    fn command() -> clap::Command {
        let unused = [
            ("sweep", &["seed", "method", "inner_fs"][..]),
            ("test", &["no_tui", "batch_size"]),
            ("embed", &["no_tui"]),
            ("report", &["no_tui"]),
            ("retrieve", &["no_tui"]),
            ("bench", &["no_tui"]),
        ];
        let hide = |command: clap::Command, (name, flags): (&'static str, &'static [&'static str])| {
            command.mut_subcommand(name, |sub| {
                flags.iter().fold(sub, |sub, flag| sub.mut_arg(*flag, |argument| argument.hide(true)))
            })
        };
        let command = unused.into_iter().fold(<Self as CommandFactory>::command(), hide);
        let command = command.mut_subcommand("data", |data| {
            data.mut_subcommand("show", |show| {
                ["no_tui", "device", "num_workers"]
                    .into_iter()
                    .fold(show, |show, flag| show.mut_arg(flag, |argument| argument.hide(true)))
            })
        });
        let command = command.mut_subcommand("test", |test| {
            test.mut_arg("dataset", |argument| argument.help("Dataset of the classifier [default: the run's dataset]"))
                .mut_arg("finetune", |argument| argument.help("Test the classifier of `probe --finetune`"))
        });
        command.mut_subcommands(|sub| sub.mut_args(with_numbers).mut_subcommands(|sub| sub.mut_args(with_numbers)))
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stage 1: train a backbone, without labels or by metric learning [also: train_unsupervised]
    #[command(aliases = ["train_unsupervised", "train-unsupervised"])]
    Pretrain(PretrainArgs),
    /// Stage 2: train a linear classifier on the frozen features of a run, or fine-tune it [also: train_linear_evaluation]
    #[command(aliases = ["train_linear_evaluation", "train-linear-evaluation"])]
    Probe(ProbeArgs),
    /// Stage 3: report loss and accuracy of the linear classifier on the unseen test split
    Test(TestArgs),
    /// Report how well test images find others of their class: Recall@k, R-precision, MAP@R, NMI; CMC and mAP for re-identification
    Retrieve(RetrieveArgs),
    /// Run all three stages from a recipe; for metric learning, train and retrieve
    Run(RunArgs),
    /// Run a recipe with several seeds and methods, and tabulate mean ± standard deviation
    Sweep(SweepArgs),
    /// List the runs in a folder: method, dataset, epochs, state, accuracy
    Runs(RunsArgs),
    /// Write one HTML page on runs: curves, results, maps, neighbours, confusion, spectra
    Report(ReportArgs),
    /// Write the model card of a run, as Markdown
    Card(CardArgs),
    /// Write the embeddings or features of a dataset or an image folder, as .npy or .safetensors
    Embed(EmbedArgs),
    /// Write a backbone for other programs: with PyTorch's names (.safetensors), as an ONNX model, or as a Burn record (.mpk)
    Export(ExportArgs),
    /// Download, check or show a dataset
    #[command(subcommand)]
    Data(DataCommand),
    /// Measure views, loader, objectives, training steps, probe and epoch on this machine, or compare results
    Bench(BenchArgs),
    /// List methods, backbones, datasets and the backend of this build
    List,
    /// List the devices that the backend of this build can use
    Devices,
}

impl Command {
    /// Whether the command's only result is its output: such a command fails if the output cannot be written.
    pub fn only_prints(&self) -> bool {
        matches!(
            self,
            Self::List
                | Self::Devices
                | Self::Runs(_)
                | Self::Test(_)
                | Self::Retrieve(_)
                | Self::Bench(_)
                | Self::Data(DataCommand::Check(_))
                | Self::Card(CardArgs { out: None, .. })
        )
    }
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Download a dataset from its official address, check it and unpack it
    Fetch(FetchArgs),
    /// Report which datasets a folder holds and what is wrong with them
    Check(CheckArgs),
    /// Write a contact sheet: images of each class, and views of some with their parameters
    Show(ShowArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  qare data fetch cifar10 --data-dir ~/data")]
pub struct FetchArgs {
    /// cifar10, cifar100 (also for supercifar100), tiny or stl10
    pub dataset: DatasetName,
    /// Folder to unpack into; created if it does not exist
    #[arg(long, visible_alias = "data_dir", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Download the archive from this address, such as a mirror; its checksum must equal the published one
    #[arg(long)]
    pub url: Option<String>,
    /// Keep the archive after unpacking it
    #[arg(long, alias = "keep_archive")]
    pub keep_archive: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  qare data check ~/data\n  qare data check photos --skip-broken")]
pub struct CheckArgs {
    /// Folder that holds unpacked datasets
    pub dir: PathBuf,
    /// Most pixels that an image file may declare; a file with more counts as broken [default: 178956970]
    #[arg(long, alias = "max_pixels", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_pixels: Option<u64>,
    /// Leave out image files that cannot be decoded: count and name them, but do not fail
    #[arg(long, alias = "skip_broken")]
    pub skip_broken: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qare sweep configs/paper_table.toml --data-dir ~/data --seeds 1,2,3 --methods simclr,simclr_qare
  qare sweep configs/paper_table.toml --data-dir ~/data --seeds 1,2 --methods simclr,simclr_qare --vary beta=0.1,0.5,2")]
pub struct SweepArgs {
    /// Recipe that all runs share; without one, the flags describe the runs
    #[arg(value_name = "RECIPE")]
    pub recipe: Option<PathBuf>,
    /// The recipe, as a flag
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    pub config: Option<PathBuf>,
    /// Seeds of the runs, such as 1,2,3
    #[arg(long, value_delimiter = ',', required = true)]
    pub seeds: Vec<u64>,
    /// Methods of the runs, such as simclr,simclr_qare [default: the recipe's method]
    #[arg(long, value_delimiter = ',')]
    pub methods: Vec<Method>,
    /// A setting that varies from run to run, and its values, such as beta=0,0.5,1: the key of a recipe. Methods that do not use it run once.
    /// Several --vary run all combinations
    #[arg(long, value_name = "SETTING=VALUE,VALUE")]
    pub vary: Vec<Variation>,
    #[command(flatten)]
    pub flags: RecipeFlags,
}

/// The part of a dataset to embed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The training split, then the test split.
    All,
    Train,
    Test,
    Unlabeled,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qare embed --checkpoint checkpoint/RUN --output features.npy
  qare embed --checkpoint checkpoint/RUN --dataset folder --data-dir photos --output photos.safetensors
  qare embed --checkpoint resnet18.pth --dataset folder --data-dir photos --image-size 224 --output photos.npy")]
pub struct EmbedArgs {
    /// Run folder, or a weights file of this program or of PyTorch
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// File to write: FILE.npy, with FILE.labels.npy, FILE.classes.txt and FILE.files.txt beside it, or one FILE.safetensors
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Dataset to embed; `folder` for any folder of images [default: the run's dataset]
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// Dataset that the weights were trained on, if the file does not say: sets the size and normalisation of the images
    /// [default: the dataset to embed]
    #[arg(long, alias = "trained_on", value_name = "DATASET")]
    pub trained_on: Option<DatasetName>,
    /// Part of the dataset to embed
    #[arg(long, value_enum, default_value = "all")]
    pub split: Part,
    /// Write the features of the backbone, also if the run trained an embedding
    #[arg(long)]
    pub features: bool,
    /// Backbone of the weights, if the file does not say
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// Precision that the backbone computes in: f32, f16 or bf16 [default: the run's]
    #[arg(long)]
    pub precision: Option<Precision>,
    /// On dataset `folder`: the classes of the test split, as in training [default: those of the run]
    #[arg(long, alias = "test_classes", value_name = "N|NAME,NAME", allow_negative_numbers = true)]
    pub test_classes: Option<TestClasses>,
    /// Height and width to resize the images of a folder to [default: those of the training images]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
    #[command(flatten)]
    pub machine: MachineFlags,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qare export --checkpoint checkpoint/RUN --output backbone.safetensors
  qare export --checkpoint checkpoint/RUN --format onnx --output exported
  qare export --checkpoint checkpoint/RUN --format onnx --output exported --classifier --preprocessing")]
pub struct ExportArgs {
    /// Run folder, or a weights file of this program or of PyTorch
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// File to write, whose name ends in the format: its README goes beside it, in FILE.README.md; or, with --format, a folder for the file and
    /// README.md
    #[arg(long, short, value_name = "FILE_OR_DIR")]
    pub output: PathBuf,
    /// Format: safetensors (weights under PyTorch's names), onnx (a graph), mpk (a record of Burn) [default: the one in the name of the output]
    #[arg(long)]
    pub format: Option<Format>,
    /// Of ONNX: fail if there is no classifier; of a run folder, take the weights of its linear probe
    #[arg(long)]
    pub classifier: bool,
    /// Of ONNX: let the model take 8-bit images of any size, and resize and normalise them
    #[arg(long)]
    pub preprocessing: bool,
    /// Dataset that the weights were trained on, if the file does not say: sets the normalisation of the images
    #[arg(long, alias = "trained_on", value_name = "DATASET")]
    pub trained_on: Option<DatasetName>,
    /// Height and width of the training images, if the file does not say [default: the dataset's]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
}

/// Flags about the machine and the images, shared by most commands.
#[derive(Clone, Debug, Default, Args, Serialize)]
pub struct MachineFlags {
    /// Folder that holds the dataset's unpacked files
    #[arg(help_heading = IMAGES, long, alias = "data_dir", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Device to compute on: cpu, or a number from `qare devices` [default: the first device]
    #[arg(help_heading = MACHINE, long, visible_alias = "gpu", value_name = "cpu|N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceChoice>,
    /// Number of threads that prepare batches; does not change results [default: one less than the cores]
    #[arg(help_heading = MACHINE, long, visible_alias = "num_workers", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_workers: Option<usize>,
    /// Leave out image files that cannot be decoded, and count and name them
    #[arg(help_heading = IMAGES, long, alias = "skip_broken")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub skip_broken: bool,
    /// Most pixels that an image file may declare; a file with more counts as broken [default: 178956970]
    #[arg(help_heading = IMAGES, long, alias = "max_pixels", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pixels: Option<u64>,
    /// Print plain progress lines instead of the dashboard
    #[arg(help_heading = MACHINE, long, alias = "no_tui")]
    #[serde(skip)]
    pub no_tui: bool,
}

/// What to do if the run folder already exists.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ExistingFlags {
    /// Continue an existing run after its last whole epoch
    #[arg(help_heading = RUN_FOLDER, long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Delete an existing run of the same name and start over
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
    /// The recipe, as a flag
    #[arg(long, value_name = "FILE", conflicts_with = "recipe")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub flags: RecipeFlags,
    #[command(flatten)]
    pub existing: ExistingFlags,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_command_of_the_papers_repository_is_parsed() {
        let words = "qare train_unsupervised --dataset=cifar10 --method=sparceclr_qare --backbone=conv4 --seed=1 \
                     --data_size=256 --K=32 --gpu=0 --epochs=200 --alpha=1 --beta=0.5 --num_workers=8 --inner_fs=64 \
                     --outter_fs=64 --id=x";
        let Command::Pretrain(args) = Cli::parse_from(words.split_whitespace()).command else { panic!() };
        let recipe = args.flags.to_recipe(None).unwrap();
        assert_eq!((recipe.method, recipe.batch_size, recipe.views), (Method::SparseclrQare.into(), 256, 32));
        assert_eq!((recipe.alpha, recipe.beta, recipe.epochs), (1.0, 0.5, 200));
        assert_eq!((recipe.num_workers, recipe.id.as_deref()), (8, Some("x")));
    }

    #[test]
    fn a_feature_size_that_the_backbone_does_not_have_is_an_error() {
        let flags = RecipeFlags { inner_fs: Some(128), ..Default::default() };
        assert!(flags.to_recipe(None).unwrap_err().to_string().contains("64"));
    }
}
