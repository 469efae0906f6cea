//! The subcommands: from flags to stages.

use std::path::Path;

use burn::tensor::backend::AutodiffBackend;
use qare_data::{DatasetName, ImageSet, LoadOptions, Splits};

use crate::backend::{Device, Training, device, device_for, device_name};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::{
    CheckpointFlags, Command, DataCommand, ExistingFlags, MachineFlags, PretrainArgs, ProbeArgs, RunArgs, TestArgs,
};
use crate::error::{AppError, Result};
use crate::files::{complain, say};
use crate::pretrain::{PretrainOptions, pretrain};
use crate::probe::{ProbeResult, evaluate_backbone, probe};
use crate::progress::bar;
use crate::recipe::Recipe;
use crate::run_folder::{RunFolder, settle_existing};
use crate::{bench, datasets, embed, evaluate, export, list, sweep};

type Inner = <Training as AutodiffBackend>::InnerBackend;

pub fn execute(command: Command) -> Result<()> {
    match command {
        Command::Pretrain(args) => pretrain_command(args),
        Command::Probe(args) => probe_command(args),
        Command::Test(args) => test_command(args),
        Command::Run(args) => run_command(args),
        Command::Sweep(args) => sweep::sweep(args),
        Command::Embed(args) => embed::embed(args),
        Command::Export(args) => export::export(args),
        Command::Data(DataCommand::Fetch(args)) => datasets::fetch(args),
        Command::Data(DataCommand::Check(args)) => datasets::check(args),
        Command::Bench(args) => bench::bench(args),
        Command::List => list::list(),
        Command::Devices => list::list_devices(),
    }
}

/// Reads a dataset, with a bar where that takes a while.
pub fn load(dataset: DatasetName, data_dir: Option<&Path>, image_size: Option<usize>) -> Result<Splits> {
    if let Some(dir) = data_dir.filter(|dir| dataset.needs_files() && !dir.is_dir()) {
        return Err(AppError::Usage(format!("--data-dir {}: there is no such folder", dir.display())));
    }
    let progress = bar(1, "reading images [{bar:25}] {pos}/{len}");
    let decoded = |done: usize, all: usize| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    };
    let splits = qare_data::load(
        dataset,
        &LoadOptions { dir: data_dir, image_size, progress: Some(&decoded), ..Default::default() },
    );
    progress.finish_and_clear();
    let splits = splits?;
    if dataset == DatasetName::Stl10 && splits.unlabeled.is_none() {
        complain(
            "note: stl10 has no unlabeled_X.bin there: what would be trained on it is trained on the 5,000 labelled images",
        );
    }
    Ok(splits)
}

/// The dataset that a recipe trains on.
pub fn load_for(recipe: &Recipe) -> Result<Splits> {
    Ok(limited(recipe, load(recipe.dataset, recipe.data_dir.as_deref(), recipe.image_size)?))
}

/// The dataset that a recipe's probe is of.
pub fn load_probed(recipe: &Recipe) -> Result<Splits> {
    let splits = load(recipe.probed(), recipe.data_dir.as_deref(), recipe.image_size)?;
    match splits.test.is_empty() || splits.train.is_empty() {
        true => Err(AppError::Usage(format!(
            "a probe needs labelled images to learn from and others to be tested on: {} has {} and {}",
            recipe.probed(),
            splits.train.len(),
            splits.test.len()
        ))),
        false => Ok(limited(recipe, splits)),
    }
}

/// The first images of a set, if it has more than that.
pub fn first(set: &ImageSet, limit: Option<usize>) -> ImageSet {
    match limit.filter(|limit| *limit < set.len()) {
        Some(limit) => set.select(&(0..limit).collect::<Vec<_>>()),
        None => set.clone(),
    }
}

/// The part of the images that a recipe takes.
fn limited(recipe: &Recipe, mut splits: Splits) -> Splits {
    splits.train = first(&splits.train, recipe.train_images);
    splits.unlabeled = splits.unlabeled.as_ref().map(|set| first(set, recipe.train_images));
    splits.test = first(&splits.test, recipe.test_images);
    splits
}

fn pretrain_command(args: PretrainArgs) -> Result<()> {
    let recipe = args.flags.over(args.config.as_deref())?;
    let (options, splits) = prepared(&recipe, &args.flags.machine, &args.existing)?;
    train(&recipe, &splits, &options)?;
    Ok(())
}

/// How to go about training, and on what. An existing run and the device are looked at before the data is read, which may
/// take a while.
fn prepared(recipe: &Recipe, machine: &MachineFlags, existing: &ExistingFlags) -> Result<(PretrainOptions, Splits)> {
    let ExistingFlags { resume, overwrite } = *existing;
    settle_existing(&RunFolder::of(recipe), recipe, resume, overwrite)?;
    devices_of(recipe)?;
    Ok((PretrainOptions { resume, overwrite, no_tui: machine.no_tui }, load_for(recipe)?))
}

/// The devices of a recipe's training, each of which computes in its precision.
pub fn devices_of(recipe: &Recipe) -> Result<Vec<Device>> {
    let ready = |choice| {
        let device = device(choice)?;
        recipe.precision.require(&device).map(|()| device)
    };
    recipe.devices().into_iter().map(ready).collect()
}

/// Stage 1. What learned from labels has a classifier of its own, whose test accuracy is told at the end.
pub fn train(recipe: &Recipe, splits: &Splits, options: &PretrainOptions) -> Result<RunFolder> {
    let devices = devices_of(recipe)?;
    let folder = pretrain::<Training>(recipe, splits, &devices, options)?;
    if recipe.method.plan(recipe).is_some_and(|plan| plan.labelled) && !splits.test.is_empty() {
        let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
        evaluate::test::<Inner>(&checkpoint, SUPERVISED, splits, recipe.precision, recipe.num_workers, &devices[0])?;
    }
    Ok(folder)
}

/// What `results.json` calls the test of a classifier that was trained with its backbone.
const SUPERVISED: &str = "supervised";

/// What a call says of its checkpoint.
fn stated(flags: &CheckpointFlags) -> Stated {
    Stated { dataset: flags.dataset, method: flags.method, backbone: flags.backbone }
}

/// The recipe of a checkpoint, with what the call says about machine and probe.
fn recipe_of(checkpoint: &Checkpoint, flags: &CheckpointFlags) -> Result<Recipe> {
    let mut recipe = checkpoint.recipe.clone();
    let given = [
        // Files of other programs do not tell their method.
        (
            "method",
            flags.method.filter(|_| !checkpoint.foreign).map(|name| name.to_string()),
            recipe.method.to_string(),
        ),
        ("backbone", flags.backbone.map(|name| name.to_string()), recipe.backbone.to_string()),
    ];
    for (name, given, actual) in given {
        if let Some(given) = given.filter(|given| *given != actual) {
            return Err(AppError::Usage(format!(
                "--{name} {given}: {} was trained with {actual}",
                checkpoint.file.display()
            )));
        }
    }
    let MachineFlags { data_dir, device, num_workers, .. } = flags.machine.clone();
    recipe.data_dir = data_dir.or(recipe.data_dir);
    if device.is_some() {
        (recipe.device, recipe.gpus) = (device, None);
    }
    recipe.num_workers = num_workers.unwrap_or(recipe.num_workers);
    recipe.image_size = flags.image_size.or(recipe.image_size);
    recipe.precision = flags.precision.unwrap_or(recipe.precision);
    recipe.probe.data_size = flags.data_size.unwrap_or(recipe.probe.data_size);
    Ok(recipe)
}

/// The dataset that a probe is to be of; none where that is the one of the run.
fn elsewhere(recipe: &Recipe, dataset: Option<DatasetName>) -> Option<DatasetName> {
    dataset.filter(|dataset| *dataset != recipe.dataset)
}

fn probe_command(args: ProbeArgs) -> Result<()> {
    let checkpoint = Checkpoint::of_run_or_file(&args.from.checkpoint, &stated(&args.from))?;
    let mut recipe = recipe_of(&checkpoint, &args.from)?;
    recipe.probe.dataset = elsewhere(&recipe, args.from.dataset.or(recipe.probe.dataset));
    recipe.probe.finetune = args.from.finetune.unwrap_or(recipe.probe.finetune);
    // Asked for here, it needs --finetune; of the run's recipe, it waits for that.
    recipe.probe.augment = args.augment || (recipe.probe.augment && recipe.probe.finetune);
    if let (Some(rate), true) = (args.learning_rate, recipe.probe.finetune) {
        return Err(AppError::Usage(format!(
            "--learning-rate {rate}: fine-tuning has rates of its own, 0.001 for the backbone and 0.0001 for the classifier"
        )));
    }
    recipe.probe.seed = args.seed.or(recipe.probe.seed);
    recipe.probe.epochs = args.epochs.unwrap_or(recipe.probe.epochs);
    recipe.probe.learning_rate = args.learning_rate.unwrap_or(recipe.probe.learning_rate);
    recipe.validate()?;
    let device = device_for(args.from.machine.device, recipe.main_device())?;
    recipe.precision.require(&device)?;
    let splits = load_probed(&recipe)?;
    probe::<Training>(&checkpoint, &recipe, &splits, &device)?;
    Ok(())
}

fn test_command(args: TestArgs) -> Result<()> {
    let flags = &args.from;
    // A folder may hold several classifiers: which one is meant is told as it was told to `probe`.
    let stage = match flags.checkpoint.is_dir() {
        true => {
            let run = Checkpoint::of_run_or_file(&flags.checkpoint, &stated(flags))?.recipe;
            let mut asked = run.clone();
            asked.probe.dataset = elsewhere(&run, flags.dataset.or(run.probe.dataset));
            asked.probe.finetune = flags.finetune.unwrap_or(run.probe.finetune);
            asked.stage("probe")
        }
        false => String::new(),
    };
    let checkpoint = Checkpoint::of_probe(&flags.checkpoint, &stage, &stated(flags))?;
    let recipe = recipe_of(&checkpoint, flags)?;
    recipe.validate()?;
    if let Some(dataset) = flags.dataset.filter(|dataset| *dataset != recipe.probed()) {
        return Err(AppError::Usage(format!(
            "--dataset {dataset}: the classifier of {} is for {}",
            checkpoint.file.display(),
            recipe.probed()
        )));
    }
    if let Some(finetune) = flags.finetune.filter(|finetune| *finetune != recipe.probe.finetune) {
        return Err(AppError::Usage(format!(
            "--finetune {finetune}: {} holds a backbone that is {}",
            checkpoint.file.display(),
            if recipe.probe.finetune { "fine-tuned" } else { "frozen" }
        )));
    }
    if let Some(seed) = args.seed.filter(|seed| !checkpoint.foreign && *seed != recipe.seed) {
        return Err(AppError::Usage(format!("--seed {seed}: {} has seed {}", checkpoint.file.display(), recipe.seed)));
    }
    let device = device_for(flags.machine.device, recipe.main_device())?;
    recipe.precision.require(&device)?;
    let splits = load_probed(&recipe)?;
    evaluate::test::<Inner>(&checkpoint, &recipe.stage("test"), &splits, recipe.precision, recipe.num_workers, &device)
}

fn run_command(args: RunArgs) -> Result<()> {
    let path = args.recipe.or(args.config).expect("clap asks for one of them");
    let recipe = args.flags.over(Some(&path))?;
    let (options, splits) = prepared(&recipe, &args.flags.machine, &args.existing)?;
    run_stages(&recipe, &splits, &options)
}

/// Trains, probes and tests a recipe.
fn run_stages(recipe: &Recipe, splits: &Splits, options: &PretrainOptions) -> Result<()> {
    let device: Device = device(recipe.main_device())?;
    let training = match recipe.method.plan(recipe) {
        Some(plan) => format!("{} epochs of {} × {} views", recipe.epochs, recipe.data_size, plan.views),
        None => "untrained".to_string(),
    };
    let on = match &recipe.devices()[..] {
        [_] => device_name(&device).map_or(String::new(), |name| format!(" on {name}")),
        several => {
            format!(", devices {}", several.iter().flatten().map(|it| it.to_string()).collect::<Vec<_>>().join(", "))
        }
    };
    say(format!(
        "{} on {} ({} training images), {}, {training}, backend {}{on}",
        recipe.method,
        recipe.dataset,
        recipe.method.images(recipe, splits).len(),
        recipe.backbone,
        crate::backend::NAME
    ));
    // What the probe needs is looked at before hours are spent on training.
    let elsewhere = match recipe.probed() == recipe.dataset && !splits.test.is_empty() {
        true => None,
        false => Some(load_probed(recipe)?),
    };
    let folder = train(recipe, splits, options)?;
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let splits = elsewhere.as_ref().unwrap_or(splits);
    let trained = probe::<Training>(&checkpoint, recipe, splits, &device)?;
    if recipe.compare_untrained {
        let backbone = recipe.backbone.init::<Training>(recipe.seed, &device);
        let untrained = evaluate_backbone::<Training>(backbone, splits, recipe, &device)?;
        let row = |name: &str, result: &ProbeResult<Inner>| {
            say(format!("{name:<28}{:>12.2} %{:>8.2} %", result.test.accuracy, result.knn));
        };
        say(format!("\n{:<28}{:>14}{:>10}", "test accuracy", "linear probe", "kNN"));
        row(&format!("untrained {}", recipe.backbone), &untrained);
        row(recipe.method.as_str(), &trained);
        say("");
    }
    let checkpoint = Checkpoint::of_probe(folder.path(), &recipe.stage("probe"), &Stated::default())?;
    evaluate::test::<Inner>(&checkpoint, &recipe.stage("test"), splits, recipe.precision, recipe.num_workers, &device)
}
