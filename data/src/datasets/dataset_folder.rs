//! The folder that a user names for a dataset.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::error::DataError;

/// Signatures of archives, and where each begins.
const ARCHIVES: [(usize, &[u8]); 9] = [
    (0, b"PK\x03\x04"),
    (0, b"PK\x05\x06"),
    (0, b"\x1f\x8b"),
    (0, b"BZh"),
    (0, b"\xfd7zXZ"),
    (0, b"\x28\xb5\x2f\xfd"),
    (0, b"7z\xbc\xaf"),
    (0, b"Rar!"),
    (257, b"ustar"),
];
/// Bytes that suffice to recognise an archive.
const ENOUGH: u64 = 512;

/// Checks that the folder of a dataset exists and is a folder.
///
/// # Errors
/// [`DataError::NoSuchFolder`] if nothing is there, and [`DataError::NoFolder`] if it is a file. The message about an archive says to
/// unpack it.
pub fn expect_folder(dir: &Path) -> Result<(), DataError> {
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(found) => {
            let is_archive = found.is_file() && is_archive(dir);
            Err(DataError::NoFolder { path: dir.to_path_buf(), is_archive })
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Err(DataError::NoSuchFolder { path: dir.to_path_buf() })
        }
        Err(source) => Err(DataError::Read { path: dir.to_path_buf(), source }),
    }
}

/// Whether a file begins as an archive does.
pub(crate) fn is_archive(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(ENOUGH).read_to_end(&mut start));
    read.is_ok() && ARCHIVES.iter().any(|(at, mark)| start.get(*at..).is_some_and(|rest| rest.starts_with(mark)))
}
