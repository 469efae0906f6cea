//! Atomic file writes: files are written under temporary names beside their paths, then renamed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;

/// Extension of a temporary file.
const PART: &str = "part";

/// Writes a file atomically. After an error, an existing file is unchanged.
///
/// # Errors
/// If the file cannot be written.
pub fn write_whole(path: &Path, contents: &[u8]) -> Result<()> {
    Staged::new(path, contents)?.publish()
}

/// Writes files that belong together, all or none: after an error, existing files are unchanged. The first is the main file; `absent` are
/// files of an older version that the new one does not have, and they are deleted if there was a main file.
///
/// The main file is never there with an older version of another: wherever the process is stopped, the files are all old, all new, or
/// the main file is missing and the old one lies beside it under a temporary name.
///
/// # Errors
/// If a file cannot be written.
pub fn write_together(files: &[(PathBuf, Vec<u8>)], absent: &[PathBuf]) -> Result<()> {
    let (main, _) = files.first().expect("there is a main file");
    for (path, _) in files {
        check_file(path)?;
    }
    let staged = files.iter().map(|(path, contents)| Staged::new(path, contents)).collect::<Result<Vec<_>>>()?;
    let mut replaced = Replaced::default();
    let absent = if main.exists() { absent } else { &[] };
    let old = files.iter().map(|(path, _)| path).chain(absent);
    old.filter(|path| path.is_file()).try_for_each(|path| replaced.set_aside(path))?;
    // The main file comes last.
    for file in staged.into_iter().rev() {
        replaced.new.push(file.path.to_path_buf());
        file.publish()?;
    }
    replaced.forget();
    Ok(())
}

/// Writes a new folder with files, whole or not at all.
///
/// # Errors
/// If something has that name, or a file cannot be written.
pub fn write_folder(folder: &Path, files: &[(PathBuf, Vec<u8>)]) -> Result<()> {
    let staged = StagedFolder { beside: beside(folder) };
    std::fs::create_dir(&staged.beside).map_err(|error| LabError::io("write", folder, error))?;
    for (path, contents) in files {
        let inside = staged.beside.join(path.strip_prefix(folder).expect("a file in the folder"));
        let written = File::create_new(&inside).and_then(|mut file| {
            file.write_all(contents)?;
            file.sync_all()
        });
        written.map_err(|error| LabError::io("write", path, error))?;
    }
    std::fs::rename(&staged.beside, folder)
        .and_then(|()| sync_folder(folder))
        .map_err(|error| LabError::io("write", folder, error))
}

/// A folder that is written under a temporary name. It is deleted unless it is renamed.
struct StagedFolder {
    beside: PathBuf,
}

impl Drop for StagedFolder {
    fn drop(&mut self) {
        // After a rename there is nothing to delete.
        let _ = std::fs::remove_dir_all(&self.beside);
    }
}

/// Checks that a file can be created or replaced: that nothing but a file is there.
///
/// # Errors
/// If there is a folder, a device or a pipe.
pub fn check_file(path: &Path) -> Result<()> {
    match path.metadata() {
        Ok(found) if !found.is_file() => Err(LabError::Usage(format!(
            "{} is not a file, and is not replaced: choose another name",
            path.printable()
        ))),
        _ => Ok(()),
    }
}

/// Files that are being replaced. If it is dropped before [`forget`](Self::forget), the old files return to their places.
#[derive(Default)]
struct Replaced {
    /// The temporary names of old files, and their places.
    old: Vec<(PathBuf, PathBuf)>,
    /// The places of new files.
    new: Vec<PathBuf>,
}

impl Replaced {
    fn set_aside(&mut self, path: &Path) -> Result<()> {
        let aside = beside(path);
        std::fs::rename(path, &aside).map_err(|error| LabError::io("replace", path, error))?;
        self.old.push((aside, path.to_path_buf()));
        Ok(())
    }

    /// Deletes the old files.
    fn forget(mut self) {
        self.new.clear();
        for (aside, _) in self.old.drain(..) {
            // A leftover file does no harm, so an error is ignored.
            let _ = std::fs::remove_file(aside);
        }
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        // This follows an error, which is reported.
        for path in &self.new {
            let _ = std::fs::remove_file(path);
        }
        for (aside, path) in self.old.iter().rev() {
            let _ = std::fs::rename(aside, path);
        }
    }
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

/// Checks that a file can be written at a path. A file that is there is not touched.
///
/// # Errors
/// If it cannot.
pub fn check_writable(path: &Path) -> io::Result<()> {
    let probe = beside(path);
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
            folder.printable(),
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
        check_writable(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_whole(&dir.path().join("no/file"), b"").is_err());
        assert!(check_writable(&dir.path().join("no/file")).is_err());
        assert!(check_writable(&dir.path().join("x".repeat(255))).is_err());
    }

    #[test]
    fn an_error_while_files_are_published_returns_the_old_ones() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = |text: &str| ["main", "labels", "names"].map(|name| (path(name), text.as_bytes().to_vec()));
        write_together(&files("old"), &[]).unwrap();
        // The labels cannot be published: a folder takes their place once everything is staged.
        let staged = files("new");
        let mut replaced = Replaced::default();
        for (path, _) in &staged {
            replaced.set_aside(path).unwrap();
        }
        std::fs::create_dir(path("labels")).unwrap();
        replaced.new.push(path("names"));
        Staged::new(&path("names"), b"new").unwrap().publish().unwrap();
        assert!(Staged::new(&path("labels"), b"new").unwrap().publish().is_err());
        std::fs::remove_dir(path("labels")).unwrap();
        drop(replaced);
        for (path, _) in &staged {
            assert_eq!(read_text(path).unwrap(), "old");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn parts_without_a_successor_are_deleted_with_their_main_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("main.files"), "mine").unwrap();
        let main = [(path("main"), b"new".to_vec())];
        write_together(&main, &[path("main.files")]).unwrap();
        assert_eq!(read_text(&path("main.files")).unwrap(), "mine", "it belongs to no main file");
        write_together(&main, &[path("main.files"), path("none")]).unwrap();
        assert!(!path("main.files").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn files_that_belong_together_are_all_written_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let files = |text: &str| ["main", "labels"].map(|name| (path(name), text.as_bytes().to_vec()));
        let found = || ["main", "labels"].map(|name| read_text(&path(name)).unwrap());
        for text in ["old", "new"] {
            write_together(&files(text), &[]).unwrap();
            assert_eq!(found(), [text, text]);
        }
        std::fs::create_dir(path("folder")).unwrap();
        let with_folder = [files("newest").to_vec(), vec![(path("folder"), Vec::new())]].concat();
        assert!(write_together(&with_folder, &[]).unwrap_err().to_string().contains("is not a file"));
        std::fs::remove_dir(path("folder")).unwrap();
        // Whichever file fails, the others keep their contents.
        for place in 0..=2 {
            let mut files = files("newest").to_vec();
            files.insert(place, (path("no/folder"), Vec::new()));
            let error = write_together(&files, &[]).unwrap_err();
            assert!(error.to_string().contains("no/folder"), "{error}");
            assert_eq!(found(), ["new", "new"]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        }
    }

    #[test]
    fn a_folder_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        let file = |name: &str| (folder.join(name), name.as_bytes().to_vec());
        // The name of the second file is too long.
        assert!(write_folder(&folder, &[file("one"), file(&"x".repeat(300))]).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        write_folder(&folder, &[file("one"), file("two")]).unwrap();
        assert_eq!(read_text(&folder.join("two")).unwrap(), "two");
        // A folder with files is not replaced.
        assert!(write_folder(&folder, &[file("three")]).is_err());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
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
