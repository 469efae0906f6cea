//! Files that are whole or absent: written beside their place, then renamed to it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::error::{AppError, Result};

/// Writes a file as a whole. After an error the old one, if there was one, is untouched.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    let beside = beside(path);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    written.and_then(|()| std::fs::rename(&beside, path)).map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        AppError::io("write", path, error)
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().expect("a file has a name").to_os_string();
    name.push(".part");
    path.with_file_name(name)
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| AppError::io("read", path, error))
}

/// Reads a JSON file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_str(&read_text(path)?)
        .map_err(|error| AppError::Failed(format!("{} is damaged: {error}", path.display())))
}

/// Writes a line to standard error, if it can be written.
pub fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes a line to standard output; nobody reading it any more is no reason to stop.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
