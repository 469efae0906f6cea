//! The subcommands: from flags to stages.

use burn::tensor::backend::AutodiffBackend;
use qare_data::Splits;

use crate::backend::{Device, Training, device};
use crate::checkpoint::Checkpoint;
use crate::cli::{CheckpointFlags, Command, MachineFlags, PretrainArgs, ProbeArgs, RunArgs, TestArgs};
use crate::error::{AppError, Result};
use crate::evaluate;
use crate::files::say;
use crate::pretrain::{PretrainOptions, pretrain};
use crate::probe::{ProbeResult, evaluate_backbone, probe};
use crate::recipe::Recipe;
use crate::run_folder::{RunFolder, settle_existing};

type Inner = <Training as AutodiffBackend>::InnerBackend;

pub fn execute(command: Command) -> Result<()> {
    match command {
        Command::Pretrain(args) => pretrain_command(args),
        Command::Probe(args) => probe_command(args),
        Command::Test(args) => test_command(args),
        Command::Run(args) => run_command(args),
    }
}

fn load(recipe: &Recipe) -> Result<Splits> {
    if let Some(dir) = recipe.data_dir.as_deref().filter(|dir| recipe.dataset.needs_files() && !dir.is_dir()) {
        return Err(AppError::Usage(format!("--data-dir {}: there is no such folder", dir.display())));
    }
    let mut splits = qare_data::load(recipe.dataset, recipe.data_dir.as_deref())?;
    if let Some(images) = recipe.train_images.filter(|images| *images < splits.train.len()) {
        splits.train = splits.train.select(&(0..images).collect::<Vec<_>>());
    }
    Ok(splits)
}

fn pretrain_command(args: PretrainArgs) -> Result<()> {
    let recipe = args.config.as_deref().map(Recipe::read).transpose()?.unwrap_or_default();
    let recipe = args.flags.over(recipe)?;
    let options = PretrainOptions {
        resume: args.existing.resume,
        overwrite: args.existing.overwrite,
        no_tui: args.flags.machine.no_tui,
    };
    // Before the data is read, which may take a while.
    settle_existing(&RunFolder::of(&recipe), &recipe, options.resume, options.overwrite)?;
    let splits = load(&recipe)?;
    pretrain::<Training>(&recipe, &splits, &device(recipe.gpu), &options)?;
    Ok(())
}

/// The recipe of a checkpoint, with what the call says about machine and probe.
fn recipe_of(checkpoint: &Checkpoint, flags: &CheckpointFlags) -> Result<Recipe> {
    let mut recipe = checkpoint.recipe.clone();
    let given = [
        ("dataset", flags.dataset.map(|name| name.to_string()), recipe.dataset.to_string()),
        ("method", flags.method.map(|name| name.to_string()), recipe.method.to_string()),
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
    let MachineFlags { data_dir, gpu, num_workers, .. } = flags.machine.clone();
    recipe.data_dir = data_dir.or(recipe.data_dir);
    recipe.gpu = gpu.unwrap_or(recipe.gpu);
    recipe.num_workers = num_workers.unwrap_or(recipe.num_workers);
    recipe.probe.data_size = flags.data_size.unwrap_or(recipe.probe.data_size);
    Ok(recipe)
}

fn probe_command(args: ProbeArgs) -> Result<()> {
    let checkpoint = Checkpoint::of_run_or_file(&args.from.checkpoint)?;
    let mut recipe = recipe_of(&checkpoint, &args.from)?;
    recipe.probe.seed = args.seed.or(recipe.probe.seed);
    recipe.probe.epochs = args.epochs.unwrap_or(recipe.probe.epochs);
    recipe.probe.learning_rate = args.learning_rate.unwrap_or(recipe.probe.learning_rate);
    recipe.validate()?;
    let splits = load(&recipe)?;
    probe::<Training>(&checkpoint, &recipe, &splits, &device(recipe.gpu))?;
    Ok(())
}

fn test_command(args: TestArgs) -> Result<()> {
    let checkpoint = Checkpoint::of_probe(&args.from.checkpoint)?;
    let recipe = recipe_of(&checkpoint, &args.from)?;
    recipe.validate()?;
    if let Some(seed) = args.seed.filter(|seed| *seed != recipe.seed) {
        return Err(AppError::Usage(format!("--seed {seed}: {} has seed {}", checkpoint.file.display(), recipe.seed)));
    }
    let splits = load(&recipe)?;
    evaluate::test::<Inner>(&checkpoint, &splits, recipe.num_workers, &device(recipe.gpu))
}

fn run_command(args: RunArgs) -> Result<()> {
    let path = args.recipe.or(args.config).expect("clap asks for one of them");
    let recipe = args.flags.over(Recipe::read(&path)?)?;
    let options = PretrainOptions {
        resume: args.existing.resume,
        overwrite: args.existing.overwrite,
        no_tui: args.flags.machine.no_tui,
    };
    settle_existing(&RunFolder::of(&recipe), &recipe, options.resume, options.overwrite)?;
    let splits = load(&recipe)?;
    let device: Device = device(recipe.gpu);
    say(format!(
        "{} on {} ({} training images), {}, {} epochs of {} × {} views, backend {}",
        recipe.method,
        recipe.dataset,
        splits.train.len(),
        recipe.backbone,
        recipe.epochs,
        recipe.data_size,
        recipe.views,
        crate::backend::NAME
    ));

    let folder = pretrain::<Training>(&recipe, &splits, &device, &options)?;
    let checkpoint = Checkpoint::of_run_or_file(folder.path())?;
    let trained = probe::<Training>(&checkpoint, &recipe, &splits, &device)?;
    if recipe.compare_untrained {
        let backbone = recipe.backbone.init::<Inner>(recipe.seed, &device);
        let untrained = evaluate_backbone::<Training>(&backbone, &splits, &recipe, &device)?;
        let row = |name: &str, result: &ProbeResult<Inner>| {
            say(format!("{name:<28}{:>12.2} %{:>8.2} %", result.test.accuracy, result.knn));
        };
        say(format!("\n{:<28}{:>14}{:>10}", "test accuracy", "linear probe", "kNN"));
        row(&format!("untrained {}", recipe.backbone), &untrained);
        row(recipe.method.as_str(), &trained);
        say("");
    }
    let checkpoint = Checkpoint::of_probe(folder.path())?;
    evaluate::test::<Inner>(&checkpoint, &splits, recipe.num_workers, &device)
}
