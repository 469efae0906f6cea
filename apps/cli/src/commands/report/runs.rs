//! Settings, log, scores and facts of a run.

use qare_lab::runs::listing::ListedRun;
use qare_lab::runs::log_table::LogTable;
use qare_lab::runs::records::{results, results_file};
use qare_lab::runs::run_folder::RunFolder;
use qare_lab::runs::run_record::{Process, RunRecord, shell_line};
use qare_lab::runs::stage_figures::{CMC_AT_1, MAP, MAP_AT_R, RECALL_AT_1, stage_figure};
use qare_lab::{PrintablePath, Result};
use qare_report::Run;
use serde_json::Value;

/// Settings that runs of other seeds or places differ in.
const NOT_COMPARED: [&str; 11] = [
    "seed",
    "id",
    "out",
    "data_dir",
    "num_workers",
    "device",
    "gpus",
    "compare_untrained",
    "probe.seed",
    "figures",
    "logger",
];

/// Reads what the report tells about a run.
pub fn run(listed: &ListedRun) -> Result<Run> {
    let recipe = listed.recipe.as_ref().expect("a whole run has a recipe");
    let table = toml::Table::try_from(recipe).expect("a recipe is plain TOML");
    let mut settings = Vec::new();
    flatten("", &table, &mut settings);
    settings.retain(|(name, _)| !NOT_COMPARED.contains(&name.as_str()));
    // What a reader looks for comes first.
    let first = ["method", "dataset", "backbone", "epochs", "batch_size"];
    settings.sort_by_key(|(name, _)| first.iter().position(|known| known == name).unwrap_or(first.len()));
    let log = LogTable::of_run(&listed.folder)?;
    let found = Value::Object(results(&results_file(&listed.folder))?);
    let accuracy = |stage: &str, figure: &str| stage_figure(&found[stage], figure);
    let stage = |name: &str, figure: &str| accuracy(&recipe.stage(name), figure);
    let scores = [
        ("linear probe", stage("probe", "test accuracy").or(accuracy("supervised", "accuracy"))),
        ("kNN", stage("knn", "accuracy")),
        ("test", stage("test", "accuracy")),
        (RECALL_AT_1, stage("retrieve", RECALL_AT_1)),
        (CMC_AT_1, stage("retrieve", CMC_AT_1)),
        (MAP, stage("retrieve", MAP)),
        (MAP_AT_R, stage("retrieve", MAP_AT_R)),
        ("validation", log.last("score")),
    ];
    Ok(Run {
        name: listed.folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        seed: recipe.seed.to_string(),
        settings,
        columns: log.columns.iter().map(|column| titled(column)).collect(),
        rows: log.rows,
        scores: scores.map(|(name, score)| (name.to_string(), score)).into(),
        facts: facts(listed, RunRecord::read(&RunFolder::at(&listed.folder, recipe))?.as_ref()),
    })
}

/// Writes the settings of a table, and of the tables in it, under names such as `probe.epochs`.
fn flatten(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{name}."), table, into),
            toml::Value::String(text) => into.push((name, text.clone())),
            value => into.push((name, value.to_string())),
        }
    }
}

/// The title of a column of the log.
fn titled(column: &str) -> String {
    match column {
        "score" => "accuracy or Recall@1 of held-out training images (%)".into(),
        "views_per_second" => "views per second".into(),
        "seconds" => "seconds an epoch".into(),
        "qare" => "set term (qare)".into(),
        "pairwise" => "pairwise term".into(),
        column => column.replace('_', " "),
    }
}

fn facts(listed: &ListedRun, record: Option<&RunRecord>) -> Vec<(String, String)> {
    let mut facts = vec![
        ("folder".to_string(), listed.folder.printable()),
        ("state".into(), listed.state.as_str().into()),
        ("epochs".into(), format!("{} of {}", listed.epochs_done, listed.epochs)),
    ];
    let Some(record) = record else { return facts };
    facts.push(("training images".into(), record.images.to_string()));
    if let Some(dir) = &record.data_dir {
        facts.push(("images in".into(), dir.printable()));
    }
    for process in std::iter::once(&record.began).chain(&record.continued) {
        let Process { version, commit, backend, command, started, after_epoch } = process;
        let name =
            if *after_epoch == 0 { "started".to_string() } else { format!("continued after epoch {after_epoch}") };
        facts.push((name, format!("{started}, qare {version} ({commit}), backend {backend}: {}", shell_line(command))));
    }
    facts
}
