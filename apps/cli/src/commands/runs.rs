//! `qare runs`: the runs in a folder.

use std::cmp::{Ordering, Reverse};
use std::path::Path;

use qare_lab::runs::listing::{ListedRun, describe, run_folders};
use qare_lab::{PrintablePath, Result};

use crate::cli::{RunOrder, RunsArgs};
use crate::output::{eprint_line, print_line};

/// Prints a table of the runs, or a JSON list.
pub fn runs_command(args: RunsArgs) -> Result<()> {
    let mut runs: Vec<ListedRun> = run_folders(&args.dir)?.iter().map(|folder| describe(folder)).collect();
    runs.sort_by(|one, other| compare(args.sort, one, other));
    if args.reverse {
        runs.reverse();
    }
    if args.json {
        print_line(serde_json::to_string_pretty(&runs).expect("plain data"));
        return Ok(());
    }
    if runs.is_empty() {
        print_line(format!("no runs in {}", args.dir.printable()));
        return Ok(());
    }
    let head = ["method", "dataset", "backbone", "seed", "epochs", "state", "accuracy", "updated (UTC)", "folder"];
    let rows: Vec<[String; 9]> = runs.iter().map(|run| row(run, &args.dir)).collect();
    print_table(&head.map(str::to_string), &rows);
    for run in runs.iter().filter(|run| run.problem.is_some()) {
        eprint_line(run.problem.as_deref().unwrap_or_default());
    }
    Ok(())
}

fn compare(order: RunOrder, one: &ListedRun, other: &ListedRun) -> Ordering {
    let accuracy = |run: &ListedRun| run.accuracy.as_ref().map(|accuracy| accuracy.percent);
    let by_accuracy = || match (accuracy(one), accuracy(other)) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        (one, other) => other.is_some().cmp(&one.is_some()),
    };
    let by_order = match order {
        RunOrder::Name => Ordering::Equal,
        RunOrder::Method => one.method.cmp(&other.method),
        RunOrder::Dataset => one.dataset.cmp(&other.dataset),
        RunOrder::Epochs => other.epochs_done.cmp(&one.epochs_done),
        RunOrder::State => one.state.cmp(&other.state),
        RunOrder::Accuracy => by_accuracy(),
        RunOrder::Started => Reverse(&one.started).cmp(&Reverse(&other.started)),
        RunOrder::Updated => Reverse(&one.updated).cmp(&Reverse(&other.updated)),
    };
    by_order.then_with(|| one.folder.cmp(&other.folder))
}

fn row(run: &ListedRun, dir: &Path) -> [String; 9] {
    let folder = run.folder.strip_prefix(dir).ok().filter(|rest| *rest != Path::new("")).unwrap_or(&run.folder);
    let epochs = if run.epochs == 0 { "0".to_string() } else { format!("{}/{}", run.epochs_done, run.epochs) };
    let accuracy = run.accuracy.as_ref();
    [
        run.method.clone(),
        run.dataset.clone(),
        run.backbone.clone(),
        run.seed.map_or(String::new(), |seed| seed.to_string()),
        epochs,
        run.state.as_str().to_string(),
        accuracy.map_or("–".to_string(), |accuracy| format!("{:.2} % {}", accuracy.percent, accuracy.stage)),
        // Minutes suffice: 2026-01-31 12:00.
        run.updated
            .as_deref()
            .map_or(String::new(), |time| time.chars().take(16).collect::<String>().replace('T', " ")),
        folder.printable(),
    ]
}

/// Prints columns as wide as their longest cell.
fn print_table<const N: usize>(head: &[String; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = std::iter::once(head).chain(rows).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    for row in std::iter::once(head).chain(rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        print_line(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}
