//! `qare bench --compare`: tabulates the figures of several programs and their ratios.

use std::path::{Path, PathBuf};

use super::figure::{Figure, Unit};
use super::plot::PlotFile;
use super::report::{Report, writable};
use super::table::Table;
use crate::output::print_line;
use qare_lab::Result;
use qare_lab::runs::files::write_whole;

const NOTE: &str = "Medians. A ratio is the first program's time (or memory) divided by the least of the others': below 1, the \
                    first needs less; ▲ marks those above 1.";

/// Prints the figures of all files, with the ratios of the first file's to the others'.
pub fn compare(paths: &[PathBuf], markdown: Option<&Path>, plot: Option<&PlotFile>) -> Result<()> {
    if let Some(path) = markdown {
        writable(path)?;
    }
    let mut reports = paths.iter().map(|path| Report::read(path)).collect::<Result<Vec<_>>>()?;
    for report in &mut reports {
        report.add(loader_shares(report), false);
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
    let mut known: Vec<&Figure> = Vec::new();
    for figure in reports.iter().flat_map(|report| &report.figures) {
        if known.iter().all(|one| one.key != figure.key) {
            known.push(figure);
        }
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in known.iter().map(|figure| figure.part()) {
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    // The load by other processes comes last.
    parts.sort_by_key(|part| *part == "others");
    let table = |part: &&str| {
        let rows: Vec<&Figure> = known.iter().copied().filter(|figure| figure.part() == *part).collect();
        let measures = |other: &&Report| rows.iter().any(|row| other.figure(&row.key).is_some());
        (part.to_string(), table(&rows, ours, &others.iter().filter(measures).collect::<Vec<_>>()))
    };
    parts.iter().map(table).collect()
}

/// A table with these rows, and a column for each program.
fn table(rows: &[&Figure], ours: &Report, others: &[&Report]) -> Table {
    let names = std::iter::once(ours).chain(others.iter().copied()).map(Report::short_name);
    let heading = std::iter::once(String::new()).chain(names).chain(["ratio".into(), "of minima".into()]);
    let row = |figure: &&Figure| {
        let first = ours.figure(&figure.key);
        let seconds: Vec<_> = others.iter().map(|other| other.figure(&figure.key)).collect();
        let cells = std::iter::once(first).chain(seconds.iter().copied()).map(cell);
        let values: [fn(&Figure) -> f64; 2] = [|figure| figure.median, |figure| figure.min];
        let ratios = values.map(|value| ratio(first, &seconds, value));
        std::iter::once(figure.label.clone()).chain(cells).chain(ratios).collect()
    };
    Table { heading: heading.collect(), rows: rows.iter().map(row).collect() }
}

fn cell(figure: Option<&Figure>) -> String {
    figure.map_or("–".to_string(), |figure| figure.unit.format(figure.median))
}

/// The ratio of a time or size to the least of others; empty for other units.
fn ratio(first: Option<&Figure>, others: &[Option<&Figure>], value: impl Fn(&Figure) -> f64) -> String {
    let Some(first) = first.filter(|first| matches!(first.unit, Unit::Seconds | Unit::Bytes)) else {
        return String::new();
    };
    let least = others.iter().flatten().filter(|other| other.unit == first.unit).map(|other| value(other));
    let ratio = value(first) / least.fold(f64::INFINITY, f64::min);
    match ratio {
        ratio if !(ratio.is_finite() && ratio > 0.0) => String::new(),
        ratio if ratio < 0.1 => format!("{ratio:.3}"),
        // Two decimal places say no more than 1.00 there.
        ratio if ratio < 1.005 => format!("{ratio:.2}"),
        ratio => format!("▲ {ratio:.2}"),
    }
}
