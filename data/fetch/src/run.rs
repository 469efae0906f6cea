//! Fetches an archive: download, checksum, unpacking.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::beginning::{PAGE, foreign};
use crate::checksum::md5_of;
use crate::download::Download;
use crate::folder::{install, lacks};
use crate::part::Part;
use crate::{Event, FetchError, FetchOptions, Fetched, Outcome, Source};

/// Downloads the archive of `source` to `dir`, verifies its checksum, and unpacks it to `dir/source.folder`.
///
/// A complete folder that exists is not changed. An archive in `dir` with the name [`Source::file_name`] is used instead of a
/// download, and kept. After an error or a kill, the next call resumes the download. `progress` receives the events.
///
/// # Errors
/// See [`FetchError`]. After an error, the folder is complete or unchanged.
pub fn fetch(
    source: &Source,
    dir: &Path,
    options: &FetchOptions,
    progress: &dyn Fn(Event<'_>),
) -> Result<Fetched, FetchError> {
    let folder = dir.join(&source.folder);
    if !options.overwrite && std::fs::symlink_metadata(&folder).is_ok() {
        return match lacks(&folder, source) {
            None => Ok(Fetched { folder, outcome: Outcome::AlreadyThere }),
            Some(problem) => Err(FetchError::Incomplete { folder, problem }),
        };
    }
    std::fs::create_dir_all(dir).map_err(|error| FetchError::Write { path: dir.to_owned(), source: error })?;
    let mut part = Part::open(dir, &source.file_name)?;
    let given = dir.join(&source.file_name);
    let got = match File::open(&given) {
        Ok(archive) => from_given(source, dir, &given, &archive, progress),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            from_network(source, dir, &given, options, &mut part, progress)
        }
        Err(error) => Err(FetchError::Read { path: given.clone(), source: error }),
    };
    let outcome = match got {
        Ok(outcome) => outcome,
        Err(error) => {
            // Remove an unusable archive, and an empty part.
            let useless = matches!(
                error,
                FetchError::Checksum { .. }
                    | FetchError::BadArchive { .. }
                    | FetchError::UnsafeArchive { .. }
                    | FetchError::TooLarge { .. }
            );
            if useless || part.length() == 0 {
                part.remove();
            }
            return Err(error);
        }
    };
    match &outcome {
        Outcome::Unpacked { archive: Some(archive), .. } if !archive.exists() => part.rename(archive)?,
        _ => part.remove(),
    }
    Ok(Fetched { folder, outcome })
}

/// Unpacks the archive that is already in `dir`.
fn from_given(
    source: &Source,
    dir: &Path,
    path: &Path,
    archive: &File,
    progress: &dyn Fn(Event<'_>),
) -> Result<Outcome, FetchError> {
    let found = md5_of(archive, progress).map_err(|error| FetchError::Read { path: path.to_owned(), source: error })?;
    if !found.eq_ignore_ascii_case(&source.md5) {
        let mut bytes = Vec::new();
        let mut start = archive;
        let read = start.seek(SeekFrom::Start(0)).and_then(|_| start.take(PAGE as u64).read_to_end(&mut bytes));
        let guess = match foreign(source.format, &bytes).filter(|_| read.is_ok()) {
            Some(found) => format!("it is {found}"),
            None => "it may be an unfinished download, or another version".to_owned(),
        };
        let (path, expected) = (path.to_owned(), source.md5.clone());
        return Err(FetchError::ArchiveChecksum { path, expected, found, guess });
    }
    let contents = install(archive, source, dir, progress)?;
    let archive = Some(path.to_owned());
    Ok(Outcome::Unpacked { downloaded: 0, files: contents.files, bytes: contents.bytes, archive })
}

/// Downloads the archive, or the rest of it, and unpacks it.
fn from_network(
    source: &Source,
    dir: &Path,
    given: &Path,
    options: &FetchOptions,
    part: &mut Part,
    progress: &dyn Fn(Event<'_>),
) -> Result<Outcome, FetchError> {
    let downloaded = Download::new(source, options, part, given, progress).run()?;
    let contents = install(part.file(), source, dir, progress)?;
    let archive = options.keep_archive.then(|| given.to_owned());
    Ok(Outcome::Unpacked { downloaded, files: contents.files, bytes: contents.bytes, archive })
}
