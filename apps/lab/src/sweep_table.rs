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
    seed: u64,
    figures: Vec<Option<f64>>,
}

const SETTINGS: [&str; 5] = ["method", "dataset", "backbone", "batch", "epochs"];

impl Run {
    /// Reads the figures of a recipe's run.
    ///
    /// # Errors
    /// If a figure that every run has is missing.
    fn of(evaluation: Evaluation, recipe: &Recipe, results: &Value) -> Result<Self> {
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
        Ok(Self { settings, seed: recipe.seed, figures })
    }
}

/// The table of a sweep.
pub struct SweepTable {
    evaluation: Evaluation,
    /// The runs. Runs that differ only in their seed are adjacent.
    runs: Vec<Run>,
}

impl SweepTable {
    /// A table without runs.
    pub fn new(evaluation: Evaluation) -> Self {
        Self { evaluation, runs: Vec::new() }
    }

    /// Adds the run of a recipe, given its results. Runs that differ only in their seed follow each other.
    ///
    /// # Errors
    /// If a figure that every run has is missing.
    pub fn push(&mut self, recipe: &Recipe, results: &Value) -> Result<()> {
        self.runs.push(Run::of(self.evaluation, recipe, results)?);
        Ok(())
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
        self.runs.chunk_by(|one, next| one.settings == next.settings)
    }

    /// Returns two Markdown tables: means and standard deviations over the seeds, and the figures of each run.
    pub fn markdown(&self) -> String {
        let names: Vec<&str> = SETTINGS.into_iter().chain(self.figures().iter().map(|figure| figure.name)).collect();
        let mut text = format!("| {} | seeds |\n|{}---|\n", names.join(" | "), "---|".repeat(names.len()));
        for runs in self.groups() {
            let [method, others @ ..] = &runs[0].settings;
            let cells = each_summary(runs, |mean, deviation| match (mean, deviation) {
                (Some(mean), Some(deviation)) => format!("{mean:.2} ± {deviation:.2}"),
                (Some(mean), None) => format!("{mean:.2}"),
                (None, _) => "–".to_string(),
            });
            text += &format!("| `{method}` | {} | {} | {} |\n", others.join(" | "), cells.join(" | "), seeds(runs));
        }
        let names: Vec<&str> = self.figures().iter().map(|figure| figure.name).collect();
        text += &format!("\n| run | seed | {} |\n|---|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for run in &self.runs {
            let cell = |value: &Option<f64>| value.map_or("–".to_string(), |value| format!("{value:.2}"));
            let cells: Vec<String> = run.figures.iter().map(cell).collect();
            text += &format!("| `{}` | {} | {} |\n", run.settings[0], run.seed, cells.join(" | "));
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
        let mut text = format!("method,seeds,{columns},{}\n", SETTINGS[1..].join(","));
        for runs in self.groups() {
            let [method, others @ ..] = &runs[0].settings;
            let cells = each_summary(runs, |mean, deviation| format!("{},{}", number(mean), number(deviation)));
            text += &format!("{method},{},{},{}\n", runs.len(), cells.join(","), others.join(","));
        }
        text
    }

    /// Returns CSV with a row for each run.
    pub fn csv_of_runs(&self) -> String {
        let mut text = format!("{},seed,{}\n", SETTINGS.join(","), self.columns(|column| column));
        for run in &self.runs {
            text += &format!(
                "{},{},{}\n",
                run.settings.join(","),
                run.seed,
                run.figures.iter().copied().map(number).collect::<Vec<_>>().join(",")
            );
        }
        text
    }

    /// Returns a LaTeX table with means and standard deviations of the accuracies. It needs the package booktabs.
    pub fn latex(&self) -> String {
        let accuracies: Vec<&Figure> = self.figures().iter().filter(|figure| figure.always).collect();
        let names = SETTINGS.into_iter().chain(accuracies.iter().map(|figure| figure.name)).collect::<Vec<_>>();
        let mut text = String::from("% \\usepackage{booktabs}\n");
        text += &format!("\\begin{{tabular}}{{lllrr{}}}\n\\toprule\n", "c".repeat(accuracies.len()));
        text += &format!("{} \\\\\n\\midrule\n", names.join(" & "));
        for runs in self.groups() {
            let settings = runs[0].settings.clone().map(|text| escape_latex(&text));
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
        Run { settings, seed, figures: vec![Some(probe), Some(40.0), seconds] }
    }

    fn table() -> SweepTable {
        let of_three =
            [(1, 47.0), (2, 48.0), (3, 52.0)].map(|(seed, probe)| run("simclr_qare", seed, probe, Some(8.0)));
        let others =
            [run("simclr", 1, 45.0, Some(8.0)), run("simclr", 2, 47.0, Some(8.0)), run("randomweights", 1, 30.5, None)];
        SweepTable { evaluation: Evaluation::Probe, runs: of_three.into_iter().chain(others).collect() }
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
