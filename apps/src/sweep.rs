//! `qare sweep`: a recipe with several methods and seeds, and a table of what they come to.

use qare_data::Splits;
use serde_json::Value;

use crate::backend::{Training, device};
use crate::checkpoint::{Checkpoint, Stated};
use crate::cli::SweepArgs;
use crate::commands::{devices_of, load_for, load_probed, train};
use crate::error::{AppError, Result};
use crate::files::{complain, say, write_whole};
use crate::methods::Method;
use crate::pretrain::PretrainOptions;
use crate::probe::{probe, settings};
use crate::recipe::Recipe;
use crate::run_folder::{self, RunFolder, settle_existing};

/// Runs, or resumes, what is missing of methods × seeds; prints the table, and writes it where the runs are.
pub fn sweep(args: SweepArgs) -> Result<()> {
    if args.flags.seed.is_some() || args.flags.method.is_some() {
        return Err(AppError::Usage("a sweep takes its seeds and methods from --seeds and --methods".into()));
    }
    let mut name = args.recipe.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(id) = &args.flags.id {
        name = format!("{name}_{id}");
    }
    let methods = match args.methods.is_empty() {
        true => vec![args.flags.over(Some(&args.recipe))?.method],
        false => without_repeats(&args.methods),
    };
    let seeds = without_repeats(&args.seeds);
    let recipes =
        |method: Method| -> Result<Vec<Recipe>> { seeds.iter().map(|seed| one_of(&args, method, *seed)).collect() };
    let all: Vec<(Method, Vec<Recipe>)> =
        methods.iter().map(|method| Ok((*method, recipes(*method)?))).collect::<Result<_>>()?;
    // Every folder is looked at before hours are spent on the first.
    for recipe in all.iter().flat_map(|(_, recipes)| recipes) {
        settle_existing(&RunFolder::of(recipe), recipe, true, false)?;
        devices_of(recipe)?;
    }

    let options = PretrainOptions { resume: true, overwrite: false, no_tui: args.flags.machine.no_tui };
    let mut data = Data::default();
    let count = seeds.len() * methods.len();
    let mut rows: Vec<Row> = Vec::new();
    let mut failed = Vec::new();
    let runs = all.iter().flat_map(|(method, recipes)| recipes.iter().map(move |recipe| (*method, recipe)));
    for (number, (method, recipe)) in runs.enumerate() {
        let run = format!("{method}, seed {}", recipe.seed);
        let results = match results_of(recipe, &format!("[{}/{count}] {run}", number + 1), &mut data, &options) {
            Ok(results) => results,
            Err(stopped @ AppError::Interrupted(_)) => return Err(stopped),
            // The others are run all the same.
            Err(error) => {
                complain(format!("{run} failed: {error}"));
                failed.push(run);
                continue;
            }
        };
        if rows.last().is_none_or(|row| row.method != method) {
            rows.push(Row { method, figures: vec![Vec::new(); COLUMNS.len()] });
        }
        let row = rows.last_mut().expect("there is one by now");
        for (values, column) in row.figures.iter_mut().zip(COLUMNS) {
            match (column.read)(&results, recipe) {
                Some(value) => values.push(value),
                None if !column.always => {}
                None => {
                    let folder = RunFolder::of(recipe);
                    return Err(AppError::Failed(format!("{} has no {}", folder.path().display(), column.name)));
                }
            }
        }
    }

    let first = &all[0].1[0];
    let (markdown, csv) = (markdown(&rows), csv(&rows));
    let file = |end: &str| first.out.join(format!("sweep_{name}.{end}"));
    write_whole(&file("md"), markdown.as_bytes())?;
    write_whole(&file("csv"), csv.as_bytes())?;
    say(format!("\n{markdown}"));
    say(format!(
        "accuracies on the test split in percent, mean ± standard deviation over the seeds; saved as {}",
        file("md").display()
    ));
    match failed.is_empty() {
        true => Ok(()),
        false => Err(AppError::Failed(format!("{} of {count} runs failed: {}", failed.len(), failed.join("; ")))),
    }
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
    let recipe = flags.over(Some(&args.recipe))?;
    let id = recipe.id.as_ref().map_or(format!("seed_{seed}"), |id| format!("{id}_seed_{seed}"));
    Ok(Recipe { id: Some(id), ..recipe })
}

/// The datasets of a sweep, read when a run is the first to need them.
#[derive(Default)]
struct Data {
    training: Option<Splits>,
    probing: Option<Splits>,
}

/// The results of a run, which is trained and probed as far as it has not been.
fn results_of(recipe: &Recipe, title: &str, data: &mut Data, options: &PretrainOptions) -> Result<Value> {
    let folder = RunFolder::of(recipe);
    let results = || run_folder::results(folder.path()).map(Value::Object);
    let epochs = if recipe.method.plan(recipe).is_some() { recipe.epochs } else { 0 };
    let trained = folder.latest()?.is_some_and(|latest| latest.epoch >= epochs);
    let probed = |results: &Value| {
        let probe = &results[recipe.stage("probe")];
        probe["epoch"] == epochs && probe["settings"] == settings(recipe)
    };
    if folder.exists() && trained && probed(&results()?) {
        say(format!("{title}: is there already, in {}", folder.path().display()));
        return results();
    }
    say(format!("{title}: {}", folder.path().display()));
    let elsewhere = recipe.probed() != recipe.dataset;
    if data.training.is_none() && (!trained || !elsewhere) {
        data.training = Some(load_for(recipe)?);
    }
    // What the probe needs is looked at before hours are spent on training.
    if data.probing.is_none() && elsewhere {
        data.probing = Some(load_probed(recipe)?);
    }
    if let Some(splits) = data.training.as_ref().filter(|_| !trained) {
        train(recipe, splits, options)?;
    }
    let splits = if elsewhere { &data.probing } else { &data.training };
    let splits = splits.as_ref().expect("it has just been read");
    if splits.test.is_empty() {
        return Err(AppError::Usage(format!("{} has no images to test on", recipe.probed())));
    }
    let checkpoint = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    probe::<Training>(&checkpoint, recipe, splits, &device(recipe.main_device())?)?;
    results()
}

/// A figure of a run.
struct Column {
    name: &'static str,
    /// Whether every run has it; an untrained backbone took no time.
    always: bool,
    read: fn(&Value, &Recipe) -> Option<f64>,
}

const COLUMNS: [Column; 3] = [
    Column {
        name: "linear probe",
        always: true,
        read: |results, recipe| results[recipe.stage("probe")]["test_accuracy"].as_f64(),
    },
    Column { name: "kNN", always: true, read: |results, recipe| results[recipe.stage("knn")]["accuracy"].as_f64() },
    Column {
        name: "seconds an epoch",
        always: false,
        read: |results, _| results["pretrain"]["seconds_per_epoch"].as_f64(),
    },
];

/// A method's figures: for each column a value for each seed.
struct Row {
    method: Method,
    figures: Vec<Vec<f64>>,
}

/// Mean and standard deviation (over n − 1): both of several values, none of none.
fn summary(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    ((!values.is_empty()).then_some(mean), (values.len() > 1).then(|| (squares / (count - 1.0)).sqrt()))
}

fn markdown(rows: &[Row]) -> String {
    let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
    let mut text = format!("| method | {} | seeds |\n|---|{}---|\n", names.join(" | "), "---|".repeat(names.len()));
    for row in rows {
        let cells = row.figures.iter().map(|values| match summary(values) {
            (Some(mean), Some(deviation)) => format!("{mean:.2} ± {deviation:.2}"),
            (Some(mean), None) => format!("{mean:.2}"),
            (None, _) => "–".to_string(),
        });
        let cells: Vec<String> = cells.collect();
        text += &format!("| `{}` | {} | {} |\n", row.method, cells.join(" | "), row.figures[0].len());
    }
    text
}

fn csv(rows: &[Row]) -> String {
    let columns = COLUMNS.iter().map(|column| {
        let name = column.name.to_lowercase().replace(' ', "_");
        format!(",{name}_mean,{name}_std")
    });
    let mut text = format!("method,seeds{}\n", columns.collect::<String>());
    for row in rows {
        text += &format!("{},{}", row.method, row.figures[0].len());
        for values in &row.figures {
            let (mean, deviation) = summary(values);
            let told = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
            text += &format!(",{},{}", told(mean), told(deviation));
        }
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_and_deviations_are_those_of_the_sample() {
        let (mean, deviation) = summary(&[47.0, 48.0, 52.0]);
        assert!((mean.unwrap() - 49.0).abs() < 1e-12 && (deviation.unwrap() - 7f64.sqrt()).abs() < 1e-12);
        assert_eq!(summary(&[3.0]), (Some(3.0), None));
        assert_eq!(summary(&[]), (None, None));
    }

    #[test]
    fn tables_have_a_row_for_each_method() {
        let row = |method, probe: &[f64], seconds: &[f64]| Row {
            method,
            figures: vec![probe.to_vec(), vec![40.0; probe.len()], seconds.to_vec()],
        };
        let rows = [row(Method::Simclr, &[45.0, 47.0], &[8.0, 8.0]), row(Method::Randomweights, &[30.5], &[])];
        let text = markdown(&rows);
        assert_eq!(text.lines().nth(2), Some("| `simclr` | 46.00 ± 1.41 | 40.00 ± 0.00 | 8.00 ± 0.00 | 2 |"));
        assert_eq!(text.lines().nth(3), Some("| `randomweights` | 30.50 | 40.00 | – | 1 |"));
        let text = csv(&rows);
        let head = "method,seeds,linear_probe_mean,linear_probe_std,knn_mean,knn_std,seconds_an_epoch_mean,seconds_an_epoch_std";
        assert_eq!(text.lines().next(), Some(head));
        assert_eq!(text.lines().nth(1), Some("simclr,2,46.0000,1.4142,40.0000,0.0000,8.0000,0.0000"));
        assert_eq!(text.lines().nth(2), Some("randomweights,1,30.5000,,40.0000,,,"));
    }
}
