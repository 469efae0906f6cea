//! Tables of a sweep as Markdown, CSV and LaTeX, with a row for each method or for each run.

use std::path::Path;

use qare_data::DatasetName;
use serde_json::Value;

use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::run_folder::RunFolder;
use crate::runs::stage_figures::{MAP, MAP_AT_R, RECALL_AT_1, headline, stage_figure};

/// How the runs of a sweep are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// By a linear probe and kNN.
    Probe,
    /// By retrieval among the test images.
    Retrieval,
}

impl Evaluation {
    /// Returns the evaluation of runs: retrieval, if it is that of one of them.
    pub fn of(recipes: &[Recipe]) -> Self {
        if recipes.iter().any(Recipe::is_evaluated_by_retrieval) { Self::Retrieval } else { Self::Probe }
    }

    /// Returns the figures, in the order of the columns.
    fn figures(self) -> &'static [Figure] {
        match self {
            Self::Probe => &OF_PROBE,
            Self::Retrieval => &OF_RETRIEVAL,
        }
    }
}

const OF_PROBE: [Figure; 3] = [
    Figure::accuracy("linear probe", |results, recipe| results[recipe.stage("probe")]["test_accuracy"].as_f64()),
    Figure::accuracy("kNN", |results, recipe| results[recipe.stage("knn")]["accuracy"].as_f64()),
    SECONDS,
];

const OF_RETRIEVAL: [Figure; 4] = [
    // CMC@1 of re-identification counts the same.
    Figure::accuracy(RECALL_AT_1, |results, recipe| headline(&results[recipe.stage("retrieve")])),
    Figure::accuracy(MAP, |results, recipe| stage_figure(&results[recipe.stage("retrieve")], MAP)),
    Figure::accuracy(MAP_AT_R, |results, recipe| stage_figure(&results[recipe.stage("retrieve")], MAP_AT_R)),
    SECONDS,
];

const SECONDS: Figure = Figure {
    name: "seconds an epoch",
    always: false,
    read: |results, _| results["pretrain"]["seconds_per_epoch"].as_f64(),
};

/// Minimum number of seeds for a standard deviation.
const MIN_SEEDS: usize = 3;

struct Figure {
    name: &'static str,
    /// Whether every run has the figure, which is then in percent. An untrained backbone has no seconds per epoch.
    always: bool,
    read: fn(&Value, &Recipe) -> Option<f64>,
}

impl Figure {
    /// A figure in percent, which every run has.
    const fn accuracy(name: &'static str, read: fn(&Value, &Recipe) -> Option<f64>) -> Self {
        Self { name, always: true, read }
    }

    fn column(&self) -> String {
        self.name.to_lowercase().replace([' ', '@'], "_")
    }
}

/// Settings and figures of one run.
struct Run {
    /// Method, dataset, backbone, batch size and epochs as text, see [`SETTINGS`].
    settings: [String; 5],
    /// Its values of the settings that the sweep varies; [`UNUSED`] of one that its method does not use.
    varied: Vec<String>,
    seed: u64,
    figures: Vec<Option<f64>>,
}

const SETTINGS: [&str; 5] = ["method", "dataset", "backbone", "batch", "epochs"];

/// Settings of recipes that are [`SETTINGS`] of each row anyway.
const SHOWN: [&str; 3] = ["backbone", "batch_size", "epochs"];

/// In place of the value of a setting that a method does not use.
const UNUSED: &str = "–";

impl Run {
    /// Reads the figures of a recipe's run.
    ///
    /// # Errors
    /// If a figure that every run has is missing.
    fn of(evaluation: Evaluation, recipe: &Recipe, values: &[Option<String>], results: &Value) -> Result<Self> {
        let of_run = |figure: &Figure| (figure.read)(results, recipe);
        let figures: Vec<Option<f64>> = evaluation.figures().iter().map(of_run).collect();
        if let Some(figure) = evaluation.figures().iter().find(|figure| figure.always && of_run(figure).is_none()) {
            let folder = RunFolder::of(recipe);
            return Err(LabError::Failed(format!("{} has no {}", folder.path().printable(), figure.name)));
        }
        let named = |dataset: DatasetName| match recipe.data_dir.as_deref().and_then(Path::file_name) {
            // These characters would start another column in CSV or Markdown.
            Some(dir) if dataset == DatasetName::Folder => {
                format!(
                    "{dataset} {}",
                    dir.to_string_lossy().replace(|c: char| ",|\"".contains(c) || c.is_control(), "-")
                )
            }
            _ => dataset.to_string(),
        };
        let dataset = if recipe.probed() == recipe.dataset {
            named(recipe.dataset)
        } else {
            format!("{} → {}", named(recipe.dataset), named(recipe.probed()))
        };
        let epochs = if recipe.method.plan(recipe).is_some() { recipe.epochs } else { 0 };
        let settings = [
            recipe.method.to_string(),
            dataset,
            recipe.backbone.to_string(),
            recipe.batch_size.to_string(),
            epochs.to_string(),
        ];
        let varied = values.iter().map(|value| value.clone().unwrap_or_else(|| UNUSED.into())).collect();
        Ok(Self { settings, varied, seed: recipe.seed, figures })
    }
}

/// The table of a sweep.
pub struct SweepTable {
    evaluation: Evaluation,
    /// The settings that the sweep varies.
    varied: Vec<String>,
    /// The runs. Runs that differ only in their seed are adjacent.
    runs: Vec<Run>,
}

impl SweepTable {
    /// A table without runs, of a sweep that varies some settings of recipes.
    pub fn new(evaluation: Evaluation, varied: Vec<String>) -> Self {
        Self { evaluation, varied, runs: Vec::new() }
    }

    /// Adds the run of a recipe, given its values of the varied settings, `None` for one that its method does not use, and its results. Runs
    /// that differ only in their seed follow each other.
    ///
    /// # Errors
    /// If a figure that every run has is missing.
    ///
    /// # Panics
    /// If there is not one value for each varied setting.
    pub fn push(&mut self, recipe: &Recipe, values: &[Option<String>], results: &Value) -> Result<()> {
        assert_eq!(values.len(), self.varied.len(), "a value of each varied setting");
        self.runs.push(Run::of(self.evaluation, recipe, values, results)?);
        Ok(())
    }

    /// Returns the settings that the sweep varies.
    pub fn varied(&self) -> &[String] {
        &self.varied
    }

    /// Whether there are no runs.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn figures(&self) -> &'static [Figure] {
        self.evaluation.figures()
    }

    /// Groups the runs that differ only in their seed.
    fn groups(&self) -> impl Iterator<Item = &[Run]> {
        self.runs.chunk_by(|one, next| one.settings == next.settings && one.varied == next.varied)
    }

    /// Returns the settings of a group's row, with those that vary and are no [`SETTINGS`] of every row: by name, or of a run.
    fn of_row<'a>(&'a self, settings: impl Iterator<Item = &'a str>, varied: &'a [String]) -> Vec<&'a str> {
        let others = self.varied.iter().zip(varied).filter(|(name, _)| !SHOWN.contains(&name.as_str()));
        settings.chain(others.map(|(_, value)| value.as_str())).collect()
    }

    /// Returns the settings of a run's row.
    fn row<'a>(&'a self, run: &'a Run) -> Vec<&'a str> {
        self.of_row(run.settings.iter().map(String::as_str), &run.varied)
    }

    /// Returns the names of the settings in a row.
    fn head(&self) -> Vec<&str> {
        self.of_row(SETTINGS.into_iter(), &self.varied)
    }

    /// Returns the names of the accuracies, and those of their columns in CSV.
    pub fn accuracies(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.figures().iter().filter(|figure| figure.always).map(|figure| (figure.name, figure.column()))
    }

    /// Returns the runs' figures of an accuracy over values of the first varied setting: for each method and choice of the other varied
    /// settings a name, and the figures of all seeds for each value. Those of a method that does not use the setting are there for every
    /// value.
    ///
    /// # Panics
    /// If the sweep varies nothing, or there is no such accuracy.
    pub fn lines(&self, accuracy: usize, values: &[String]) -> Vec<(String, Vec<Vec<f64>>)> {
        let mut lines: Vec<(String, Vec<Vec<f64>>)> = Vec::new();
        for run in &self.runs {
            let others = self.varied.iter().zip(&run.varied).skip(1).filter(|(_, value)| *value != UNUSED);
            let others: String = others.map(|(name, value)| format!(", {name} {value}")).collect();
            let name = format!("{}{others}", run.settings[0]);
            let line = match lines.iter().position(|(other, _)| *other == name) {
                Some(line) => line,
                None => {
                    lines.push((name, vec![Vec::new(); values.len()]));
                    lines.len() - 1
                }
            };
            for (value, group) in values.iter().zip(&mut lines[line].1) {
                if *value == run.varied[0] || run.varied[0] == UNUSED {
                    group.extend(run.figures[accuracy]);
                }
            }
        }
        lines
    }

    /// Returns two Markdown tables: means and standard deviations over the seeds, and the figures of each run.
    pub fn markdown(&self) -> String {
        let names: Vec<&str> = self.head().into_iter().chain(self.figures().iter().map(|figure| figure.name)).collect();
        let mut text = format!("| {} | seeds |\n|{}---|\n", names.join(" | "), "---|".repeat(names.len()));
        for runs in self.groups() {
            let row = self.row(&runs[0]);
            let cells = each_summary(runs, |mean, deviation| match (mean, deviation) {
                (Some(mean), Some(deviation)) => format!("{mean:.2} ± {deviation:.2}"),
                (Some(mean), None) => format!("{mean:.2}"),
                (None, _) => "–".to_string(),
            });
            text += &format!("| `{}` | {} | {} | {} |\n", row[0], row[1..].join(" | "), cells.join(" | "), seeds(runs));
        }
        let names: Vec<&str> = self.figures().iter().map(|figure| figure.name).collect();
        let varied = |of: &[String]| of.iter().map(|text| format!("{text} | ")).collect::<String>();
        let columns = 2 + self.varied.len() + names.len();
        text +=
            &format!("\n| run | {}seed | {} |\n|{}\n", varied(&self.varied), names.join(" | "), "---|".repeat(columns));
        for run in &self.runs {
            let cell = |value: &Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.2}"));
            let cells: Vec<String> = run.figures.iter().map(cell).collect();
            text +=
                &format!("| `{}` | {}{} | {} |\n", run.settings[0], varied(&run.varied), run.seed, cells.join(" | "));
        }
        text
    }

    /// Returns the columns of all figures, each as `column` writes it.
    fn columns(&self, column: impl Fn(String) -> String) -> String {
        self.figures().iter().map(|figure| column(figure.column())).collect::<Vec<_>>().join(",")
    }

    /// Returns CSV with means and standard deviations over the seeds.
    pub fn csv(&self) -> String {
        let columns = self.columns(|column| format!("{column}_mean,{column}_std"));
        let mut text = format!("method,seeds,{columns},{}\n", self.head()[1..].join(","));
        for runs in self.groups() {
            let row = self.row(&runs[0]);
            let cells = each_summary(runs, |mean, deviation| format!("{},{}", number(mean), number(deviation)));
            text += &format!("{},{},{},{}\n", row[0], runs.len(), cells.join(","), row[1..].join(","));
        }
        text
    }

    /// Returns CSV with a row for each run.
    pub fn csv_of_runs(&self) -> String {
        let mut text = format!("{},seed,{}\n", self.head().join(","), self.columns(|column| column));
        for run in &self.runs {
            text += &format!(
                "{},{},{}\n",
                self.row(run).join(","),
                run.seed,
                run.figures.iter().copied().map(number).collect::<Vec<_>>().join(",")
            );
        }
        text
    }

    /// Returns a LaTeX table with means and standard deviations of the accuracies. It needs the package booktabs.
    pub fn latex(&self) -> String {
        let accuracies: Vec<&Figure> = self.figures().iter().filter(|figure| figure.always).collect();
        let head = self.head();
        let names = head.iter().copied().chain(accuracies.iter().map(|figure| figure.name)).map(escape_latex);
        let mut text = String::from("% \\usepackage{booktabs}\n");
        let aligned = "r".repeat(head.len() - SETTINGS.len()) + &"c".repeat(accuracies.len());
        text += &format!("\\begin{{tabular}}{{lllrr{aligned}}}\n\\toprule\n");
        text += &format!("{} \\\\\n\\midrule\n", names.collect::<Vec<_>>().join(" & "));
        for runs in self.groups() {
            let settings: Vec<String> = self.row(&runs[0]).into_iter().map(escape_latex).collect();
            let cells = each_summary(runs, |mean, deviation| match (mean, deviation) {
                (Some(mean), Some(deviation)) => format!("${mean:.2} \\pm {deviation:.2}$"),
                (Some(mean), None) => format!("${mean:.2}$"),
                (None, _) => "--".to_string(),
            });
            text += &format!("{} & {} \\\\\n", settings.join(" & "), cells[..accuracies.len()].join(" & "));
        }
        text + "\\bottomrule\n\\end{tabular}\n"
    }
}

/// Escapes the special characters of LaTeX.
fn escape_latex(text: &str) -> String {
    let escape = |letter: char| match letter {
        '_' | '&' | '%' | '#' | '$' | '{' | '}' => format!("\\{letter}"),
        '\\' => "\\textbackslash{}".into(),
        '~' => "\\textasciitilde{}".into(),
        '^' => "\\textasciicircum{}".into(),
        '→' => "$\\to$".into(),
        other => other.to_string(),
    };
    text.chars().map(escape).collect()
}

fn seeds(runs: &[Run]) -> String {
    runs.iter().map(|run| run.seed.to_string()).collect::<Vec<_>>().join(", ")
}

fn number(value: Option<f64>) -> String {
    value.map_or(String::new(), |value| format!("{value:.4}"))
}

/// Returns mean and standard deviation of each figure, as `cell` writes them.
fn each_summary(runs: &[Run], cell: impl Fn(Option<f64>, Option<f64>) -> String) -> Vec<String> {
    let figures = 0..runs[0].figures.len();
    let of = |figure: usize| {
        let values: Vec<f64> = runs.iter().filter_map(|run| run.figures[figure]).collect();
        let (mean, deviation) = summary(&values);
        cell(mean, deviation)
    };
    figures.map(of).collect()
}

/// Returns the mean, and the standard deviation (with divisor n − 1) of at least [`MIN_SEEDS`] values.
fn summary(values: &[f64]) -> (Option<f64>, Option<f64>) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    ((!values.is_empty()).then_some(mean), (values.len() >= MIN_SEEDS).then(|| (squares / (count - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, seed: u64, probe: f64, seconds: Option<f64>) -> Run {
        let settings = [method, "cifar10", "conv4", "128", "200"].map(str::to_string);
        Run { settings, varied: Vec::new(), seed, figures: vec![Some(probe), Some(40.0), seconds] }
    }

    fn table() -> SweepTable {
        let of_three =
            [(1, 47.0), (2, 48.0), (3, 52.0)].map(|(seed, probe)| run("simclr_qare", seed, probe, Some(8.0)));
        let others =
            [run("simclr", 1, 45.0, Some(8.0)), run("simclr", 2, 47.0, Some(8.0)), run("randomweights", 1, 30.5, None)];
        SweepTable {
            evaluation: Evaluation::Probe,
            varied: Vec::new(),
            runs: of_three.into_iter().chain(others).collect(),
        }
    }

    /// Two values of beta, which `simclr` does not use, and of the batch size.
    fn varied() -> SweepTable {
        let varied = |run: Run, beta: &str, batch: &str| Run {
            settings: run.settings.map(|text| if text == "128" { batch.to_string() } else { text }),
            varied: vec![beta.into(), batch.into()],
            ..run
        };
        let runs = vec![
            varied(run("simclr", 1, 44.0, None), UNUSED, "64"),
            varied(run("simclr_qare", 1, 45.0, None), "0.5", "64"),
            varied(run("simclr_qare", 2, 47.0, None), "0.5", "64"),
            varied(run("simclr_qare", 1, 49.0, None), "2", "64"),
            varied(run("simclr_qare", 1, 50.0, None), "2", "128"),
        ];
        SweepTable { evaluation: Evaluation::Probe, varied: vec!["beta".into(), "batch_size".into()], runs }
    }

    #[test]
    fn varied_settings_are_columns_and_lines() {
        let text = varied().markdown();
        assert!(text.starts_with("| method | dataset | backbone | batch | epochs | beta | linear probe |"), "{text}");
        assert!(text.contains("| `simclr_qare` | cifar10 | conv4 | 64 | 200 | 0.5 | 46.00 |"), "{text}");
        assert!(text.contains("| `simclr` | cifar10 | conv4 | 64 | 200 | – | 44.00 |"), "{text}");
        assert!(
            text.contains("| run | beta | batch_size | seed |")
                && text.contains("| `simclr_qare` | 2 | 128 | 1 | 50.00 |")
        );
        assert!(varied().csv().lines().next().unwrap().ends_with(",dataset,backbone,batch,epochs,beta"));
        assert!(varied().csv_of_runs().contains("simclr_qare,cifar10,conv4,128,200,2,1,50.0000,"));
        assert!(varied().latex().contains("{lllrrrcc}"));
        let lines = varied().lines(0, &["0.5".into(), "2".into()]);
        let expected = [
            ("simclr, batch_size 64", vec![vec![44.0], vec![44.0]]),
            ("simclr_qare, batch_size 64", vec![vec![45.0, 47.0], vec![49.0]]),
            ("simclr_qare, batch_size 128", vec![vec![], vec![50.0]]),
        ];
        assert_eq!(lines, expected.map(|(name, groups)| (name.to_string(), groups)));
    }

    #[test]
    fn means_and_deviations_are_those_of_the_sample() {
        let (mean, deviation) = summary(&[47.0, 48.0, 52.0]);
        assert!((mean.unwrap() - 49.0).abs() < 1e-12 && (deviation.unwrap() - 7f64.sqrt()).abs() < 1e-12);
        assert_eq!(summary(&[3.0, 5.0]), (Some(4.0), None), "two values have no standard deviation");
        assert_eq!(summary(&[]), (None, None));
    }

    #[test]
    fn markdown_has_a_row_for_each_method_and_one_for_each_run() {
        let text = table().markdown();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[2],
            "| `simclr_qare` | cifar10 | conv4 | 128 | 200 | 49.00 ± 2.65 | 40.00 ± 0.00 | 8.00 ± 0.00 | 1, 2, 3 |"
        );
        assert_eq!(lines[3], "| `simclr` | cifar10 | conv4 | 128 | 200 | 46.00 | 40.00 | 8.00 | 1, 2 |");
        assert_eq!(lines[4], "| `randomweights` | cifar10 | conv4 | 128 | 200 | 30.50 | 40.00 | – | 1 |");
        assert!(lines.contains(&"| `simclr` | 2 | 47.00 | 40.00 | 8.00 |"), "{text}");
        let columns = |line: &str| line.matches('|').count();
        assert!(lines[..5].iter().all(|line| columns(line) == columns(lines[0])), "{text}");
    }

    #[test]
    fn csv_has_means_and_runs() {
        let text = table().csv();
        let head = "method,seeds,linear_probe_mean,linear_probe_std,knn_mean,knn_std,seconds_an_epoch_mean,\
                    seconds_an_epoch_std,dataset,backbone,batch,epochs";
        assert_eq!(text.lines().next(), Some(head));
        assert_eq!(text.lines().nth(2), Some("simclr,2,46.0000,,40.0000,,8.0000,,cifar10,conv4,128,200"));
        let runs = table().csv_of_runs();
        assert_eq!(runs.lines().count(), 7);
        assert_eq!(runs.lines().nth(6), Some("randomweights,cifar10,conv4,128,200,1,30.5000,40.0000,"));
    }

    #[test]
    fn latex_is_escaped() {
        assert_eq!(escape_latex("folder a_b & 50% → x"), "folder a\\_b \\& 50\\% $\\to$ x");
    }

    #[test]
    fn latex_is_a_complete_tabular() {
        let text = table().latex();
        assert!(
            text.contains("simclr\\_qare & cifar10 & conv4 & 128 & 200 & $49.00 \\pm 2.65$ & $40.00 \\pm 0.00$ \\\\"),
            "{text}"
        );
        assert!(text.contains("\\begin{tabular}{lllrrcc}") && text.ends_with("\\end{tabular}\n"));
    }
}
