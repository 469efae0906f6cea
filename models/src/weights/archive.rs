//! Opens zip archives in bounded time, whatever the file holds.

use std::cell::Cell;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::rc::Rc;

use zip::ZipArchive;

/// Size of a read of the directory. The library reads it entry by entry.
const CHUNK: usize = 512;
/// The directory may take reads of sixteen times the size of the file, at most `MOST`, and `SPARE` more. A sound archive of
/// 100,000 members takes a tenth of `MOST`.
const SPARE: u64 = 16 << 20;
const MOST: u64 = 512 << 20;

pub(super) type Archive<R> = ZipArchive<BufReader<Bounded<R>>>;

/// Reads the directory of an archive. The library tries every end of a directory that it finds; a file with many false ones
/// is an error.
pub(super) fn open<R: Read + Seek>(mut file: R) -> Result<Archive<R>, String> {
    let size = file.seek(SeekFrom::End(0)).map_err(|error| error.to_string())?;
    let left = Rc::new(Cell::new(SPARE + size.saturating_mul(16).min(MOST)));
    let bounded = Bounded { inner: file, left: left.clone() };
    let archive = ZipArchive::new(BufReader::with_capacity(CHUNK, bounded)).map_err(|error| error.to_string())?;
    left.set(u64::MAX);
    Ok(archive)
}

/// A reader that fails after a number of bytes.
pub(super) struct Bounded<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // A call takes time even if it reads little.
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
