//! `qare bench --compare`: tabulates the figures of several programs and their ratios.

use std::path::{Path, PathBuf};

use super::figure::{Figure, Unit};
use super::plot::PlotFile;
use super::report::{Report, writable};
use super::table::Table;
use crate::output::print_line;
use qare_lab::Result;
use qare_lab::runs::files::write_whole;

const NOTE: &str =
    "Medians. A ratio is the first program's time (or memory) divided by the other's: below 1, the first needs less.";

/// Prints the figures of all files, with the ratios of the first file's to the others'.
pub fn compare(paths: &[PathBuf], markdown: Option<&Path>, plot: Option<&PlotFile>) -> Result<()> {
    if let Some(path) = markdown {
        writable(path)?;
    }
    let mut reports = paths.iter().map(|path| Report::read(path)).collect::<Result<Vec<_>>>()?;
    for report in &mut reports {
        report.add(loader_shares(report));
    }
    for report in &reports {
        print_line(report.head());
    }
    print_line(NOTE);
    let mut page =
        reports.iter().map(|report| format!("- {}\n", report.head())).collect::<String>() + "\n" + NOTE + "\n";
    for (part, table) in ratios(&reports) {
        print_line(format!("\n{part}\n{}", table.text().trim_end()));
        page += &format!("\n### {part}\n\n{}", table.markdown());
    }
    if let Some(path) = markdown {
        write_whole(path, page.as_bytes())?;
    }
    plot.map_or(Ok(()), |plot| plot.draw(&reports))
}

/// The loader's time for a batch in percent of a step on it. From 100 % on, the loader limits training.
fn loader_shares(report: &Report) -> Vec<Figure> {
    let share = |step: &Figure| {
        let (network, method) = step.key.strip_prefix("step.")?.rsplit_once('.')?;
        let (backbone, batch) = network.rsplit_once('.').filter(|_| method == "sparseclr_qare")?;
        let loader = report.figure(&format!("loader.{batch}.K2"))?;
        let share = 100.0 * loader.median / step.median;
        Some(Figure {
            key: format!("step.{network}.loader_share"),
            label: format!("loader alone, in percent of a step, {backbone}, B = {}", batch.trim_start_matches('B')),
            unit: Unit::Percent,
            min: share,
            median: share,
            runs: 1,
            per: None,
        })
    };
    report.figures.iter().filter_map(share).collect()
}

/// One table per part, with one row per figure. Figures of the first report come first.
fn ratios(reports: &[Report]) -> Vec<(String, Table)> {
    let (ours, others) = reports.split_first().expect("clap requires two files");
    let mut heading = vec![String::new(), ours.short_name()];
    heading.extend(others.iter().flat_map(|other| [other.short_name(), "ratio".to_string(), "of minima".to_string()]));
    let mut known: Vec<&Figure> = Vec::new();
    for figure in reports.iter().flat_map(|report| &report.figures) {
        if known.iter().all(|one| one.key != figure.key) {
            known.push(figure);
        }
    }
    let mut tables: Vec<(String, Table)> = Vec::new();
    for figure in known {
        let part = figure.key.split('.').next().unwrap_or_default();
        let first = ours.figure(&figure.key);
        let mut row = vec![figure.label.clone(), cell(first)];
        for other in others {
            let second = other.figure(&figure.key);
            row.push(cell(second));
            row.extend(
                [|figure: &Figure| figure.median, |figure: &Figure| figure.min]
                    .map(|value| ratio(first, second, value)),
            );
        }
        match tables.iter_mut().find(|(name, _)| name == part) {
            Some((_, table)) => table.rows.push(row),
            None => tables.push((part.to_string(), Table { heading: heading.clone(), rows: vec![row] })),
        }
    }
    // The load by other processes comes last.
    tables.sort_by_key(|(part, _)| part == "others");
    tables
}

fn cell(figure: Option<&Figure>) -> String {
    figure.map_or("–".to_string(), |figure| figure.unit.format(figure.median))
}

/// The ratio of two times or two sizes; empty for other units.
fn ratio(first: Option<&Figure>, second: Option<&Figure>, value: impl Fn(&Figure) -> f64) -> String {
    let (Some(first), Some(second)) = (first, second) else { return String::new() };
    let comparable = first.unit == second.unit && matches!(first.unit, Unit::Seconds | Unit::Bytes);
    let ratio = value(first) / value(second);
    if !(comparable && ratio.is_finite() && ratio > 0.0) {
        String::new()
    } else if ratio < 0.1 {
        format!("{ratio:.3}")
    } else {
        format!("{ratio:.2}")
    }
}
