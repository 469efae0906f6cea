//! The flags of `qare bench`.

use std::path::PathBuf;

use clap::Args;
use qare_models::BackboneName;

use super::MachineFlags;
use crate::bench::Part;
use qare_lab::precision::Precision;

const EXAMPLES: &str = "Examples:
  qare bench --quick
  qare bench step --backbones conv4,resnet32 --batches 256
  qare bench objectives --json ours.json --plot times.svg
  qare bench --compare ours.json pytorch.json --markdown table.md --plot both.svg
apps/bench/compare.sh measures this program and PyTorch in one run.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Parts to measure [default: all; epoch needs --data-dir]
    #[arg(value_enum, value_name = "PARTS")]
    pub parts: Vec<Part>,
    /// Smaller sizes and fewer runs: a minute or two in all
    #[arg(long)]
    pub quick: bool,
    /// File to write the figures to, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep what the JSON file holds of other parts
    #[arg(long, requires = "json")]
    pub add: bool,
    /// File for a plot of the objectives' times, FILE.svg
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Measure nothing: compare the JSON files of this program and of others, given in this order
    #[arg(long, num_args = 2.., value_name = "FILE", conflicts_with_all = ["parts", "quick", "json"])]
    pub compare: Vec<PathBuf>,
    /// With --compare: file to write the table to, as Markdown
    #[arg(long, value_name = "FILE", requires = "compare")]
    pub markdown: Option<PathBuf>,
    /// Backbones of the training steps [default: conv4,resnet8,resnet32; conv4 with --quick]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub backbones: Vec<BackboneName>,
    /// Images in a batch of loader and training steps [default: 128,256; 128 with --quick]
    #[arg(long, value_delimiter = ',', value_name = "SIZES")]
    pub batches: Vec<usize>,
    /// What backbones compute in: f32, f16 or bf16
    #[arg(long, default_value_t)]
    pub precision: Precision,
    /// Largest B of the objectives, from 64 on [default: 4096; 512 with --quick]
    #[arg(long, alias = "max_batch", value_name = "B")]
    pub max_batch: Option<usize>,
    /// Largest K of the objectives, from 2 on [default: 32; 8 with --quick]
    #[arg(long, alias = "max_views", value_name = "K")]
    pub max_views: Option<usize>,
    /// Images that probe and epoch are of [default: 50000; 5000 with --quick]
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Steps over which memory must not grow [default: 500; 50 with --quick]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Time for the runs of one figure [default: 2; 0.3 with --quick]
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<f64>,
    #[command(flatten)]
    pub machine: MachineFlags,
}
