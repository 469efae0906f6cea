//! Locks that keep two processes from writing the same folder or file.
//!
//! A lock is an advisory lock of the operating system on a file, so it ends with its process, even after a crash. The file contains
//! the id and the command of the process, and is deleted with the lock.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use log::warn;

use crate::error::{LabError, Result};
use crate::printable_path::PrintablePath;
use crate::runs::files::folder_of;

/// An exclusive lock, released when it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// `None` if the file system does not support locks.
    file: Option<File>,
    /// A folder that was created for the lock file. It is deleted with the lock if it is empty.
    created: Option<PathBuf>,
}

/// The reason why a lock was not acquired.
enum Refused {
    /// Another process holds the lock; its description.
    Held(String),
    Failed(io::Error),
}

impl Lock {
    /// Locks a run folder, which need not exist. `advice` ends the message if another process holds the lock.
    ///
    /// # Errors
    /// If another process holds the lock; the message names the process. If the lock file cannot be created.
    pub fn of_run(folder: &Path, advice: &str) -> Result<Self> {
        let name = folder.file_name().expect("a run has a name").to_string_lossy();
        let parent = folder_of(folder);
        let is_no_folder = |path: &&Path| path.symlink_metadata().is_ok() && !path.is_dir();
        if let Some(file) = parent.ancestors().find(is_no_folder) {
            return Err(LabError::Usage(format!(
                "run folders cannot be created in {}: {} is not a folder; choose another one with --out",
                parent.printable(),
                file.printable()
            )));
        }
        let missing = !parent.exists();
        std::fs::create_dir_all(parent).map_err(|error| LabError::io("make the run folder", folder, error))?;
        let path = parent.join(format!(".{name}.lock"));
        match Self::acquire(&path, false) {
            Ok(mut lock) => {
                lock.created = missing.then(|| parent.to_path_buf());
                Ok(lock)
            }
            Err(Refused::Held(holder)) => Err(LabError::Usage(format!(
                "{} is being written by {holder}: nothing was changed; {advice}",
                folder.printable()
            ))),
            Err(Refused::Failed(error)) => Err(LabError::io("lock", folder, error)),
        }
    }

    /// Returns a description of the process that holds the lock of a run folder, or `None` if none does. Writes nothing.
    ///
    /// The test is a shared lock for a moment. A training that starts in this moment finds the folder locked and says so.
    pub fn holder_of_run(folder: &Path) -> Option<String> {
        let name = folder.file_name()?.to_string_lossy();
        let mut file = File::open(folder_of(folder).join(format!(".{name}.lock"))).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
            _ => None,
        }
    }

    /// Locks a file for a short read and write. Waits while another process holds the lock.
    ///
    /// # Errors
    /// If the lock file cannot be created.
    pub fn of_file(file: &Path) -> Result<Self> {
        let name = file.file_name().expect("a file has a name").to_string_lossy();
        let path = folder_of(file).join(format!(".{name}.lock"));
        Self::acquire(&path, true).map_err(|refused| match refused {
            Refused::Held(holder) => LabError::Failed(format!("{} is being written by {holder}", file.printable())),
            Refused::Failed(error) => LabError::io("write", file, error),
        })
    }

    fn acquire(path: &Path, wait: bool) -> std::result::Result<Self, Refused> {
        let lock = |file| Self { path: path.to_path_buf(), file, created: None };
        loop {
            let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
            let mut file = open.map_err(Refused::Failed)?;
            let locked = if wait { file.lock().map_err(TryLockError::Error) } else { file.try_lock() };
            match locked {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Refused::Held(holder(&mut file))),
                Err(TryLockError::Error(error)) => {
                    warn!(
                        "note: {} cannot be locked ({error}): make sure that no other process writes there",
                        folder_of(path).printable()
                    );
                    return Ok(lock(None));
                }
            }
            // The previous holder may have deleted the file after it was opened here. Another process can then lock a new file.
            if is_at(&file, path) {
                let _ = file.set_len(0).and_then(|()| file.write_all(signature().as_bytes()));
                return Ok(lock(Some(file)));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The file is deleted while it is locked, so that the path still refers to this file.
            let _ = std::fs::remove_file(&self.path);
        }
        if let Some(folder) = &self.created {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// Whether a path refers to an open file.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    matches!((file.metadata().map(id), path.metadata().map(id)), (Ok(file), Ok(path)) if file == path)
}

/// Always true, because these systems do not delete open files.
#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}

/// Returns the contents of a lock file: process id and command.
fn signature() -> String {
    let command: Vec<String> = std::env::args().collect();
    format!("{}\n{}\n", std::process::id(), command.join(" "))
}

/// Describes the process that holds a lock.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Some systems refuse to read a locked file. The process is then not named.
    let _ = file.read_to_string(&mut text);
    let mut lines = text.lines();
    let (Some(process), Some(command)) = (lines.next(), lines.next()) else { return "another process".into() };
    let age = file.metadata().and_then(|metadata| metadata.modified()).ok();
    let age = age.and_then(|time| SystemTime::now().duration_since(time).ok());
    let since = age.map_or(String::new(), |age| format!(", for {}", crate::progress::duration(age.as_secs_f64())));
    format!("process {process} (`{command}`{since})")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_run_has_one_writer_and_errors_name_it() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("new/run");
        let lock = Lock::of_run(&run, "wait").unwrap();
        assert!(Lock::holder_of_run(&run).unwrap().contains(&format!("process {}", std::process::id())));
        let error = Lock::of_run(&run, "wait").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        assert!(!dir.path().join("new").exists(), "the folder created for the lock is deleted with it");
        drop(Lock::of_run(&run, "wait").unwrap());
    }

    #[test]
    fn a_lock_file_of_a_killed_process_is_free() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".run.lock"), "1\nqare pretrain\n").unwrap();
        assert_eq!(Lock::holder_of_run(&dir.path().join("run")), None);
        Lock::of_run(&dir.path().join("run"), "wait").unwrap();
    }

    #[test]
    fn writers_of_a_file_take_turns() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("count.json");
        std::fs::write(&file, "0").unwrap();
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let _lock = Lock::of_file(&file).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        let count: usize = std::fs::read_to_string(&file).unwrap().parse().unwrap();
                        std::fs::write(&file, (count + 1).to_string()).unwrap();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "160");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
