//! Lines on standard output and standard error.

use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;

use qare_lab::{LabError, Result};

/// What standard output refused first, if it did.
static REFUSED: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes a line to standard output. A failure stops nothing: [`delivered`] tells of it when the work is done.
pub fn say(line: impl std::fmt::Display) {
    let mut out = io::stdout();
    if let Err(error) = writeln!(out, "{line}").and_then(|()| out.flush()) {
        refused(error);
    }
}

/// Writes a line to standard error, if it can be written.
pub fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Keeps what standard output refused. A reader that went away, as `head` does, has what it wanted.
pub fn refused(error: io::Error) {
    if error.kind() != ErrorKind::BrokenPipe {
        REFUSED.lock().expect("no holder panics").get_or_insert(error);
    }
}

/// An error if something that was said did not reach standard output.
pub fn delivered() -> Result<()> {
    match REFUSED.lock().expect("no holder panics").take() {
        None => Ok(()),
        Some(error) => Err(LabError::Failed(format!("cannot write to standard output: {error}"))),
    }
}

/// What the library notes: plain notes go to standard output, warnings to standard error.
struct Notes;

impl log::Log for Notes {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.target().starts_with("qare_lab") && metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            log::Level::Info => say(record.args()),
            _ => complain(record.args()),
        }
    }

    fn flush(&self) {}
}

/// From now on the library's notes are printed.
pub fn print_notes() {
    // There is no other logger in this program.
    let _ = log::set_logger(&Notes);
    log::set_max_level(log::LevelFilter::Info);
}
