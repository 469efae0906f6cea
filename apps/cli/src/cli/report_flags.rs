//! The flags of `qare report` and `qare card`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::MachineFlags;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  qare report checkpoint/RUN --out report.html
  qare report checkpoint/RUN checkpoint/OTHER --out report.html --map pca
  qare report sweep --out report.html --pictures pictures")]
pub struct ReportArgs {
    /// Run folders, or folders that hold runs, such as that of a sweep
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// HTML file to write
    #[arg(long, short, value_name = "FILE.html")]
    pub out: PathBuf,
    /// Folder to write the plots to as SVG and the neighbours as PNG; created if it does not exist
    #[arg(long, value_name = "DIR")]
    pub pictures: Option<PathBuf>,
    /// Title of the page
    #[arg(long)]
    pub title: Option<String>,
    /// How the map is made: t-SNE, or the first two principal components, which takes no time
    #[arg(long, value_enum, default_value = "tsne")]
    pub map: MapKind,
    /// Most test images on the map, up to 10000
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub points: u32,
    /// Most runs whose map, neighbours, classes and spectra are shown: of runs that differ in their seed alone, the first
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub details: usize,
    /// Show curves, results and recipes alone, which needs neither images nor weights
    #[arg(long, alias = "no_images")]
    pub no_images: bool,
    #[command(flatten)]
    pub machine: MachineFlags,
}

/// How the map of a report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MapKind {
    Tsne,
    Pca,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  qare card checkpoint/RUN\n  qare card checkpoint/RUN --out MODEL_CARD.md")]
pub struct CardArgs {
    /// Run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// File to write [default: standard output]
    #[arg(long, short, value_name = "FILE.md")]
    pub out: Option<PathBuf>,
}
