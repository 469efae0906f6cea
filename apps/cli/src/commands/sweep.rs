//! `qare sweep`: one recipe with several methods and seeds, and tables of what they come to.

use std::path::Path;

use qare_data::{DataError, DatasetName, Splits};
use qare_lab::evaluation::probe::{ProbeTarget, settings};
use qare_lab::images::{Images, Source, probeable};
use qare_lab::methods::Method;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::runs::files::write_whole;
use qare_lab::runs::open_run::{Existing, OpenRun};
use qare_lab::runs::run_folder::{self, results_file};
use qare_lab::runs::run_record::RunRecord;
use qare_lab::sweep_table::{Run, SweepTable};
use qare_lab::{LabError, Result};
use serde_json::Value;

use super::pretrain::train;
use super::probe::probe_and_save;
use crate::backend::{NAME, devices_of};
use crate::cli::SweepArgs;
use crate::output::{complain, say};
use crate::progress::show;

/// Runs, or resumes, what is missing of methods × seeds; prints the table, and writes it where the runs are.
pub fn sweep_command(args: SweepArgs) -> Result<()> {
    if args.flags.seed.is_some() || args.flags.method.is_some() {
        return Err(LabError::Usage("a sweep takes its seeds and methods from --seeds and --methods".into()));
    }
    let methods = if args.methods.is_empty() {
        vec![args.flags.over(recipe_file(&args))?.method.built_in()?]
    } else {
        without_repeats(&args.methods)
    };
    let seeds = without_repeats(&args.seeds);
    let recipes: Vec<Recipe> = methods
        .iter()
        .flat_map(|method| seeds.iter().map(move |seed| (*method, *seed)))
        .map(|(method, seed)| one_of(&args, method, seed))
        .collect::<Result<_>>()?;
    // Every folder is looked at, and is ours, before hours are spent on the first.
    let mut runs = Vec::with_capacity(recipes.len());
    for recipe in &recipes {
        runs.push(OpenRun::of(recipe, Existing::Resume)?);
        devices_of(recipe)?;
    }

    let no_tui = args.flags.machine.no_tui;
    let mut data = Data::default();
    let mut table = SweepTable::default();
    let mut failed = Vec::new();
    let count = runs.len();
    for (number, run) in runs.iter().enumerate() {
        let named = format!("{}, seed {}", run.recipe.method, run.recipe.seed);
        match results_of(run, &format!("[{}/{count}] {named}", number + 1), &mut data, no_tui) {
            Ok(results) => table.runs.push(Run::of(&run.recipe, &results)?),
            Err(stopped @ LabError::Interrupted(_)) => return Err(stopped),
            // The others are run all the same.
            Err(error) => {
                complain(format!("{named} failed: {error}"));
                failed.push(named);
            }
        }
    }

    if table.runs.is_empty() {
        return Err(LabError::Failed(format!("all {count} runs failed: {}", failed.join("; "))));
    }
    let name = name_of(&args, &recipes[0]);
    let file = |end: &str| recipes[0].out.join(format!("sweep_{name}{end}"));
    let markdown = table.markdown();
    say(format!("\n{markdown}"));
    for (end, text) in
        [(".md", markdown), (".csv", table.csv()), ("_runs.csv", table.csv_of_runs()), (".tex", table.latex())]
    {
        write_whole(&file(end), text.as_bytes())?;
    }
    say(format!(
        "accuracies on the test split in percent, mean ± standard deviation of three seeds and more; saved as {}, with .csv, \
         _runs.csv and .tex beside it",
        file(".md").display()
    ));
    match failed.is_empty() {
        true => Ok(()),
        false => Err(LabError::Failed(format!("{} of {count} runs failed: {}", failed.len(), failed.join("; ")))),
    }
}

fn recipe_file(args: &SweepArgs) -> Option<&Path> {
    args.recipe.as_deref().or(args.config.as_deref())
}

/// What the tables' files are called: as the recipe's file, or as what the flags name.
fn name_of(args: &SweepArgs, first: &Recipe) -> String {
    let name = match recipe_file(args) {
        Some(file) => file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        None => format!("{}_{}", first.dataset, first.backbone),
    };
    // A folder that the call names is not the recipe's.
    let images = args.flags.machine.data_dir.as_ref().and_then(|_| run_folder::images_of(first));
    [Some(name), images, args.flags.id.clone()].into_iter().flatten().collect::<Vec<_>>().join("_")
}

fn without_repeats<T: Copy + PartialEq>(items: &[T]) -> Vec<T> {
    let mut kept: Vec<T> = Vec::new();
    for item in items {
        if !kept.contains(item) {
            kept.push(*item);
        }
    }
    kept
}

/// The recipe of one run. Its folder's name ends in the seed.
fn one_of(args: &SweepArgs, method: Method, seed: u64) -> Result<Recipe> {
    let mut flags = args.flags.clone();
    flags.method = Some(method);
    flags.seed = Some(seed);
    let recipe = flags.over(recipe_file(args))?;
    let id = recipe.id.as_ref().map_or(format!("seed_{seed}"), |id| format!("{id}_seed_{seed}"));
    Ok(Recipe { id: Some(id), ..recipe })
}

/// The datasets of a sweep, whole, read when a run is the first to need them.
#[derive(Default)]
struct Data {
    training: Option<Splits>,
    probing: Option<Splits>,
}

impl Data {
    /// The dataset that a recipe trains on.
    fn training(&mut self, recipe: &Recipe) -> Result<&Splits> {
        if self.training.is_none() {
            self.training = Some(Source::of(recipe, recipe.dataset).load(&show)?);
        }
        Ok(self.training.as_ref().expect("it has just been read"))
    }
}

/// The same images once more; their pixels are shared.
fn shared(splits: &Splits) -> Splits {
    let skipped = splits.skipped.iter().filter_map(|image| match image {
        DataError::BadImage { path, problem } => {
            Some(DataError::BadImage { path: path.clone(), problem: problem.clone() })
        }
        _ => None,
    });
    Splits {
        unlabeled: splits.unlabeled.clone(),
        skipped: skipped.collect(),
        ..Splits::new(splits.train.clone(), splits.test.clone())
    }
}

/// The results of a run, which is trained and probed as far as it has not been.
fn results_of(run: &OpenRun, title: &str, data: &mut Data, no_tui: bool) -> Result<Value> {
    let OpenRun { recipe, folder, .. } = run;
    let results = || run_folder::results(&results_file(folder.path())).map(Value::Object);
    let epochs = if recipe.method.plan(recipe).is_some() { recipe.epochs } else { 0 };
    let trained = folder.latest()?.is_some_and(|latest| latest.epoch >= epochs);
    let probed = |results: &Value| {
        let probe = &results[recipe.stage("probe")];
        probe["epoch"] == epochs && probe["settings"] == settings(recipe)
    };
    if recipe.dataset == DatasetName::Folder && folder.exists() {
        // The folder of a run may hold other images by now.
        let splits = data.training(recipe)?;
        if let Some(record) = RunRecord::read(folder)? {
            let splits = Images::taken(recipe, shared(splits)).splits;
            let images = recipe.method.images(recipe, &splits).len();
            record.continued(&RunRecord::begun(recipe, &splits, images, NAME), epochs)?;
        }
    }
    if folder.exists() && trained && probed(&results()?) {
        say(format!("{title}: is there already, in {}", folder.path().display()));
        return results();
    }
    say(format!("{title}: {}", folder.path().display()));
    let elsewhere = recipe.probed() != recipe.dataset;
    if !trained || !elsewhere {
        data.training(recipe)?;
    }
    // What the probe needs is looked at before hours are spent on training.
    if data.probing.is_none() && elsewhere {
        data.probing = Some(Source::of(recipe, recipe.probed()).load(&show)?);
    }
    let of_probe = if elsewhere { &data.probing } else { &data.training }.as_ref().expect("it has just been read");
    probeable(recipe.probed(), of_probe)?;
    if let Some(splits) = data.training.as_ref().filter(|_| !trained) {
        train(run, &Images::taken(recipe, shared(splits)).splits, &devices_of(recipe)?, no_tui)?;
    }
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let target = ProbeTarget::of(&checkpoint, recipe, None)?;
    let splits = Images::taken(recipe, shared(of_probe)).splits;
    probe_and_save(&checkpoint, recipe, &splits, &devices_of(recipe)?, &target, no_tui)?;
    results()
}
