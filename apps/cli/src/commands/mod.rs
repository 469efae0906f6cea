//! The subcommands, one file each: they turn flags into library calls and print the results.

mod card;
mod data;
mod data_show;
mod embed;
mod export;
mod list;
mod pretrain;
mod probe;
mod report;
mod retrieve;
mod run;
mod runs;
mod sweep;
mod test;

use std::path::{Path, PathBuf};

use qare_data::{DatasetName, TestClasses};
use qare_lab::PrintablePath;
use qare_lab::images::is_other_folder;
use qare_lab::recipe::{Recipe, absolute};
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::{LabError, Result};

use crate::bench;
use crate::cli::{CheckpointFlags, Command, DataCommand, MachineFlags};

/// Runs the subcommand.
pub fn execute(command: Command) -> Result<()> {
    match command {
        Command::Pretrain(args) => pretrain::pretrain_command(args),
        Command::Probe(args) => probe::probe_command(args),
        Command::Test(args) => test::test_command(args),
        Command::Run(args) => run::run_command(args),
        Command::Sweep(args) => sweep::sweep_command(args),
        Command::Retrieve(args) => retrieve::retrieve_command(args),
        Command::Runs(args) => runs::runs_command(args),
        Command::Report(args) => report::report_command(args),
        Command::Card(args) => card::card_command(args),
        Command::Embed(args) => embed::embed_command(args),
        Command::Export(args) => export::export_command(args),
        Command::Data(DataCommand::Fetch(args)) => data::fetch(args),
        Command::Data(DataCommand::Check(args)) => data::check(args),
        Command::Data(DataCommand::Show(args)) => data_show::show_command(args),
        Command::Bench(args) => bench::bench(args),
        Command::List => list::list(),
        Command::Devices => list::list_devices(),
    }
}

/// The properties that the flags state of a checkpoint.
fn stated(flags: &CheckpointFlags) -> Stated {
    Stated { dataset: flags.dataset, method: flags.method, backbone: flags.backbone }
}

/// # Errors
/// If a dataset other than `folder` is to be divided by class.
fn only_of_folder(classes: &TestClasses, dataset: DatasetName) -> Result<()> {
    match dataset {
        DatasetName::Folder => Ok(()),
        _ => Err(LabError::Usage(format!("--test-classes {classes}: only dataset folder can be divided by class"))),
    }
}

/// The recipe of a checkpoint, with the machine and probe settings of the flags.
///
/// # Errors
/// If a flag contradicts the checkpoint, or the folder of the images is not known.
fn recipe_of(checkpoint: &Checkpoint, flags: &CheckpointFlags) -> Result<Recipe> {
    let mut recipe = checkpoint.recipe.clone();
    let given = [
        // Weights of other programs do not record a method.
        (
            "method",
            flags.method.filter(|_| !checkpoint.foreign).map(|name| name.to_string()),
            recipe.method.to_string(),
        ),
        ("backbone", flags.backbone.map(|name| name.to_string()), recipe.backbone.to_string()),
    ];
    for (name, given, actual) in given {
        if let Some(given) = given.filter(|given| *given != actual) {
            return Err(LabError::Usage(format!(
                "--{name} {given}: {} was trained with {actual}",
                checkpoint.file.printable()
            )));
        }
    }
    let MachineFlags { data_dir, device, num_workers, skip_broken, max_pixels, .. } = flags.machine.clone();
    recipe.data_dir = images_of_run(&checkpoint.file, data_dir, recipe.data_dir)?;
    if is_other_folder(&checkpoint.recipe, &recipe) {
        // The run's division is that of its own folder of images, wherever that is now.
        recipe.test_classes = None;
    }
    recipe.skip_broken |= skip_broken;
    recipe.max_pixels = max_pixels.or(recipe.max_pixels);
    if device.is_some() {
        (recipe.device, recipe.gpus) = (device, None);
    }
    recipe.num_workers = num_workers.unwrap_or(recipe.num_workers);
    recipe.image_size = flags.image_size.or(recipe.image_size);
    // Features are computed of squares.
    recipe.source_size = None;
    recipe.precision = flags.precision.unwrap_or(recipe.precision);
    recipe.probe.batch_size = flags.batch_size.unwrap_or(recipe.probe.batch_size);
    Ok(recipe)
}

/// The folder of the images: the one that the call gives, or else the one that the run was trained on.
///
/// # Errors
/// If the call gives none, and the run's folder is a relative path or does not exist.
fn images_of_run(weights: &Path, given: Option<PathBuf>, of_run: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let Some(dir) = given.is_none().then_some(of_run).flatten() else { return absolute(given) };
    let problem = if dir.is_relative() {
        "a relative path that may lead to another folder here"
    } else if !dir.is_dir() {
        "which is not there"
    } else {
        return Ok(Some(dir));
    };
    Err(LabError::Usage(format!(
        "{} was trained on images in {}, {problem}; give their folder with --data-dir DIR",
        weights.printable(),
        dir.printable()
    )))
}

/// The dataset to probe, or `None` if it is the run's own.
fn other_dataset(recipe: &Recipe, dataset: Option<DatasetName>) -> Option<DatasetName> {
    dataset.filter(|dataset| *dataset != recipe.dataset)
}
