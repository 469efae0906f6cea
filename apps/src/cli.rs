//! The command line. Every flag also goes by its name in the paper's repository.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use qare_data::DatasetName;
use qare_models::BackboneName;

use crate::error::Result;
use crate::method::Method;
use crate::recipe::Recipe;

const EXAMPLES: &str = "Examples:
  qare run configs/quickstart.toml
  qare pretrain --dataset cifar10 --data-dir ~/data --method sparseclr_qare --backbone conv4 \\
                --data_size 256 --epochs 200 --alpha 1 --beta 0.5
  qare probe --checkpoint checkpoint/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5 --data-dir ~/data
  qare test  --checkpoint checkpoint/sparseclr_qare_cifar10_conv4_256_64_64_1.0_0.5 --data-dir ~/data";

/// Self-supervised representation learning by set contrast (QARe), SparseCLR and SimCLR.
#[derive(Debug, Parser)]
#[command(name = "qare", version, after_help = EXAMPLES, subcommand_required = true, arg_required_else_help = true)]
#[command(args_override_self = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Stage 1: train a backbone without labels [also: train_unsupervised]
    #[command(aliases = ["train_unsupervised", "train-unsupervised"])]
    Pretrain(PretrainArgs),
    /// Stage 2: train a linear classifier on the frozen features of a run [also: train_linear_evaluation]
    #[command(aliases = ["train_linear_evaluation", "train-linear-evaluation"])]
    Probe(ProbeArgs),
    /// Stage 3: loss and accuracy of the linear classifier on the unseen test split
    Test(TestArgs),
    /// All three stages, from a recipe
    Run(RunArgs),
}

/// What a run is made of; what is not given here comes from the recipe, or is the default.
#[derive(Clone, Debug, Default, Args)]
pub struct RecipeFlags {
    /// Dataset: cifar10, or shapes, which needs no files [default: cifar10]
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// simclr, simclr_qare, sparseclr, sparseclr_qare or randomweights [default: sparseclr_qare]
    #[arg(long)]
    pub method: Option<Method>,
    /// conv4, resnet8, resnet20, resnet32, resnet44 or resnet56 [default: conv4]
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// Where all randomness starts from [default: 1]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Images in a batch [default: 128]
    #[arg(long, visible_alias = "data_size", value_name = "B")]
    pub data_size: Option<usize>,
    /// Views of each image [default: 2]
    #[arg(long = "K", alias = "views", value_name = "K")]
    pub views: Option<usize>,
    /// Epochs of contrastive training [default: 200]
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Weight of the pairwise term in the *_qare methods [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    pub alpha: Option<f64>,
    /// Weight of the QARe term in the *_qare methods [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    pub beta: Option<f64>,
    /// Temperature of NT-Xent [default: 0.5]
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Margin of SparseCLR [default: 1]
    #[arg(long, allow_negative_numbers = true)]
    pub margin: Option<f64>,
    /// Learning rate of Adam [default: 0.001]
    #[arg(long, alias = "learning_rate")]
    pub learning_rate: Option<f64>,
    /// Dimensions of the backbone's features; given by the backbone, so only checked
    #[arg(long, visible_alias = "inner_fs", value_name = "F")]
    pub inner_fs: Option<usize>,
    /// Dimensions of the head's embeddings [default: 64]
    #[arg(long, visible_alias = "outter_fs", value_name = "D")]
    pub outter_fs: Option<usize>,
    /// Use only this many images of the training split, for a first try [default: all]
    #[arg(long, alias = "train_images", value_name = "N")]
    pub train_images: Option<usize>,
    /// Weights to start from: a run folder, or a weights file of this program
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Ends the run folder's name
    #[arg(long)]
    pub id: Option<String>,
    /// Where run folders are made [default: ./checkpoint]
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// Where a run takes place.
#[derive(Clone, Debug, Default, Args)]
pub struct MachineFlags {
    /// Folder with the dataset's files, as unpacked
    #[arg(long, alias = "data_dir", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Device number, on backends with more than one [default: 0]
    #[arg(long)]
    pub gpu: Option<usize>,
    /// Threads that prepare batches [default: one less than cores]; results do not depend on it
    #[arg(long, visible_alias = "num_workers", value_name = "N")]
    pub num_workers: Option<usize>,
    /// Plain progress instead of the dashboard
    #[arg(long, alias = "no_tui")]
    pub no_tui: bool,
}

/// What to do about a run folder that is there already.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ExistingFlags {
    /// Go on after the last whole epoch of an existing run
    #[arg(long, conflicts_with = "overwrite")]
    pub resume: bool,
    /// Delete an existing run of the same name and start again
    #[arg(long)]
    pub overwrite: bool,
}

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PretrainArgs {
    /// Recipe to start from; flags override it
    #[arg(long, value_name = "FILE")]
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

/// What `probe` and `test` work on. Names and sizes are in the run; given here, they are checked against it.
#[derive(Clone, Debug, Args)]
pub struct CheckpointFlags {
    /// Run folder, or a weights file in one
    #[arg(long, value_name = "RUN_OR_FILE")]
    pub checkpoint: PathBuf,
    /// Dataset of the run, only checked
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// Method of the run, only checked
    #[arg(long)]
    pub method: Option<Method>,
    /// Backbone of the run, only checked
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// Images in a batch of the classifier's training [default: 128]; of no consequence to test
    #[arg(long, visible_alias = "data_size", value_name = "B")]
    pub data_size: Option<usize>,
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
    /// Learning rate of Adam [default: 0.001]
    #[arg(long, alias = "learning_rate")]
    pub learning_rate: Option<f64>,
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

impl RecipeFlags {
    /// The recipe, with what was given on the command line.
    pub fn over(&self, recipe: Recipe) -> Result<Recipe> {
        let flags = self.clone();
        let recipe = Recipe {
            dataset: flags.dataset.unwrap_or(recipe.dataset),
            method: flags.method.unwrap_or(recipe.method),
            backbone: flags.backbone.unwrap_or(recipe.backbone),
            seed: flags.seed.unwrap_or(recipe.seed),
            data_size: flags.data_size.unwrap_or(recipe.data_size),
            views: flags.views.unwrap_or(recipe.views),
            epochs: flags.epochs.unwrap_or(recipe.epochs),
            alpha: flags.alpha.unwrap_or(recipe.alpha),
            beta: flags.beta.unwrap_or(recipe.beta),
            temperature: flags.temperature.unwrap_or(recipe.temperature),
            margin: flags.margin.unwrap_or(recipe.margin),
            learning_rate: flags.learning_rate.unwrap_or(recipe.learning_rate),
            outter_fs: flags.outter_fs.unwrap_or(recipe.outter_fs),
            num_workers: flags.machine.num_workers.unwrap_or(recipe.num_workers),
            gpu: flags.machine.gpu.unwrap_or(recipe.gpu),
            train_images: flags.train_images.or(recipe.train_images),
            checkpoint: flags.checkpoint.or(recipe.checkpoint),
            data_dir: flags.machine.data_dir.or(recipe.data_dir),
            out: flags.out.unwrap_or(recipe.out),
            id: flags.id.or(recipe.id),
            compare_untrained: recipe.compare_untrained,
            knn: recipe.knn,
            probe: recipe.probe,
        };
        let features = recipe.backbone.feature_dim();
        if let Some(inner) = flags.inner_fs.filter(|inner| *inner != features) {
            return Err(crate::error::AppError::Usage(format!(
                "--inner-fs {inner}: the features of {} have {features} dimensions",
                recipe.backbone
            )));
        }
        recipe.validate()?;
        Ok(recipe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn the_seeds_own_command_is_understood() {
        let words = "qare train_unsupervised --dataset=cifar10 --method=sparceclr_qare --backbone=conv4 --seed=1 \
                     --data_size=256 --K=32 --gpu=0 --epochs=200 --alpha=1 --beta=0.5 --num_workers=8 --inner_fs=64 \
                     --outter_fs=64 --id=x";
        let Command::Pretrain(args) = Cli::parse_from(words.split_whitespace()).command else { panic!() };
        let recipe = args.flags.over(Recipe::default()).unwrap();
        assert_eq!((recipe.method, recipe.data_size, recipe.views), (Method::SparseclrQare, 256, 32));
        assert_eq!((recipe.alpha, recipe.beta, recipe.epochs), (1.0, 0.5, 200));
        assert_eq!((recipe.num_workers, recipe.id.as_deref()), (8, Some("x")));
    }

    #[test]
    fn a_feature_size_that_the_backbone_does_not_have_is_told() {
        let flags = RecipeFlags { inner_fs: Some(128), ..Default::default() };
        assert!(flags.over(Recipe::default()).unwrap_err().to_string().contains("64"));
    }
}
