//! Lines on standard output and standard error.

use std::io::{self, ErrorKind, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use qare_data::printable;
use qare_lab::{LabError, Result};

/// The first error of writing to standard output, if there was one.
static WRITE_ERROR: Mutex<Option<io::Error>> = Mutex::new(None);

/// Whether notes go to standard error, because standard output holds nothing but JSON.
static NOTES_ON_STDERR: AtomicBool = AtomicBool::new(false);

/// Sends notes to standard error from now on, so that standard output is for JSON.
pub fn notes_to_stderr() {
    NOTES_ON_STDERR.store(true, Ordering::Relaxed);
}

/// Writes a note to standard output, or to standard error after [`notes_to_stderr`].
pub fn print_note(note: impl std::fmt::Display) {
    if NOTES_ON_STDERR.load(Ordering::Relaxed) { eprint_line(note) } else { print_line(note) }
}

/// Returns a text whose characters that act on a terminal are escaped, other than line breaks: file names may have any.
fn for_terminal(text: impl std::fmt::Display) -> String {
    text.to_string().split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Writes a line to standard output. Characters that act on a terminal are escaped.
///
/// An error does not stop the work; [`check_written`] returns it at the end.
pub fn print_line(line: impl std::fmt::Display) {
    let mut out = io::stdout();
    if let Err(error) = writeln!(out, "{}", for_terminal(line)).and_then(|()| out.flush()) {
        record_write_error(error);
    }
}

/// Writes a line to standard error. Characters that act on a terminal are escaped, and errors are ignored.
pub fn eprint_line(line: impl std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{}", for_terminal(line));
}

/// Records an error of writing to standard output.
///
/// A broken pipe is not an error: a reader such as `head` closes the pipe once it has read enough.
pub fn record_write_error(error: io::Error) {
    if error.kind() != ErrorKind::BrokenPipe {
        WRITE_ERROR.lock().expect("no holder panics").get_or_insert(error);
    }
}

/// Checks that every line reached standard output.
///
/// # Errors
/// If a line could not be written.
pub fn check_written() -> Result<()> {
    match WRITE_ERROR.lock().expect("no holder panics").take() {
        None => Ok(()),
        Some(error) => Err(LabError::Failed(format!("cannot write to standard output: {error}"))),
    }
}

/// Logger for `qare-lab`: notes go to standard output, warnings to standard error.
struct LabLogger;

impl log::Log for LabLogger {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.target().starts_with("qare_lab") && metadata.level() <= log::Level::Info
    }

    fn log(&self, record: &log::Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        match record.level() {
            log::Level::Info => print_note(record.args()),
            _ => eprint_line(record.args()),
        }
    }

    fn flush(&self) {}
}

/// Installs the logger that prints the notes of `qare-lab`.
pub fn init_log() {
    // Fails only if a logger is installed already, and this program has no other.
    let _ = log::set_logger(&LabLogger);
    log::set_max_level(log::LevelFilter::Info);
}
