//! `qare data`: downloads and checks datasets.

use std::cell::RefCell;

use indicatif::ProgressBar;
use qare_data::CheckOptions;
use qare_data::fetch::{Event, FetchOptions, Outcome};

use crate::cli::{CheckArgs, FetchArgs};
use crate::output::print_line;
use crate::progress::bar;
use qare_lab::PrintablePath;
use qare_lab::{LabError, Result};

/// Downloads, checks and unpacks a dataset.
pub fn fetch(args: FetchArgs) -> Result<()> {
    let source = qare_data::fetch::source(args.dataset.as_str())?;
    let options = FetchOptions { url: args.url, keep_archive: args.keep_archive, ..Default::default() };
    let progress = Progress::default();
    let fetched = qare_data::fetch::fetch(&source, &args.data_dir, &options, &|event| progress.show(event))?;
    progress.finish();
    match fetched.outcome {
        Outcome::AlreadyThere => print_line(format!("{} already exists and is complete", fetched.folder.printable())),
        Outcome::Unpacked { files, bytes, .. } => {
            print_line(format!(
                "{files} files, {:.1} MB, unpacked to {}",
                bytes as f64 / 1e6,
                fetched.folder.printable()
            ));
        }
    }
    print_line(format!("train with: --dataset {} --data-dir {}", args.dataset, args.data_dir.printable()));
    Ok(())
}

/// Progress bars of a download, one per stage.
#[derive(Default)]
struct Progress {
    /// Name and bar of the current stage.
    current: RefCell<Option<(&'static str, ProgressBar)>>,
}

impl Progress {
    fn show(&self, event: Event<'_>) {
        match event {
            Event::Connecting { url } => {
                self.finish();
                print_line(format!("downloading {url}"));
            }
            Event::Downloading { done, total } => self.update("downloading", done, total),
            Event::Verifying { done, total } => self.update("checking", done, Some(total)),
            Event::Unpacking { done, total } => self.update("unpacking", done, Some(total)),
            Event::StartingAnew { reason } => {
                self.finish();
                print_line(format!("{reason}; starting over"));
            }
            Event::Retrying { reason, wait, .. } => {
                self.finish();
                print_line(format!("{reason}; trying again in {} s", wait.as_secs_f64().round()));
            }
        }
    }

    fn update(&self, stage: &'static str, done: u64, total: Option<u64>) {
        let mut current = self.current.borrow_mut();
        if current.as_ref().is_none_or(|(name, _)| *name != stage) {
            if let Some((_, previous)) = current.take() {
                previous.finish_and_clear();
            }
            let template = "{prefix} [{bar:25}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
            *current = Some((stage, bar(total.unwrap_or(0), template).with_prefix(stage)));
        }
        if let Some((_, bar)) = current.as_ref() {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
        }
    }

    fn finish(&self) {
        if let Some((_, bar)) = self.current.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// Checks the datasets in a folder and prints a report.
///
/// # Errors
/// If the folder does not exist, or a dataset in it has faults.
pub fn check(args: CheckArgs) -> Result<()> {
    let progress = bar(1, "checking images [{bar:25}] {pos}/{len}");
    let show_progress = |done: usize, all: usize| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    };
    let mut options =
        CheckOptions { progress: Some(&show_progress), skip_broken: args.skip_broken, ..Default::default() };
    options.max_pixels = args.max_pixels.unwrap_or(options.max_pixels);
    let report = qare_data::check_with(&args.dir, &options);
    progress.finish_and_clear();
    let report = report?;
    print_line(report.to_string().trim_end());
    report.fault().map_or(Ok(()), |fault| Err(LabError::Failed(fault)))
}
