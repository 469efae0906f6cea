//! `qare data`: getting datasets, and looking at them.

use std::cell::RefCell;

use indicatif::ProgressBar;
use qare_data::CheckOptions;
use qare_data::fetch::{Event, FetchOptions, Outcome};

use crate::cli::{CheckArgs, FetchArgs};
use crate::output::say;
use crate::progress::bar;
use qare_lab::{LabError, Result};

/// Downloads, checks and unpacks a dataset.
pub fn fetch(args: FetchArgs) -> Result<()> {
    let source = qare_data::fetch::source(args.dataset.as_str())?;
    let options = FetchOptions { url: args.url, keep_archive: args.keep_archive, ..Default::default() };
    let progress = Progress::default();
    let fetched = qare_data::fetch::fetch(&source, &args.data_dir, &options, &|event| progress.show(event))?;
    progress.finish();
    match fetched.outcome {
        Outcome::AlreadyThere => say(format!("{} is there already, complete", fetched.folder.display())),
        Outcome::Unpacked { files, bytes, .. } => {
            say(format!("{files} files, {:.1} MB, unpacked to {}", bytes as f64 / 1e6, fetched.folder.display()));
        }
    }
    say(format!("train with: --dataset {} --data-dir {}", args.dataset, args.data_dir.display()));
    Ok(())
}

/// A bar for each thing that takes time.
#[derive(Default)]
struct Progress {
    now: RefCell<Option<(&'static str, ProgressBar)>>,
}

impl Progress {
    fn show(&self, event: Event<'_>) {
        match event {
            Event::Connecting { url } => {
                self.finish();
                say(format!("downloading {url}"));
            }
            Event::Downloading { done, total } => self.at("downloading", done, total),
            Event::Verifying { done, total } => self.at("checking", done, Some(total)),
            Event::Unpacking { done, total } => self.at("unpacking", done, Some(total)),
            Event::StartingAnew { reason } => {
                self.finish();
                say(format!("{reason}; starting anew"));
            }
            Event::Retrying { reason, wait, .. } => {
                self.finish();
                say(format!("{reason}; trying again in {} s", wait.as_secs_f64().round()));
            }
        }
    }

    fn at(&self, what: &'static str, done: u64, total: Option<u64>) {
        let mut now = self.now.borrow_mut();
        if now.as_ref().is_none_or(|(name, _)| *name != what) {
            if let Some((_, before)) = now.take() {
                before.finish_and_clear();
            }
            let template = "{prefix} [{bar:25}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
            *now = Some((what, bar(total.unwrap_or(0), template).with_prefix(what)));
        }
        if let Some((_, bar)) = now.as_ref() {
            bar.set_length(total.unwrap_or(done));
            bar.set_position(done);
        }
    }

    fn finish(&self) {
        if let Some((_, bar)) = self.now.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}

/// Prints what is in a folder. What is wrong with a dataset there makes the call fail.
pub fn check(args: CheckArgs) -> Result<()> {
    if !args.dir.is_dir() {
        return Err(LabError::Usage(format!("{}: there is no such folder", args.dir.display())));
    }
    let progress = bar(1, "looking at images [{bar:25}] {pos}/{len}");
    let looked_at = |done: usize, all: usize| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    };
    let mut options = CheckOptions { progress: Some(&looked_at), skip_broken: args.skip_broken, ..Default::default() };
    options.max_pixels = args.max_pixels.unwrap_or(options.max_pixels);
    let report = qare_data::check_with(&args.dir, &options);
    progress.finish_and_clear();
    let report = report?;
    say(report.to_string().trim_end());
    if report.is_sound() {
        Ok(())
    } else {
        Err(LabError::Failed(format!("{} has the faults above", args.dir.display())))
    }
}
