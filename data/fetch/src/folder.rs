//! The unpacked folder: completeness and installation.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::archive::unpack;
use crate::unpacker::Contents;
use crate::{Event, FetchError, Source};

/// The first expected file that a folder lacks, as a message; `None` if the folder is complete.
pub(super) fn lacks(folder: &Path, source: &Source) -> Option<String> {
    source.files.iter().find_map(|expected| {
        let found = std::fs::metadata(folder.join(&expected.path));
        match (found, expected.size) {
            (Err(_), _) => Some(format!("it lacks `{}`", expected.path)),
            (Ok(found), Some(size)) if found.len() != size => {
                Some(format!("`{}` has {} bytes, expected {size}", expected.path, found.len()))
            }
            _ => None,
        }
    })
}

/// Unpacks an archive beside its final folder, and moves the folder there once it is complete.
pub(super) fn install(
    archive: &std::fs::File,
    source: &Source,
    dir: &Path,
    progress: &dyn Fn(Event<'_>),
) -> Result<Contents, FetchError> {
    let fresh = fresh(source, dir);
    // A killed call may have left it.
    remove(&fresh)?;
    let installed = unpack(archive, source, &fresh, progress).and_then(|contents| {
        let folder = fresh.join(&source.folder);
        match lacks(&folder, source) {
            Some(problem) => Err(FetchError::BadArchive { archive: source.file_name.clone(), problem }),
            None => replace(&folder, &dir.join(&source.folder), &old(source, dir)).map(|()| contents),
        }
    });
    let removed = remove(&fresh);
    // The first error is more telling.
    let contents = installed?;
    removed?;
    Ok(contents)
}

/// Moves `folder` to `place`, and removes the folder that was there.
fn replace(folder: &Path, place: &Path, aside: &Path) -> Result<(), FetchError> {
    let failed = |source| FetchError::Write { path: place.to_owned(), source };
    remove(aside)?;
    match std::fs::rename(place, aside) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    if let Err(error) = std::fs::rename(folder, place) {
        let _ = std::fs::rename(aside, place);
        return Err(failed(error));
    }
    remove(aside)
}

/// The folder in which an archive is unpacked.
fn fresh(source: &Source, dir: &Path) -> PathBuf {
    dir.join(format!(".unpacking-{}", source.folder))
}

/// The temporary name of a folder that is being replaced.
fn old(source: &Source, dir: &Path) -> PathBuf {
    dir.join(format!(".old-{}", source.folder))
}

/// Removes a folder, a file or a link, if it exists.
fn remove(path: &Path) -> Result<(), FetchError> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(FetchError::Write { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
