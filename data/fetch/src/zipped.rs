//! Reads the entries of a zip archive.

use std::fs::File;
use std::io::{BufReader, Seek};

use zip::ZipArchive;

use crate::unpacker::Unpacker;
use crate::{Event, FetchError};

/// The bits of a Unix mode that contain the type of an entry.
const KIND: u32 = 0o170_000;
const PLAIN_FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// Passes all entries to `into`.
pub(super) fn unpack(
    mut archive: &File,
    into: &mut Unpacker<'_>,
    progress: &dyn Fn(Event<'_>),
) -> Result<(), FetchError> {
    let total = archive.metadata().and_then(|found| archive.rewind().map(|()| found.len()));
    let total = total.map_err(|error| into.unreadable(&error))?;
    let mut zip = ZipArchive::new(BufReader::new(archive)).map_err(|error| into.unreadable(&error))?;
    let limits = into.limits();
    if zip.len() as u64 > limits.entries {
        return Err(into.too_large(limits.entries, "files and folders"));
    }
    let mut done = 0;
    for index in 0..zip.len() {
        progress(Event::Unpacking { done, total });
        let entry = zip.by_index(index).map_err(|error| into.unreadable(&error))?;
        let name = entry.name().to_owned();
        match entry.unix_mode().unwrap_or(0) & KIND {
            LINK => return Err(into.harmful(&name, "it is a link")),
            0 | PLAIN_FILE | FOLDER => {}
            _ => return Err(into.harmful(&name, "it is neither a file nor a folder")),
        }
        done = (done + entry.compressed_size()).min(total);
        if entry.is_dir() {
            into.folder(&name)?;
        } else {
            into.file(&name, entry.size(), entry)?;
        }
    }
    progress(Event::Unpacking { done: total, total });
    Ok(())
}
