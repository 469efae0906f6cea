//! `qare report`: what runs have done and learned, as one HTML file.

mod details;
mod runs;

use std::path::{Path, PathBuf};
use std::time::Instant;

use qare_lab::export::{extension, writable};
use qare_lab::progress::duration;
use qare_lab::recipe::Recipe;
use qare_lab::runs::files::write_whole;
use qare_lab::runs::listing::{ListedRun, RunState, describe, run_folders};
use qare_lab::{COMMIT, LabError, PrintablePath, Result, VERSION};
use qare_report::{Report, ReportError};
use time::OffsetDateTime;

use self::details::Splits;
use crate::cli::ReportArgs;
use crate::output::{eprint_line, print_line};

/// Gathers the runs, writes the page, and the pictures if they are asked for.
pub fn report_command(args: ReportArgs) -> Result<()> {
    let started = Instant::now();
    if !matches!(extension(&args.out).as_str(), "html" | "htm") {
        return Err(LabError::Usage(format!("--out {}: expected a name that ends in .html", args.out.printable())));
    }
    writable("--out", &args.out)?;
    if let Some(dir) = args.pictures.as_deref().filter(|dir| dir.exists() && !dir.is_dir()) {
        return Err(LabError::Usage(format!("--pictures {}: expected a folder", dir.printable())));
    }
    let listed = all_runs(&args.runs)?;
    let mut report = Report {
        title: args.title.clone().unwrap_or_else(|| title(&listed)),
        program: format!("qare {VERSION}, commit {COMMIT}"),
        created: now(),
        runs: listed.iter().map(runs::run).collect::<Result<_>>()?,
        notes: listed.iter().filter_map(note).collect(),
        ..Default::default()
    };
    if args.no_images {
        report.notes.push("Maps, neighbours, classes and spectra are left out, as the call asked for.".into());
    } else {
        add_details(&mut report, &listed, &args)?;
    }
    let page = report.html().map_err(failed)?;
    write_whole(&args.out, page.as_bytes())?;
    print_line(format!(
        "report on {} runs saved as {} ({:.2} MB), in {}",
        report.runs.len(),
        args.out.printable(),
        page.len() as f64 / 1e6,
        duration(started.elapsed().as_secs_f64())
    ));
    if let Some(dir) = &args.pictures {
        write_pictures(&report, dir)?;
    }
    Ok(())
}

/// Returns the runs that paths name: run folders, and those in other folders.
fn all_runs(paths: &[PathBuf]) -> Result<Vec<ListedRun>> {
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in paths {
        let found = run_folders(path)?;
        if found.is_empty() {
            return Err(LabError::Usage(format!("{} is not a run folder and holds none", path.printable())));
        }
        for folder in found {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    let runs: Vec<ListedRun> = folders.iter().map(|folder| describe(folder)).collect();
    match runs.iter().find(|run| run.state == RunState::Damaged) {
        Some(run) => Err(LabError::Failed(
            run.problem.clone().unwrap_or_else(|| format!("{} holds no whole run", run.folder.printable())),
        )),
        None => Ok(runs),
    }
}

/// Adds what the first runs have learned: one of each group of runs that differ in their seed alone.
fn add_details(report: &mut Report, listed: &[ListedRun], args: &ReportArgs) -> Result<()> {
    let mut chosen: Vec<usize> = Vec::new();
    for (index, run) in report.runs.iter().enumerate() {
        // A run without weights has nothing to show.
        let trained = listed[index].epochs_done > 0 || listed[index].state == RunState::Done;
        if trained && !chosen.iter().any(|other| report.runs[*other].settings == run.settings) {
            chosen.push(index);
        }
    }
    if chosen.len() > args.details {
        let left_out = chosen.len() - args.details;
        report.notes.push(format!(
            "What {left_out} more kinds of runs have learned is left out; --details {} shows it.",
            chosen.len()
        ));
        chosen.truncate(args.details);
    }
    let mut splits = Splits::default();
    for index in chosen {
        print_line(format!("looking at {}", listed[index].folder.printable()));
        match details::detail(index, &listed[index].folder, args, &mut splits) {
            Ok(detail) => report.details.push(detail),
            // The others are worth a report.
            Err(error) if listed.len() > 1 => {
                let name = &report.runs[index].name;
                let note = format!("What {name} has learned is left out: {error}");
                eprint_line(format!("note: {note}"));
                report.notes.push(note);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes plots as SVG and sheets as PNG.
fn write_pictures(report: &Report, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| LabError::io("make the folder", dir, error))?;
    let plots = report.plots().map_err(failed)?;
    let sheets = report.sheets().map_err(failed)?;
    for plot in &plots {
        write_whole(&dir.join(format!("{}.svg", plot.name)), plot.file().as_bytes())?;
    }
    for (name, bytes) in &sheets {
        write_whole(&dir.join(format!("{name}.png")), bytes)?;
    }
    print_line(format!("{} plots (SVG) and {} sheets (PNG) saved in {}", plots.len(), sheets.len(), dir.printable()));
    Ok(())
}

fn failed(error: ReportError) -> LabError {
    LabError::Failed(format!("the report cannot be made: {error}"))
}

fn title(runs: &[ListedRun]) -> String {
    let names = |name: fn(&Recipe) -> String| {
        let mut names: Vec<String> = runs.iter().filter_map(|run| run.recipe.as_ref()).map(name).collect();
        names.sort();
        names.dedup();
        if names.len() > 3 {
            format!("{} and {} more", names[..2].join(", "), names.len() - 2)
        } else {
            names.join(", ")
        }
    };
    format!("{} on {}", names(|recipe| recipe.method.to_string()), names(|recipe| recipe.dataset.to_string()))
}

/// Says that a run is not complete.
fn note(run: &ListedRun) -> Option<String> {
    let name = run.folder.file_name().unwrap_or_default().to_string_lossy();
    let epochs = format!("{} of {} epochs", run.epochs_done, run.epochs);
    match run.state {
        RunState::Running => Some(format!("{name} is still running: {epochs} are finished.")),
        RunState::Stopped => Some(format!("{name} is stopped: {epochs} are finished.")),
        RunState::Done | RunState::Damaged => None,
    }
}

/// The time in UTC, to the minute.
fn now() -> String {
    let now = OffsetDateTime::now_utc();
    format!("{} {:02}:{:02} UTC", now.date(), now.hour(), now.minute())
}
