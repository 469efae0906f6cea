//! Work in a process of its own, whose memory is that of the work alone.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::memory::peak_of;
use qare_lab::{LabError, Result};

/// Returns a call of this program, without arguments.
pub fn this_program() -> Result<Command> {
    std::env::current_exe().map(Command::new).map_err(|error| start_failed(&error))
}

/// Runs a call of this program to its end and returns its peak memory in bytes, if the system reports it. `what` names its work.
pub fn run(call: &mut Command, what: &str) -> Result<Option<f64>> {
    run_watched(call, what, peak_of)
}

/// The same with the largest value of `memory`, which takes the number of the process.
pub fn run_watched(call: &mut Command, what: &str, memory: impl Fn(u32) -> Option<f64>) -> Result<Option<f64>> {
    let mut child = call
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| start_failed(&error))?;
    let mut peak: Option<f64> = None;
    while child.try_wait().map_err(|error| start_failed(&error))?.is_none() {
        peak = memory(child.id()).into_iter().chain(peak).reduce(f64::max);
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().map_err(|error| start_failed(&error))?;
    if output.status.success() {
        Ok(peak)
    } else {
        let message = String::from_utf8_lossy(&output.stderr);
        Err(LabError::Failed(format!("the {what} failed: {}", message.trim().trim_start_matches("error: "))))
    }
}

fn start_failed(error: &std::io::Error) -> LabError {
    LabError::Failed(format!("the program cannot start itself: {error}"))
}

/// A temporary folder, deleted on drop.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Result<Self> {
        Self::named("bench")
    }

    /// A folder beside others of this process.
    pub fn named(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("qare-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| LabError::io("make the folder", &path, error))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
