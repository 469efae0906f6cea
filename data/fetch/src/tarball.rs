//! Reads the entries of a compressed tar archive.

use std::cell::Cell;
use std::fs::File;
use std::io::{Read, Seek};

use flate2::read::GzDecoder;
use tar::EntryType;

use crate::unpacker::Unpacker;
use crate::{Event, FetchError};

/// The most bytes per entry besides the content of files: a header, headers for a long name, and padding.
const OVERHEAD_PER_ENTRY: u64 = 4096;

/// Passes all entries to `into`.
pub(super) fn unpack(
    mut archive: &File,
    into: &mut Unpacker<'_>,
    progress: &dyn Fn(Event<'_>),
) -> Result<(), FetchError> {
    let total = archive.metadata().and_then(|found| archive.rewind().map(|()| found.len()));
    let total = total.map_err(|error| into.unreadable(&error))?;
    let limits = into.limits();
    let most = limits.bytes + limits.entries * OVERHEAD_PER_ENTRY + (1 << 20);
    let (packed, unpacked) = (Cell::new(0), Cell::new(0));
    // The limit includes what is decompressed into memory only, as long names.
    let stream = GzDecoder::new(Counted { reader: archive, count: &packed }).take(most + 1);
    let mut tar = tar::Archive::new(Counted { reader: stream, count: &unpacked });
    let result = entries(&mut tar, into, || progress(Event::Unpacking { done: packed.get().min(total), total }));
    if unpacked.get() > most {
        return Err(into.too_large(limits.bytes, "bytes"));
    }
    result?;
    // Read to the end, where gzip stores its checksum.
    std::io::copy(&mut tar.into_inner(), &mut std::io::sink()).map_err(|error| into.unreadable(&error))?;
    if unpacked.get() > most {
        return Err(into.too_large(limits.bytes, "bytes"));
    }
    progress(Event::Unpacking { done: total, total });
    Ok(())
}

fn entries<R: Read>(tar: &mut tar::Archive<R>, into: &mut Unpacker<'_>, step: impl Fn()) -> Result<(), FetchError> {
    let entries = tar.entries().map_err(|error| into.unreadable(&error))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| into.unreadable(&error))?;
        let name = entry.path_bytes().into_owned();
        let Ok(name) = String::from_utf8(name) else {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            return Err(into.harmful(&name, "its name is not UTF-8"));
        };
        step();
        match entry.header().entry_type() {
            // Attributes of all entries; none of them matters here.
            EntryType::XGlobalHeader => {}
            EntryType::Directory => into.folder(&name)?,
            // The original tar format stores folders this way.
            EntryType::Regular if name.ends_with('/') && entry.size() == 0 => into.folder(&name)?,
            EntryType::Regular | EntryType::Continuous => {
                let size = entry.size();
                into.file(&name, size, Watched { reader: &mut entry, step: &step })?;
            }
            EntryType::Symlink | EntryType::Link => return Err(into.harmful(&name, "it is a link")),
            _ => return Err(into.harmful(&name, "it is neither a file nor a folder")),
        }
    }
    Ok(())
}

/// A reader that counts bytes.
struct Counted<'a, R> {
    reader: R,
    count: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count.set(self.count.get() + count as u64);
        Ok(count)
    }
}

/// A reader that reports progress before each read.
struct Watched<'a, R, F> {
    reader: R,
    step: &'a F,
}

impl<R: Read, F: Fn()> Read for Watched<'_, R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (self.step)();
        self.reader.read(buffer)
    }
}
