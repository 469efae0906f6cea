//! The flags of `qare runs`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  qare runs checkpoint\n  qare runs checkpoint --sort accuracy\n  qare runs checkpoint --json"
)]
pub struct RunsArgs {
    /// Folder that holds runs, or a run folder
    #[arg(value_name = "DIR", default_value = "./checkpoint")]
    pub dir: PathBuf,
    /// Order of the runs: of epochs, accuracy, started and updated, the largest or latest first
    #[arg(long, value_enum, default_value = "updated")]
    pub sort: RunOrder,
    /// Reverse the order
    #[arg(long)]
    pub reverse: bool,
    /// Print a JSON list
    #[arg(long)]
    pub json: bool,
}

/// The order of a list of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RunOrder {
    Name,
    Method,
    Dataset,
    Epochs,
    State,
    Accuracy,
    Started,
    Updated,
}
