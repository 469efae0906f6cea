//! The flags of `qare bench`.

use std::path::PathBuf;

use clap::Args;
use qare_models::BackboneName;

use super::MachineFlags;
use crate::bench::Part;
use qare_lab::methods::Method;
use qare_lab::precision::Precision;

const EXAMPLES: &str = "Examples:
  qare bench --quick
  qare bench step --backbones conv4,resnet32 --batches 256
  qare bench backbones --backbones resnet18 --sizes 32,96
  qare bench objectives --json ours.json --plot times.svg
  qare bench --compare ours.json pytorch.json --markdown table.md --plot both.svg
apps/bench/compare.sh measures this program and PyTorch side by side.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Parts to measure [default: all; epoch needs --data-dir]
    #[arg(value_enum, value_name = "PARTS")]
    pub parts: Vec<Part>,
    /// Use smaller sizes and fewer runs: all parts take a minute or two
    #[arg(long)]
    pub quick: bool,
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Keep the figures of other parts that the JSON file already holds
    #[arg(long, requires = "json")]
    pub add: bool,
    /// With --add: of a time or memory that the file already holds, keep the lesser. The speed of many machines drifts
    #[arg(long, requires = "add")]
    pub least: bool,
    /// Plot the objectives' times to this file, FILE.svg
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    /// Measure nothing; compare JSON files, this program's first and then those of other programs
    #[arg(long, num_args = 2.., value_name = "FILE", conflicts_with_all = ["parts", "quick", "json"])]
    pub compare: Vec<PathBuf>,
    /// With --compare: write the table to this file, as Markdown
    #[arg(long, value_name = "FILE", requires = "compare")]
    pub markdown: Option<PathBuf>,
    /// Backbones of the training steps [default: conv4,resnet8,resnet32 for the part step, conv4 for methods, all for backbones;
    /// fewer with --quick]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub backbones: Vec<BackboneName>,
    /// Batch sizes of the loader and the training steps [default: 128,256, 128 with --quick; fewer images in the part backbones]
    #[arg(long, value_delimiter = ',', value_name = "SIZES")]
    pub batches: Vec<usize>,
    /// Methods of the part methods [default: all; three with --quick]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub methods: Vec<Method>,
    /// Pixels of an image's side in the parts backbones [default: 32,64,96,224], methods [default: 32] and photographs [default: 96,224]
    #[arg(long, value_delimiter = ',', value_name = "PIXELS")]
    pub sizes: Vec<usize>,
    /// Measure one row in this process, for another process
    #[arg(long, hide = true, requires = "json")]
    pub row: bool,
    /// Precision that backbones compute in: f32, f16 or bf16
    #[arg(long, default_value_t)]
    pub precision: Precision,
    /// Largest batch size B of the objectives, at least 64 [default: 4096; 512 with --quick]
    #[arg(long, alias = "max_batch", value_name = "B")]
    pub max_batch: Option<usize>,
    /// Largest number of views K of the objectives, at least 2 [default: 32; 8 with --quick]
    #[arg(long, alias = "max_views", value_name = "K")]
    pub max_views: Option<usize>,
    /// Number of images for the parts probe and epoch [default: 50000; 5000 with --quick] and photographs [default: 10000; 500 with
    /// --quick]
    #[arg(long, value_name = "N")]
    pub images: Option<usize>,
    /// Folder that the part photographs makes its JPEG files in, and finds them in later [default: a temporary folder]
    #[arg(long, value_name = "DIR")]
    pub photographs: Option<PathBuf>,
    /// Number of steps over which the part memory measures growth [default: 500; 50 with --quick]
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Seconds to spend on the runs of each figure [default: 2; 0.3 with --quick]
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<f64>,
    #[command(flatten)]
    pub machine: MachineFlags,
}
