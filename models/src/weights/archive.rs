//! Opens zip archives, in a time that a file cannot draw out.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::ZipArchive;

/// Bytes that are read at once in the directory, which the library reads entry by entry.
const CHUNK: usize = 512;
/// Bytes that may be read to find and read the directory, besides sixteen times the size of the file …
const SPARE: u64 = 16 << 20;
/// … and at most. A sound archive of 100,000 members needs a tenth of it.
const MOST: u64 = 512 << 20;

pub(super) type Archive<R> = ZipArchive<BufReader<Bounded<R>>>;

/// Reads the directory of an archive. A file with many false ends of a directory is an error, though the library would try
/// them one by one.
pub(super) fn open<R: Read + Seek>(mut file: R) -> Result<Archive<R>, String> {
    let size = file.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
    let left = Rc::new(Cell::new(SPARE + size.saturating_mul(16).min(MOST)));
    let bounded = Bounded { inner: file, left: left.clone() };
    let archive = ZipArchive::new(BufReader::with_capacity(CHUNK, bounded)).map_err(|error| error.to_string())?;
    left.set(u64::MAX);
    Ok(archive)
}

/// A reader that ends with an error once so many bytes were read.
pub(super) struct Bounded<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // Each call takes time, however little it reads.
        match self.left.get().checked_sub(count.max(CHUNK) as u64) {
            Some(left) => self.left.set(left),
            None => return Err(io::Error::other("it has no sound directory")),
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.inner.seek(place)
    }
}
