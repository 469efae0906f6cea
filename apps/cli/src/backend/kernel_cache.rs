//! The folders in which compiled kernels and results of autotuning are kept from run to run.
//!
//! CubeCL's keys name a kernel and its sizes alone. What else they depend on is in the names of the folders: the versions of the crates
//! that make the kernels, GPU and compiler.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use qare_lab::PrintablePath;

/// The variable that names another folder. If it is empty, nothing is kept.
const VARIABLE: &str = "QARE_CACHE_DIR";

/// The crates that kernels come from, in their versions.
const VERSIONS: &str = env!("QARE_KERNEL_VERSIONS");

/// A killed process leaves its lock file behind. CubeCL waits for 30 seconds before it takes such a lock, and forever again and again
/// if the file is empty.
const LOCK_EXPIRES: Duration = Duration::from_secs(60);

/// With less space left nothing is kept, since CubeCL panics if the disk fills up.
const LEAST_SPACE: u64 = 256 << 20;

/// Larger files of compiled kernels are removed. CubeCL reads all of a file at each start: 80 MB, the kernels of conv4 at one batch size, take
/// two to three seconds.
const MOST_KERNELS: u64 = 400 << 20;

/// What compiled kernels and timings of them are for.
pub struct Subject {
    /// Backend, GPU architecture and compiler. `None` if kernels cannot be kept, for GPUs that differ.
    pub kernels: Option<String>,
    /// Backend and GPUs.
    pub gpus: String,
}

/// Where CubeCL keeps what it has compiled and timed.
#[derive(Debug, PartialEq, Eq)]
pub struct KernelCache {
    /// Folder of compiled kernels.
    pub kernels: Option<PathBuf>,
    /// Folder of results of autotuning. If nothing is kept, a path that cannot exist: CubeCL has no other way to turn it off.
    pub autotune: PathBuf,
}

/// The folder that holds all others: that of the environment, else of the user. `None` if nothing is kept.
pub fn root() -> Option<PathBuf> {
    match std::env::var_os(VARIABLE) {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => std::path::absolute(folder).ok(),
        None => user_folder().map(|folder| folder.join("qare")),
    }
}

#[cfg(any(feature = "flex", feature = "ndarray"))]
fn user_folder() -> Option<PathBuf> {
    None
}

#[cfg(not(any(feature = "flex", feature = "ndarray")))]
fn user_folder() -> Option<PathBuf> {
    dirs::cache_dir()
}

impl KernelCache {
    /// Makes the folders. If they cannot be written, a note says so, and nothing is kept.
    pub fn open(subject: &Subject) -> Self {
        let Some(root) = root() else { return Self::none() };
        Self::below(&root, subject).unwrap_or_else(|(place, error)| {
            crate::output::eprint_line(format!(
                "note: compiled kernels are not kept for later runs: {}: {error}; {VARIABLE} names another folder",
                place.printable()
            ));
            Self::none()
        })
    }

    fn none() -> Self {
        // There is no folder below a file.
        let file = std::env::current_exe().unwrap_or_else(|_| "/dev/null".into());
        Self { kernels: None, autotune: file.join("autotune") }
    }

    fn below(root: &Path, subject: &Subject) -> Result<Self, (PathBuf, io::Error)> {
        let versions = root.join(VERSIONS);
        let kernels = subject.kernels.as_ref().map(|name| versions.join(folder_name(name)));
        let autotune = versions.join(folder_name(&subject.gpus));
        for folder in kernels.iter().chain([&autotune]) {
            fs::create_dir_all(folder).map_err(|error| (folder.clone(), error))?;
            check_writable(folder)?;
        }
        check_space(root).map_err(|error| (root.to_path_buf(), error))?;
        Ok(Self { kernels, autotune })
    }
}

/// Replaces what a file name of some system cannot hold.
fn folder_name(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._-+".contains(c) { c } else { '-' };
    text.chars().map(kept).take(100).collect()
}

/// Checks that CubeCL can add to everything below a folder, where it would panic or wait otherwise, and removes locks that nobody holds.
fn check_writable(folder: &Path) -> Result<(), (PathBuf, io::Error)> {
    let probe = folder.join(format!(".{}", std::process::id()));
    let written = File::create(&probe).and_then(|mut file| file.write_all(b"."));
    // It may be there without content, if the disk is full.
    let removed = fs::remove_file(&probe);
    written.and(removed).map_err(|error| (folder.to_path_buf(), error))?;

    for entry in fs::read_dir(folder).map_err(|error| (folder.to_path_buf(), error))? {
        // Another process may remove its lock at any time.
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path();
        if metadata.is_dir() {
            check_writable(&path)?;
        } else if path.extension().is_some_and(|end| end == "lock") {
            let age = metadata.modified().ok().and_then(|time| time.elapsed().ok());
            if age.is_some_and(|age| age > LOCK_EXPIRES) {
                let _ = fs::remove_file(&path);
            }
        } else if path.extension().is_some_and(|end| end == "log" || end == "cbor") {
            OpenOptions::new().append(true).open(&path).map_err(|error| (path.clone(), error))?;
            if metadata.len() > MOST_KERNELS && path.extension().is_some_and(|end| end == "cbor") {
                // With its table of contents. Other processes go on with theirs.
                let _ = fs::remove_file(&path);
                let _ = fs::remove_file(path.with_file_name("toc.json.log"));
            }
        }
    }
    Ok(())
}

#[cfg(unix)]
fn check_space(folder: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;

    let path = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: the path ends in a zero, and the pointer is valid for writes.
    if unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) } != 0 {
        return Ok(());
    }
    // SAFETY: the call succeeded.
    let found = unsafe { found.assume_init() };
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    let (free, whole) = (found.f_bavail as u64 * found.f_frsize as u64, found.f_blocks as u64);
    // Some file systems do not know their size.
    if whole > 0 && free < LEAST_SPACE {
        return Err(io::Error::other(format!("less than {} MiB are free", LEAST_SPACE >> 20)));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_space(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(kernels: Option<&str>, gpus: &str) -> Subject {
        Subject { kernels: kernels.map(String::from), gpus: gpus.into() }
    }

    fn below(root: &Path, subject: &Subject) -> KernelCache {
        KernelCache::below(root, subject).unwrap_or_else(|(place, error)| panic!("{}: {error}", place.display()))
    }

    #[test]
    fn what_kernels_depend_on_is_in_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let h100 = below(root.path(), &subject(Some("cuda-sm90-nvrtc13.0"), "cuda-NVIDIA H100 80GB HBM3"));
        let kernels = h100.kernels.unwrap();
        assert!(kernels.is_dir() && h100.autotune.is_dir());
        assert_eq!(kernels, root.path().join(VERSIONS).join("cuda-sm90-nvrtc13.0"));
        assert!(h100.autotune.ends_with("cuda-NVIDIA-H100-80GB-HBM3"), "{}", h100.autotune.display());

        let h200 = below(root.path(), &subject(Some("cuda-sm90-nvrtc13.0"), "cuda-NVIDIA H200"));
        assert_eq!(h200.kernels.unwrap(), kernels, "the same code runs on both");
        assert_ne!(h200.autotune, h100.autotune, "timings differ");
        for other in ["cuda-sm100-nvrtc13.0", "cuda-sm90-nvrtc12.8"] {
            assert_ne!(below(root.path(), &subject(Some(other), "x")).kernels.unwrap(), kernels, "{other}");
        }
        assert_eq!(below(root.path(), &subject(None, "x")).kernels, None);
        // A name from a driver stays one folder.
        let odd = below(root.path(), &subject(None, "../../a\\b\0c: d"));
        assert_eq!(odd.autotune.parent().unwrap(), root.path().join(VERSIONS));
    }

    #[test]
    fn the_versions_are_those_of_the_lock_file() {
        let (crates, hash) = VERSIONS.rsplit_once('-').unwrap();
        assert!(crates.starts_with("cubecl-0.") && hash.len() == 16, "{VERSIONS}");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let root = tempfile::NamedTempFile::new().unwrap();
        let (place, _) = KernelCache::below(root.path(), &subject(Some("k"), "g")).unwrap_err();
        assert!(place.starts_with(root.path()), "{}", place.display());
    }

    #[test]
    fn nothing_can_be_written_where_nothing_is_kept() {
        let none = KernelCache::none();
        assert_eq!(none.kernels, None);
        assert!(fs::create_dir_all(&none.autotune).is_err(), "{}", none.autotune.display());
    }

    #[test]
    fn an_old_lock_is_removed_and_a_new_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let subject = subject(Some("k"), "g");
        let kernels = below(root.path(), &subject).kernels.unwrap();
        let folder = kernels.join("cuda/0.10.0/ptx");
        fs::create_dir_all(&folder).unwrap();
        let [old, new] = ["toc.json.log.lock", "other.json.log.lock"].map(|name| folder.join(name));
        fs::write(&new, "").unwrap();
        let file = File::create(&old).unwrap();
        file.set_modified(std::time::SystemTime::now() - 2 * LOCK_EXPIRES).unwrap();
        below(root.path(), &subject);
        assert!(!old.exists() && new.exists());
        // Nothing else is left or lost.
        assert_eq!(fs::read_dir(&kernels).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_kernels_does_not_grow_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let subject = subject(Some("k"), "g");
        let kernels = below(root.path(), &subject).kernels.unwrap();
        for (length, kept) in [(MOST_KERNELS, true), (MOST_KERNELS + 1, false)] {
            let [file, contents] = ["chunk0.cbor", "toc.json.log"].map(|name| kernels.join(name));
            File::create(&file).unwrap().set_len(length).unwrap();
            fs::write(&contents, "").unwrap();
            below(root.path(), &subject);
            assert_eq!([file.exists(), contents.exists()], [kept; 2], "{length} bytes");
        }
    }

    /// Files of another user, after a run as root.
    #[cfg(unix)]
    #[test]
    fn files_that_cannot_be_added_to_are_named() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let subject = subject(Some("k"), "g");
        let kernels = below(root.path(), &subject).kernels.unwrap();
        let file = kernels.join("chunk0.cbor");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        if OpenOptions::new().append(true).open(&file).is_ok() {
            return; // Nothing is forbidden to root.
        }
        assert_eq!(KernelCache::below(root.path(), &subject).unwrap_err().0, file);
    }
}
