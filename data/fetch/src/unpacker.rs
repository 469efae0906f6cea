//! Creates the files and folders of an untrusted archive.
//!
//! Only regular files and folders are created, in a new folder, under names that mean the same on every system, without
//! overwriting one another, and within [`Limits`]. Without links and `..`, no path can leave the folder.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use qare_printable::printable;

use crate::{FetchError, Limits};

/// Number of unpacked files and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Creates the entries of an archive.
pub(super) struct Unpacker<'a> {
    archive: &'a str,
    root: &'a Path,
    limits: Limits,
    entries: u64,
    contents: Contents,
    buffer: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    /// An unpacker for the archive with this name, to the folder `root`, which must exist.
    pub(super) fn new(archive: &'a str, root: &'a Path, limits: Limits) -> Self {
        Self { archive, root, limits, entries: 0, contents: Contents { files: 0, bytes: 0 }, buffer: vec![0; 1 << 16] }
    }

    /// What is unpacked so far.
    pub(super) fn contents(&self) -> Contents {
        self.contents
    }

    /// The limits on what is unpacked.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Creates a folder.
    pub(super) fn folder(&mut self, name: &str) -> Result<(), FetchError> {
        let path = self.next(name)?;
        std::fs::create_dir_all(&path).map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => self.harmful(name, TWICE),
            _ => FetchError::Write { path, source },
        })
    }

    /// Creates a file with the content of a reader, which must have `size` bytes.
    pub(super) fn file(&mut self, name: &str, size: u64, mut contents: impl Read) -> Result<(), FetchError> {
        let path = self.next(name)?;
        if size > self.limits.bytes - self.contents.bytes {
            return Err(self.too_large(self.limits.bytes, "bytes"));
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| match source.kind() {
                ErrorKind::AlreadyExists | ErrorKind::NotADirectory => self.harmful(name, TWICE),
                _ => FetchError::Write { path: parent.to_owned(), source },
            })?;
        }
        let failed = |source| FetchError::Write { path: path.clone(), source };
        let mut file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(|source| {
            if source.kind() == ErrorKind::AlreadyExists { self.harmful(name, TWICE) } else { failed(source) }
        })?;
        let mut written = 0;
        loop {
            let count = match contents.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    return Err(self.damaged(format!(
                        "its entry `{}` is damaged: {}",
                        printable(name),
                        printable(error.to_string())
                    )));
                }
            };
            written += count as u64;
            // The header of a zip entry may understate the size.
            if written > size {
                break;
            }
            file.write_all(&self.buffer[..count]).map_err(failed)?;
        }
        if written != size {
            let relation = if written > size { "more than" } else { "only" };
            let has = written.min(size);
            let name = printable(name);
            return Err(self.damaged(format!("its entry `{name}` has {relation} {has} bytes, expected {size}")));
        }
        self.contents.files += 1;
        self.contents.bytes += written;
        Ok(())
    }

    /// Counts an entry and returns its path.
    fn next(&mut self, name: &str) -> Result<PathBuf, FetchError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_large(self.limits.entries, "files and folders"));
        }
        let path = safe_path(name).map_err(|problem| self.harmful(name, problem))?;
        Ok(self.root.join(path))
    }

    /// The error for an unsafe entry.
    pub(super) fn harmful(&self, entry: &str, problem: &'static str) -> FetchError {
        FetchError::UnsafeArchive { archive: self.archive.to_owned(), entry: printable(entry), problem }
    }

    /// The error for a damaged archive.
    pub(super) fn damaged(&self, problem: String) -> FetchError {
        FetchError::BadArchive { archive: self.archive.to_owned(), problem }
    }

    /// The error for an archive whose format is violated, or whose file cannot be read.
    pub(super) fn unreadable(&self, error: &dyn std::error::Error) -> FetchError {
        self.damaged(format!("it is damaged or cannot be read: {}", printable(error.to_string())))
    }

    /// The error for an archive that exceeds its limits.
    pub(super) fn too_large(&self, limit: u64, what: &'static str) -> FetchError {
        FetchError::TooLarge { archive: self.archive.to_owned(), limit, what }
    }
}

const TWICE: &str = "its name is taken by another entry";

/// The relative path of an entry, if it stays in the folder and means the same on every system.
fn safe_path(name: &str) -> Result<PathBuf, &'static str> {
    if name.starts_with('/') {
        return Err("its path is absolute");
    }
    if name.chars().any(|letter| letter == '\\' || letter == ':' || letter.is_control()) {
        return Err("its name has a backslash, a colon or a control character");
    }
    let mut path = PathBuf::new();
    for part in name.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            return Err("its path leads out of the folder");
        }
        // Windows strips them, so that `.. ` would become `..`.
        if part.ends_with(['.', ' ']) {
            return Err("its name ends in a dot or a space");
        }
        path.push(part);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_go_down_are_paths() {
        for (name, path) in [("a/b.bin", "a/b.bin"), ("./a//b/", "a/b"), ("./", ""), ("..a/b", "..a/b")] {
            assert_eq!(safe_path(name), Ok(PathBuf::from(path)), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "/a",
            "//a/b",
            "../a",
            "a/../../b",
            "a/..",
            "..",
            "C:/a",
            "C:a",
            "a\\..\\b",
            "\\\\host\\a",
            "a/.. /b",
            "a\0",
        ] {
            assert!(safe_path(name).is_err(), "{name}");
        }
    }

    #[test]
    fn no_more_is_written_than_an_entry_said() {
        let dir = tempfile::tempdir().unwrap();
        let mut unpacker = Unpacker::new("a.zip", dir.path(), Limits { entries: 2, bytes: 1 << 20 });
        unpacker.buffer.truncate(16);
        for (name, size, has) in [("more", 20, 1000), ("less", 20, 10)] {
            let error = unpacker.file(name, size, std::io::repeat(0).take(has)).unwrap_err();
            assert!(matches!(error, FetchError::BadArchive { .. }), "{name}: {error}");
            assert!(std::fs::metadata(dir.path().join(name)).unwrap().len() <= size);
        }
        assert_eq!(unpacker.contents.files, 0);
    }
}
