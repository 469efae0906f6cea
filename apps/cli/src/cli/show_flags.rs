//! The flags of `qare data show`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use qare_data::DatasetName;
use qare_lab::methods::Method;
use qare_lab::recipe::SourceSize;

use super::MachineFlags;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qare data show cifar10 --data-dir ~/data --out sheet.png
  qare data show folder --data-dir photos --image-size 96 --method standard --out sheet.png")]
pub struct ShowArgs {
    /// Dataset
    #[arg(value_name = "NAME")]
    pub dataset: DatasetName,
    /// PNG file to write
    #[arg(long, short, value_name = "FILE.png")]
    pub out: PathBuf,
    /// Split to show
    #[arg(long, value_enum, default_value = "train")]
    pub split: Split,
    /// Images of each class, drawn with the seed
    #[arg(long, alias = "per_class", value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub per_class: u32,
    /// Most classes to show; the first ones
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub classes: u32,
    /// Images to show views of
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub images: u32,
    /// Views of each of these images
    #[arg(long, value_name = "K", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub views: u32,
    /// Method whose views are shown [default: sparseclr_qare]
    #[arg(long)]
    pub method: Option<Method>,
    /// Seed of the choice of images, and of the views: those of the first epoch of a run with this seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Height and width to resize images to, on datasets of image files [default: 64; 28 on omniglot]
    #[arg(long, alias = "image_size", value_name = "PIXELS")]
    pub image_size: Option<usize>,
    /// On photographs of any size: show crops of whole images whose shorter side is resized to this, or of the square of --image-size
    /// [default: 8/7 of --image-size, 256 for 224]
    #[arg(long, alias = "source_size", value_name = "PIXELS|square")]
    pub source_size: Option<SourceSize>,
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// A split of a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Split {
    Train,
    Test,
    Unlabeled,
}
