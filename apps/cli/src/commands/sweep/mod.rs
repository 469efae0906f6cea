//! `qare sweep`: runs a recipe with several methods, values of settings and seeds, and tabulates and plots the results.

mod plan;
mod plots;

use qare_data::{DataError, DatasetName, ImageSet, Splits};
use qare_lab::PrintablePath;
use qare_lab::evaluation::probe::{ProbeTarget, settings};
use qare_lab::evaluation::retrieval;
use qare_lab::images::{Images, Source, probeable, retrievable};
use qare_lab::loggers::Loggers;
use qare_lab::recipe::Recipe;
use qare_lab::runs::checkpoint::{Checkpoint, Stated};
use qare_lab::runs::files::write_whole;
use qare_lab::runs::open_run::{Existing, OpenRun};
use qare_lab::runs::records::{self, results_file};
use qare_lab::runs::run_folder::images_of;
use qare_lab::runs::run_record::RunRecord;
use qare_lab::sweep_table::{Evaluation, SweepTable};
use qare_lab::{LabError, Result};
use serde_json::Value;

pub use self::plan::without_repeats;
use self::plan::{plan, recipe_file};
use self::plots::plots;
use super::pretrain::train;
use super::probe::probe_and_save;
use super::retrieve::{Wanted, retrieve_and_record};
use crate::backend::{NAME, devices_of};
use crate::cli::SweepArgs;
use crate::output::{eprint_line, print_line};
use crate::progress::show;

/// Completes every run of methods × seeds, prints the table, and writes it beside the run folders.
pub fn sweep_command(args: SweepArgs) -> Result<()> {
    let planned = plan(&args)?;
    let recipes: Vec<Recipe> = planned.iter().map(|run| run.recipe.clone()).collect();
    let evaluation = Evaluation::of(&recipes);
    // All folders are locked and all devices checked before the first run, which may take hours.
    let mut runs = Vec::with_capacity(recipes.len());
    for recipe in &recipes {
        runs.push(OpenRun::of(recipe, Existing::Resume)?);
        devices_of(recipe)?;
    }

    let no_tui = args.flags.machine.no_tui;
    let mut datasets = Datasets::default();
    let mut table =
        SweepTable::new(evaluation, args.vary.iter().map(|variation| variation.setting().to_string()).collect());
    let mut failed = Vec::new();
    let count = runs.len();
    for (number, (run, planned)) in runs.iter().zip(&planned).enumerate() {
        let name = planned.title(&args.vary);
        match complete_run(run, &format!("[{}/{count}] {name}", number + 1), evaluation, &mut datasets, no_tui) {
            Ok(results) => table.push(&run.recipe, &planned.values, &results)?,
            Err(LabError::Interrupted(_)) => {
                return Err(LabError::Interrupted("interrupted; the same sweep continues when it is run again".into()));
            }
            // A failed run does not stop the remaining ones.
            Err(error) => {
                eprint_line(format!("{name} failed: {error}"));
                failed.push(name);
            }
        }
    }

    if table.is_empty() {
        return Err(LabError::Failed(format!("all {count} runs failed: {}", failed.join("; "))));
    }
    let name = table_name(&args, &recipes[0]);
    let file = |end: &str| recipes[0].out.join(format!("sweep_{name}{end}"));
    let markdown = table.markdown();
    print_line(format!("\n{markdown}"));
    for (end, text) in
        [(".md", markdown), (".csv", table.csv()), ("_runs.csv", table.csv_of_runs()), (".tex", table.latex())]
    {
        write_whole(&file(end), text.as_bytes())?;
    }
    let plots = plots(&table, &planned);
    for plot in &plots {
        write_whole(&file(&format!("_{}.svg", plot.name)), plot.file().as_bytes())?;
    }
    print_line(format!(
        "{} in percent, with mean ± standard deviation from three seeds on; saved as {}, with .csv, _runs.csv{} \
         beside it",
        match evaluation {
            Evaluation::Probe => "test accuracies",
            Evaluation::Retrieval => "retrieval among the test images",
        },
        file(".md").printable(),
        if plots.is_empty() { " and .tex".to_string() } else { format!(", .tex and {} plots", plots.len()) }
    ));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(LabError::Failed(format!("{} of {count} runs failed: {}", failed.len(), failed.join("; "))))
    }
}

/// The name in the tables' file names: the stem of the recipe file, or `DATASET_BACKBONE` without one.
fn table_name(args: &SweepArgs, first: &Recipe) -> String {
    let name = match recipe_file(args) {
        Some(file) => file.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        None if args.vary.iter().any(|variation| variation.setting() == "backbone") => first.dataset.to_string(),
        None => format!("{}_{}", first.dataset, first.backbone),
    };
    // A sweep that varies a setting keeps the tables of one that does not.
    let varied = args.vary.iter().map(|variation| variation.setting().to_string());
    // Two folders of images given with --data-dir get two tables.
    let images = args.flags.machine.data_dir.as_ref().and_then(|_| images_of(first));
    [Some(name), images].into_iter().flatten().chain(varied).chain(args.flags.id.clone()).collect::<Vec<_>>().join("_")
}

/// The complete datasets of a sweep. Each is read when the first run needs it.
#[derive(Default)]
struct Datasets {
    /// The training images, and the size of their sources.
    training: Option<(Option<usize>, Splits)>,
    probing: Option<Splits>,
}

impl Datasets {
    /// The dataset that a recipe trains on. It is read again if the recipe needs other sources than earlier ones.
    fn training(&mut self, recipe: &Recipe) -> Result<&Splits> {
        let needed = recipe.source_pixels();
        if self.training.as_ref().is_none_or(|(sources, _)| needed.is_some() && *sources != needed) {
            self.training = None;
            self.training = Some((needed, Source::for_training(recipe).load(&show)?));
        }
        Ok(&self.training.as_ref().expect("the dataset is loaded").1)
    }
}

/// Clones the splits. The pixels are shared, not copied.
fn clone_splits(splits: &Splits) -> Splits {
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

/// Trains and evaluates a run unless that is already done, and returns its results.
fn complete_run(
    run: &OpenRun,
    title: &str,
    evaluation: Evaluation,
    datasets: &mut Datasets,
    no_tui: bool,
) -> Result<Value> {
    let OpenRun { recipe, folder, .. } = run;
    let results = || records::results(&results_file(folder.path())).map(Value::Object);
    let epochs = if recipe.method.plan(recipe).is_some() { recipe.epochs } else { 0 };
    let latest = folder.latest()?.map(|latest| latest.epoch);
    let trained = latest >= Some(epochs);
    let lacks_end = latest == Some(epochs) && Loggers::lack_end(recipe, folder.path());
    let is_evaluated = |results: &Value| match evaluation {
        Evaluation::Probe => {
            let probe = &results[recipe.stage("probe")];
            probe["epoch"] == epochs && probe["settings"] == settings(recipe)
        }
        Evaluation::Retrieval => {
            let retrieve = &results[recipe.stage("retrieve")];
            retrieve["epoch"] == epochs && retrieve["settings"] == retrieval::settings(recipe)
        }
    };
    if recipe.dataset == DatasetName::Folder && folder.exists() {
        // The folder of images may have changed since the run was trained.
        let splits = datasets.training(recipe)?;
        if let Some(record) = RunRecord::read(folder)? {
            let splits = Images::limited(recipe, clone_splits(splits)).splits;
            let images = recipe.method.images(recipe, &splits).len();
            record.continued(&RunRecord::begun(recipe, &splits, images, NAME), epochs)?;
        }
    }
    let complete = folder.exists() && trained && is_evaluated(&results()?);
    if complete && !lacks_end {
        print_line(format!("{title}: already complete, in {}", folder.path().printable()));
        return results();
    }
    print_line(format!("{title}: {}", folder.path().printable()));
    let probes_other = recipe.probed() != recipe.dataset;
    let trains = !trained || lacks_end;
    if trains || !probes_other {
        datasets.training(recipe)?;
    }
    // Checked before training, which may take hours.
    if datasets.probing.is_none() && probes_other {
        datasets.probing = Some(Source::of(recipe, recipe.probed()).load(&show)?);
    }
    let training = datasets.training.as_ref().map(|(_, splits)| splits);
    let probing = if probes_other { datasets.probing.as_ref() } else { training };
    let probing = probing.expect("the dataset is loaded");
    match evaluation {
        Evaluation::Probe => probeable(recipe.probed(), probing)?,
        Evaluation::Retrieval => retrievable(recipe.probed(), &probing.test)?,
    }
    if let Some(splits) = training.filter(|_| trains) {
        let mut splits = clone_splits(splits);
        if recipe.source_pixels().is_none() {
            splits.train = splits.train.without_sources();
            splits.unlabeled = splits.unlabeled.map(ImageSet::without_sources);
        }
        train(run, &Images::limited(recipe, splits).splits, &devices_of(recipe)?, no_tui)?;
    }
    if complete {
        return results();
    }
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let splits = Images::limited(recipe, clone_splits(probing)).splits;
    let devices = devices_of(recipe)?;
    match evaluation {
        Evaluation::Probe => {
            let target = ProbeTarget::of(&checkpoint, recipe, None)?;
            probe_and_save(&checkpoint, recipe, &splits, &devices, &target, no_tui)?;
        }
        Evaluation::Retrieval => retrieve_and_record(&checkpoint, &splits.test, recipe, Wanted::USUAL, &devices[0])?,
    }
    results()
}
