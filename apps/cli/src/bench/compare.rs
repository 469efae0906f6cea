//! `qare bench --compare`: our figures beside those of others, and the ratios.

use std::path::{Path, PathBuf};

use super::figure::{Figure, Unit};
use super::plot::PlotFile;
use super::report::{Report, writable};
use super::table::Table;
use crate::output::say;
use qare_lab::Result;
use qare_lab::runs::files::write_whole;

const NOTE: &str =
    "Medians. A ratio is the first program's time (or memory) divided by the other's: below 1, the first needs less.";

/// Prints the ratios of the first file's figures to those of the others.
pub fn compare(paths: &[PathBuf], markdown: Option<&Path>, plot: Option<&PlotFile>) -> Result<()> {
    if let Some(path) = markdown {
        writable(path)?;
    }
    let mut reports = paths.iter().map(|path| Report::read(path)).collect::<Result<Vec<_>>>()?;
    for report in &mut reports {
        report.add(loader_shares(report));
    }
    for report in &reports {
        say(report.head());
    }
    say(NOTE);
    let mut page =
        reports.iter().map(|report| format!("- {}\n", report.head())).collect::<String>() + "\n" + NOTE + "\n";
    for (part, table) in ratios(&reports) {
        say(format!("\n{part}\n{}", table.text().trim_end()));
        page += &format!("\n### {part}\n\n{}", table.markdown());
    }
    if let Some(path) = markdown {
        write_whole(path, page.as_bytes())?;
    }
    plot.map_or(Ok(()), |plot| plot.draw(&reports))
}

/// How the loader's time for a batch compares with a step on it: from 100 % on, a loader that runs beside the step limits it.
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

/// A table for each part, with a row for each figure, those of the first report first.
fn ratios(reports: &[Report]) -> Vec<(String, Table)> {
    let (ours, others) = reports.split_first().expect("there are files to compare");
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
        let mine = ours.figure(&figure.key);
        let mut row = vec![figure.label.clone(), cell(mine)];
        for other in others {
            let theirs = other.figure(&figure.key);
            row.push(cell(theirs));
            row.extend(
                [|figure: &Figure| figure.median, |figure: &Figure| figure.min].map(|value| ratio(mine, theirs, value)),
            );
        }
        match tables.iter_mut().find(|(name, _)| name == part) {
            Some((_, table)) => table.rows.push(row),
            None => tables.push((part.to_string(), Table { heading: heading.clone(), rows: vec![row] })),
        }
    }
    // How busy the machine was goes last.
    tables.sort_by_key(|(part, _)| part == "others");
    tables
}

fn cell(figure: Option<&Figure>) -> String {
    figure.map_or("–".to_string(), |figure| figure.unit.told(figure.median))
}

/// The ratio of two times, or of two sizes; nothing for what is neither.
fn ratio(mine: Option<&Figure>, theirs: Option<&Figure>, value: impl Fn(&Figure) -> f64) -> String {
    let (Some(mine), Some(theirs)) = (mine, theirs) else { return String::new() };
    let comparable = mine.unit == theirs.unit && matches!(mine.unit, Unit::Seconds | Unit::Bytes);
    let ratio = value(mine) / value(theirs);
    match comparable && ratio.is_finite() && ratio > 0.0 {
        true if ratio < 0.1 => format!("{ratio:.3}"),
        true => format!("{ratio:.2}"),
        false => String::new(),
    }
}
