//! The file of a download in progress, and its origin.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::FetchError;

/// The properties that the server stated of the file whose first bytes are on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// The address of the request.
    pub(super) url: String,
    /// The `ETag`, a version of the file.
    pub(super) etag: Option<String>,
    /// The time of its last change.
    pub(super) last_modified: Option<String>,
    /// The size in bytes.
    pub(super) total: Option<u64>,
}

impl Origin {
    /// The validator for `If-Range`. A weak ETag is not allowed there (RFC 9110, 13.1.5).
    pub(super) fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }

    fn write(&self) -> String {
        let total = self.total.map(|total| total.to_string());
        let fields = [
            ("url", Some(&self.url)),
            ("etag", self.etag.as_ref()),
            ("last-modified", self.last_modified.as_ref()),
            ("total", total.as_ref()),
        ];
        fields.iter().filter_map(|(name, value)| value.map(|value| format!("{name}: {value}\n"))).collect()
    }

    /// Parses the output of [`Self::write`]; ignores unknown lines.
    fn read(text: &str) -> Self {
        let mut origin = Self::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
            match name {
                "url" => origin.url = value.to_owned(),
                "etag" => origin.etag = Some(value.to_owned()),
                "last-modified" => origin.last_modified = Some(value.to_owned()),
                "total" => origin.total = value.parse().ok(),
                _ => {}
            }
        }
        origin
    }
}

/// `ARCHIVE.part`, open and locked, with `ARCHIVE.part.origin` beside it.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    origin_path: PathBuf,
    file: File,
    length: u64,
    origin: Origin,
}

impl Part {
    /// Opens or creates the file, and locks it until this value is dropped.
    pub(super) fn open(dir: &Path, archive: &str) -> Result<Self, FetchError> {
        let path = dir.join(format!("{archive}.part"));
        let origin_path = dir.join(format!("{archive}.part.origin"));
        let failed = |source| FetchError::Write { path: path.clone(), source };
        // A link may lead out of the folder.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(failed(std::io::Error::other("something that is not a file is in the way")));
        }
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(FetchError::Busy { part: path }),
            // Some file systems do not support locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        let length = file.metadata().map_err(failed)?.len();
        let origin = std::fs::read_to_string(&origin_path).map(|text| Origin::read(&text)).unwrap_or_default();
        Ok(Self { path, origin_path, file, length, origin })
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Number of bytes on disk.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The first `count` bytes.
    pub(super) fn beginning(&self, count: usize) -> Result<Vec<u8>, FetchError> {
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))
            .and_then(|_| file.take(count as u64).read_to_end(&mut bytes))
            .map_err(|source| FetchError::Read { path: self.path.clone(), source })?;
        Ok(bytes)
    }

    /// The origin of the bytes.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Records the origin of the next bytes. Drops the existing bytes unless `goes_on`.
    pub(super) fn begin(&mut self, origin: Origin, goes_on: bool) -> Result<(), FetchError> {
        if !goes_on {
            self.clear()?;
        }
        let beside = self.origin_path.with_extension("origin-new");
        std::fs::write(&beside, origin.write())
            .and_then(|()| std::fs::rename(&beside, &self.origin_path))
            .map_err(|source| FetchError::Write { path: self.origin_path.clone(), source })?;
        self.origin = origin;
        Ok(())
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(bytes));
        // After an error, the file may contain some of them.
        self.length = match written {
            Ok(()) => self.length + bytes.len() as u64,
            Err(_) => self.file.metadata().map_or(self.length, |found| found.len()),
        };
        written.map_err(|source| self.failed(source))
    }

    /// Drops all bytes.
    pub(super) fn clear(&mut self) -> Result<(), FetchError> {
        // Remove the origin first: bytes without an origin are still checked by size and checksum, but an origin without its
        // bytes is wrong.
        let _ = std::fs::remove_file(&self.origin_path);
        self.origin = Origin::default();
        self.length = 0;
        self.file.set_len(0).map_err(|source| self.failed(source))
    }

    /// Flushes the file to the disk.
    pub(super) fn finish(&self) -> Result<(), FetchError> {
        self.file.sync_all().map_err(|source| self.failed(source))
    }

    /// Removes the file and its origin.
    pub(super) fn remove(self) {
        // If this fails, the next call uses the file.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.origin_path);
    }

    /// Renames the file to its final name.
    pub(super) fn rename(self, to: &Path) -> Result<(), FetchError> {
        std::fs::rename(&self.path, to).map_err(|source| FetchError::Write { path: to.to_owned(), source })?;
        let _ = std::fs::remove_file(&self.origin_path);
        Ok(())
    }

    fn failed(&self, source: std::io::Error) -> FetchError {
        FetchError::Write { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        let origin = Origin {
            url: "https://example.org/a: b".to_owned(),
            etag: Some("\"x: y\"".to_owned()),
            last_modified: None,
            total: Some(12),
        };
        assert_eq!(Origin::read(&origin.write()), origin);
        assert_eq!(Origin::read("total: many\nnonsense"), Origin::default());
    }

    #[test]
    fn only_strong_validators_count() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let origin = |etag: &str| Origin {
            etag: Some(etag.to_owned()),
            last_modified: Some(date.to_owned()),
            ..Origin::default()
        };
        assert_eq!(origin("\"a\"").validator(), Some("\"a\""));
        assert_eq!(origin("W/\"a\"").validator(), Some(date));
        assert_eq!(Origin::default().validator(), None);
    }

    #[test]
    fn a_part_is_opened_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut part = Part::open(dir.path(), "a.zip").unwrap();
        part.append(b"abc").unwrap();
        assert!(matches!(Part::open(dir.path(), "a.zip"), Err(FetchError::Busy { .. })));
        drop(part);
        assert_eq!(Part::open(dir.path(), "a.zip").unwrap().length(), 3);
    }
}
