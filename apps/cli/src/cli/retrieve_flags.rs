//! The flags of `qare retrieve`.

use std::path::PathBuf;

use clap::Args;
use qare_data::{DatasetName, TestClasses};
use qare_lab::precision::Precision;
use qare_models::BackboneName;

use super::{CheckpointFlags, MachineFlags};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qare retrieve checkpoint/RUN
  qare retrieve checkpoint/RUN --dataset folder --data-dir photos --at 1,10,100 --json
  qare retrieve checkpoint/RUN --picture neighbours.png --queries 10
  qare retrieve resnet18.pth --dataset folder --data-dir photos --image-size 224")]
pub struct RetrieveArgs {
    /// Run folder, or a weights file of this program or of PyTorch
    #[arg(value_name = "RUN_OR_FILE", required_unless_present = "checkpoint")]
    pub run: Option<PathBuf>,
    /// The run folder or weights file, as a flag
    #[arg(long, value_name = "RUN_OR_FILE", conflicts_with = "run")]
    pub checkpoint: Option<PathBuf>,
    /// Dataset whose test images are searched [default: the run's dataset]
    #[arg(long)]
    pub dataset: Option<DatasetName>,
    /// Test classes of dataset folder: a number of classes, a fraction of them, or their names [default: the run's, on its own folder]
    #[arg(long, alias = "test_classes", value_name = "N|NAME,NAME", allow_negative_numbers = true)]
    pub test_classes: Option<TestClasses>,
    /// Numbers k of nearest images for Recall@k or CMC@k [default: 1,10,100,1000 on sop; 1,5,10 for re-identification; else 1,2,4,8]
    #[arg(long, value_name = "K,…", value_delimiter = ',')]
    pub at: Vec<usize>,
    /// File to draw queries and their nearest images in, FILE.png: right ones in green frames, wrong ones in dashed red frames
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// With --picture: number of random queries, and of the worst queries
    #[arg(long, value_name = "N", default_value_t = 8, requires = "picture")]
    pub queries: usize,
    /// Seed of the clusters for NMI, and of the random queries of --picture [default: the run's seed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Compare the features of the backbone, also if the run trained an embedding
    #[arg(long)]
    pub features: bool,
    /// Print the figures as JSON, and notes on standard error
    #[arg(long)]
    pub json: bool,
    /// Backbone of the run or of the weights; only checked
    #[arg(long)]
    pub backbone: Option<BackboneName>,
    /// Height and width to resize images to, on datasets of image files [default: 64; 28 on omniglot]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
    /// Precision that the backbone computes in: f32, f16 or bf16 [default: the run's]
    #[arg(long)]
    pub precision: Option<Precision>,
    #[command(flatten)]
    pub machine: MachineFlags,
}

impl RetrieveArgs {
    /// The flags that it has in common with `probe` and `test`.
    pub fn checkpoint_flags(&self) -> CheckpointFlags {
        let checkpoint = self.run.clone().or(self.checkpoint.clone()).expect("the parser requires one of the two");
        CheckpointFlags {
            checkpoint,
            dataset: self.dataset,
            finetune: None,
            method: None,
            backbone: self.backbone,
            image_size: self.image_size,
            precision: self.precision,
            batch_size: None,
            machine: self.machine.clone(),
        }
    }
}
