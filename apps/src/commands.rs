//! The subcommands: from flags to stages.

use std::path::{Path, PathBuf};

use burn::tensor::backend::AutodiffBackend;
use qare_data::{DatasetName, Splits};

use crate::backend::{Device, Training, device, device_for, device_name};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::{
    CheckpointFlags, Command, DataCommand, ExistingFlags, MachineFlags, PretrainArgs, ProbeArgs, RunArgs, TestArgs,
};
use crate::error::{AppError, Result};
use crate::loading::{Images, probeable};
use crate::lock::Lock;
use crate::output::say;
use crate::pretrain::{PretrainOptions, pretrain};
use crate::probe::{ProbeResult, ProbeTarget, evaluate_backbone, probe};
use crate::recipe::{Recipe, absolute};
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

fn pretrain_command(args: PretrainArgs) -> Result<()> {
    let recipe = args.flags.over(args.config.as_deref())?;
    let Prepared { options, images, lock } = Prepared::of(&recipe, &args.flags.machine, &args.existing)?;
    announce(&recipe, &images)?;
    train(&recipe, &images.splits, &options, &lock)?;
    Ok(())
}

/// How to go about training, on what, and the right to write there.
struct Prepared {
    options: PretrainOptions,
    images: Images,
    lock: Lock,
}

impl Prepared {
    /// Looks at an existing run and at the device before the images are read, which may take a while.
    fn of(recipe: &Recipe, machine: &MachineFlags, existing: &ExistingFlags) -> Result<Self> {
        let ExistingFlags { resume, overwrite } = *existing;
        let folder = RunFolder::of(recipe);
        let lock = Lock::of_run(folder.path())?;
        settle_existing(&folder, recipe, resume, overwrite)?;
        devices_of(recipe)?;
        let options = PretrainOptions { resume, overwrite, no_tui: machine.no_tui };
        Ok(Self { options, images: Images::for_training(recipe)?, lock })
    }
}

/// Prints what is to be trained, on what, and where.
fn announce(recipe: &Recipe, images: &Images) -> Result<()> {
    let device: Device = device(recipe.main_device())?;
    let training = match recipe.method.plan(recipe) {
        Some(plan) => format!("{} epochs of {} × {} views", recipe.epochs, recipe.batch_size, plan.views),
        None => "untrained".to_string(),
    };
    let on = match &recipe.devices()[..] {
        [_] => device_name(&device).map_or(String::new(), |name| format!(" on {name}")),
        several => {
            format!(", devices {}", several.iter().flatten().map(|it| it.to_string()).collect::<Vec<_>>().join(", "))
        }
    };
    say(format!(
        "{} on {} ({}), {}, {training}, backend {}{on}",
        recipe.method,
        recipe.dataset,
        images.described(recipe.method.images(recipe, &images.splits).len()),
        recipe.backbone,
        crate::backend::NAME
    ));
    Ok(())
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
pub fn train(recipe: &Recipe, splits: &Splits, options: &PretrainOptions, lock: &Lock) -> Result<RunFolder> {
    let devices = devices_of(recipe)?;
    let folder = pretrain::<Training>(recipe, splits, &devices, options, lock)?;
    let learned_labels = recipe.method.plan(recipe).is_some_and(|plan| plan.labelled);
    if learned_labels && !splits.test.is_empty() && splits.test.is_labeled() {
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
    let MachineFlags { data_dir, device, num_workers, skip_broken, max_pixels, .. } = flags.machine.clone();
    recipe.data_dir = images_of_run(&checkpoint.file, data_dir, recipe.data_dir)?;
    recipe.skip_broken |= skip_broken;
    recipe.max_pixels = max_pixels.or(recipe.max_pixels);
    if device.is_some() {
        (recipe.device, recipe.gpus) = (device, None);
    }
    recipe.num_workers = num_workers.unwrap_or(recipe.num_workers);
    recipe.image_size = flags.image_size.or(recipe.image_size);
    recipe.precision = flags.precision.unwrap_or(recipe.precision);
    recipe.probe.batch_size = flags.batch_size.unwrap_or(recipe.probe.batch_size);
    Ok(recipe)
}

/// Where the images are: as the call says, or as the run that some weights are of.
///
/// # Errors
/// If the call says nothing, and the run's folder is not there or is not known.
pub fn images_of_run(weights: &Path, said: Option<PathBuf>, of_run: Option<PathBuf>) -> Result<Option<PathBuf>> {
    let Some(dir) = said.is_none().then_some(of_run).flatten() else { return absolute(said) };
    let problem = if dir.is_relative() {
        "a relative path, which may mean another folder here"
    } else if !dir.is_dir() {
        "which is not there"
    } else {
        return Ok(Some(dir));
    };
    Err(AppError::Usage(format!(
        "{} was trained on images in {}, {problem}: say where they are with --data-dir DIR",
        weights.display(),
        dir.display()
    )))
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
    let target = ProbeTarget::of(&checkpoint, &recipe, args.output.as_deref())?;
    let Images { splits, .. } = Images::for_probing(&recipe)?;
    probe::<Training>(&checkpoint, &recipe, &splits, &device, &target)?;
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
    let of_run = &checkpoint.recipe;
    let trained = of_run.image_size.or(of_run.probed().side()).unwrap_or(qare_data::folder::SIDE);
    if let Some(size) = flags.image_size.filter(|size| *size != trained && !checkpoint.foreign) {
        return Err(AppError::Usage(format!(
            "--image-size {size}: the classifier of {} was trained on images of {trained}×{trained}; \
             `qare probe --image-size {size}` trains another",
            checkpoint.file.display()
        )));
    }
    if let Some(seed) = args.seed.filter(|seed| !checkpoint.foreign && *seed != recipe.seed) {
        return Err(AppError::Usage(format!("--seed {seed}: {} has seed {}", checkpoint.file.display(), recipe.seed)));
    }
    let device = device_for(flags.machine.device, recipe.main_device())?;
    recipe.precision.require(&device)?;
    let Images { splits, .. } = Images::for_probing(&recipe)?;
    if let Some(dir) = recipe.data_dir.as_deref().filter(|_| recipe.probed() == DatasetName::Folder) {
        say(format!("note: testing on {} images in {}", splits.test.len(), dir.display()));
    }
    evaluate::test::<Inner>(&checkpoint, &recipe.stage("test"), &splits, recipe.precision, recipe.num_workers, &device)
}

fn run_command(args: RunArgs) -> Result<()> {
    let path = args.recipe.or(args.config).expect("clap asks for one of them");
    let recipe = args.flags.over(Some(&path))?;
    let prepared = Prepared::of(&recipe, &args.flags.machine, &args.existing)?;
    run_stages(&recipe, &prepared)
}

/// Trains, probes and tests a recipe.
fn run_stages(recipe: &Recipe, prepared: &Prepared) -> Result<()> {
    let Prepared { options, images, lock } = prepared;
    let (device, splits) = (device(recipe.main_device())?, &images.splits);
    announce(recipe, images)?;
    // What the probe needs is looked at before hours are spent on training.
    let elsewhere = match recipe.probed() == recipe.dataset {
        true => probeable(recipe.dataset, splits).map(|()| None)?,
        false => Some(Images::for_probing(recipe)?),
    };
    let folder = train(recipe, splits, options, lock)?;
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let splits = elsewhere.as_ref().map_or(splits, |images| &images.splits);
    let target = ProbeTarget::of(&checkpoint, recipe, None)?;
    let trained = probe::<Training>(&checkpoint, recipe, splits, &device, &target)?;
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
