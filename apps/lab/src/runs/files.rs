//! Atomic file writes: files are written under temporary names beside their paths, then renamed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{LabError, Result};

/// Extension of a temporary file.
const PART: &str = "part";

/// Writes a file atomically. After an error, an existing file is unchanged.
///
/// # Errors
/// If the file cannot be written.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    Staged::new(path, contents)?.publish()
}

/// Writes files that belong together, all or none: after an error, existing files are unchanged. The first is the main file. It is
/// never there with an older version of another: wherever the process is stopped, the files are all old, all new, or the main file
/// is missing.
///
/// # Errors
/// If a file cannot be written.
pub fn write_together(files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    let staged = files.iter().map(|(path, contents)| Staged::new(path, contents)).collect::<Result<Vec<_>>>()?;
    if let [(main, _), _, ..] = files {
        match std::fs::remove_file(main) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(LabError::io("replace", main, error)),
            _ => {}
        }
    }
    // The main file comes last.
    staged.into_iter().rev().try_for_each(Staged::publish)
}

/// A file that is written under a temporary name. It is deleted unless it is published.
struct Staged<'a> {
    beside: PathBuf,
    path: &'a Path,
}

impl<'a> Staged<'a> {
    fn new(path: &'a Path, contents: &[u8]) -> Result<Self> {
        let staged = Self { beside: beside(path), path };
        let written = File::create_new(&staged.beside).and_then(|mut file| {
            file.write_all(contents)?;
            file.sync_all()
        });
        written.map_err(|error| LabError::io("write", path, error))?;
        Ok(staged)
    }

    /// Gives the file its name.
    fn publish(self) -> Result<()> {
        std::fs::rename(&self.beside, self.path)
            .and_then(|()| sync_folder(self.path))
            .map_err(|error| LabError::io("write", self.path, error))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After a rename there is nothing to delete.
        let _ = std::fs::remove_file(&self.beside);
    }
}

/// Returns a temporary name beside `path` that is unique among all processes.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut name = path.file_name().expect("a file has a name").to_os_string();
    name.push(format!(".{}-{}.{PART}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Syncs the folder of a file, so that a rename survives a power failure.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    // Some network file systems cannot sync a folder, so an error is ignored.
    let _ = File::open(folder_of(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns the folder of a file; `.` for a bare file name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Whether a file has the name of a temporary file. Its process may have been killed.
pub fn is_part(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == PART)
}

/// Checks that a file can be created in a folder.
///
/// # Errors
/// If it cannot.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    let probe = beside(&folder.join(".qare"));
    File::create_new(&probe)?;
    std::fs::remove_file(&probe)
}

/// Checks that the file system of a folder has room for a number of bytes. Passes if the system does not report free space.
///
/// # Errors
/// If there is too little space.
pub fn check_space(folder: &Path, bytes: u64) -> Result<()> {
    match free_space(folder).filter(|free| *free < bytes) {
        None => Ok(()),
        Some(free) => Err(LabError::Failed(format!(
            "{} has room for {:.1} MB, but {:.1} MB are needed: free some space, or choose another folder",
            folder.display(),
            free as f64 / 1e6,
            bytes as f64 / 1e6
        ))),
    }
}

/// Returns the free bytes of the file system of a folder.
#[cfg(unix)]
fn free_space(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;

    let name = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the name is zero-terminated, and `found` is read only after `statvfs` has initialised it.
    let found = unsafe { (libc::statvfs(name.as_ptr(), found.as_mut_ptr()) == 0).then(|| found.assume_init()) }?;
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    Some(found.f_bavail as u64 * found.f_frsize as u64)
}

#[cfg(not(unix))]
fn free_space(_folder: &Path) -> Option<u64> {
    None
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| LabError::io("read", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file.txt");
        for text in ["first", "2"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(read_text(&path).unwrap(), text);
        }
        check_writable(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_whole(&dir.path().join("no/file"), b"").is_err());
        assert!(check_writable(&dir.path().join("no")).is_err());
    }

    #[test]
    fn files_that_belong_together_are_all_written_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = |text: &str| ["main", "labels"].map(|name| (path(name), text.as_bytes().to_vec()));
        let found = || ["main", "labels"].map(|name| read_text(&path(name)).unwrap());
        for text in ["old", "new"] {
            write_together(&files(text)).unwrap();
            assert_eq!(found(), [text, text]);
        }
        // Whichever file fails, the others keep their contents.
        for place in 0..=2 {
            let mut files = files("newest").to_vec();
            files.insert(place, (path("no/folder"), Vec::new()));
            let error = write_together(&files).unwrap_err();
            assert!(error.to_string().contains("no/folder"), "{error}");
            assert_eq!(found(), ["new", "new"]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    #[test]
    #[cfg(unix)]
    fn too_little_space_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        check_space(dir.path(), 1).unwrap();
        let error = check_space(dir.path(), u64::MAX).unwrap_err();
        assert!(error.exit_code() == 1 && error.to_string().contains("room"), "{error}");
        check_space(Path::new("/no/such/folder"), u64::MAX).unwrap();
    }

    #[test]
    fn temporary_names_are_unique() {
        let path = Path::new("run/results.json");
        let names = [beside(path), beside(path)];
        assert_ne!(names[0], names[1]);
        assert!(names.iter().all(|name| is_part(name)));
        assert_eq!((folder_of(path), folder_of(Path::new("w.pt"))), (Path::new("run"), Path::new(".")));
    }
}
