//! Decodes one image file of a dataset.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::catalog::Entry;
use super::options::Progress;
use crate::decoding::{ImageBytes, PictureReader, Wanted, extension_of};
use crate::error::DataError;
use crate::images::OwnedSource;

/// The most bytes that a pixel takes in any file.
const WIDEST: u64 = 32;
/// Files up to this size are always read.
const SMALL: u64 = 64 << 20;

thread_local! {
    static READER: RefCell<PictureReader> = RefCell::default();
}

/// Side of the decoded images, largest shorter side of their sources, if they are wanted, and limit on the pixels of a file.
#[derive(Clone, Copy)]
pub(crate) struct Decoding {
    pub side: usize,
    pub source: Option<usize>,
    pub max_pixels: u64,
}

/// Decodes the file of one entry into `out`, `[3, side, side]`, and returns the original height and width.
pub(crate) fn decode(root: &Path, entry: &Entry, how: Decoding, out: &mut [u8]) -> Result<(usize, usize), DataError> {
    decode_wanted(root, entry, how.max_pixels, Wanted { square: Some((how.side, out)), source: None })
        .map(|(size, _)| size)
}

/// Decodes the file of one entry, and returns the original height and width, and the source, if it is wanted.
pub(super) fn decode_wanted(
    root: &Path,
    entry: &Entry,
    max_pixels: u64,
    wanted: Wanted,
) -> Result<((usize, usize), Option<OwnedSource>), DataError> {
    let path = root.join(&entry.name);
    let bad = |problem: String| DataError::BadImage { path: path.clone(), problem };
    let cannot = |error: std::io::Error| bad(format!("it cannot be read: {error}"));
    let metadata = fs::metadata(&path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err(bad("it is not a file".into()));
    }
    if metadata.len() > max_pixels.saturating_mul(WIDEST).max(SMALL) {
        return Err(bad(format!(
            "it has {} bytes, more than an image of {} pixels can have (--max-pixels)",
            metadata.len(),
            max_pixels
        )));
    }
    let bytes = fs::read(&path).map_err(cannot)?;
    let file = ImageBytes { bytes: &bytes, extension: &extension_of(&entry.name), max_pixels };
    READER.with_borrow_mut(|reader| reader.read(file, wanted)).map_err(bad)
}

/// Counts decoded images for [`LoadOptions::progress`](super::LoadOptions::progress).
pub(crate) struct Counter<'a> {
    done: AtomicUsize,
    total: usize,
    progress: Option<Progress<'a>>,
}

impl<'a> Counter<'a> {
    pub fn new(total: usize, progress: Option<Progress<'a>>) -> Self {
        Self { done: AtomicUsize::new(0), total, progress }
    }

    pub fn add(&self, images: usize) {
        let done = self.done.fetch_add(images, Ordering::Relaxed) + images;
        if let Some(progress) = self.progress {
            // After a file could not be written, images are decoded again: the count must not exceed the total.
            progress(done.min(self.total), self.total);
        }
    }
}
