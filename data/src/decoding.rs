//! From a list of image files to sets of images: decoded once, on all threads, into memory or into a file.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::catalog::{Catalog, Entry};
use crate::dataset::{LoadOptions, Progress, Splits};
use crate::error::DataError;
use crate::images::{ImageSet, MappedPixels};
use crate::picture::PictureReader;
use crate::pixel_file::{PixelKey, PixelWriter};

/// Bytes of pixels that are decoded before they are written to a file.
const BLOCK: usize = 64 << 20;

thread_local! {
    static READER: RefCell<PictureReader> = RefCell::default();
}

/// Decodes the file of one entry into `[3, side, side]`; returns its height and width.
pub(crate) fn decode(root: &Path, entry: &Entry, side: usize, out: &mut [u8]) -> Result<(usize, usize), DataError> {
    let path = root.join(&entry.name);
    match fs::read(&path) {
        Err(source) => Err(DataError::Read { path, source }),
        Ok(bytes) => READER
            .with_borrow_mut(|reader| reader.read(&bytes, side, out))
            .map_err(|problem| DataError::BadImage { path, problem }),
    }
}

/// Counts images.
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
            // Images are decoded again if their file turned out not to be writable.
            progress(done.min(self.total), self.total);
        }
    }
}

/// Loads the images of a dataset, or reports the first problem that was found on the way.
pub(crate) fn load(
    dataset: &str,
    mut catalog: Catalog,
    side: usize,
    options: &LoadOptions,
) -> Result<Splits, DataError> {
    if !catalog.problems.is_empty() {
        return Err(catalog.problems.swap_remove(0));
    }
    let counter = Counter::new(catalog.train.len() + catalog.test.len(), options.progress);
    let set = |split, entries: &[Entry]| {
        let decoder = Decoder { root: &catalog.root, entries, side, counter: &counter };
        decoder.set(format!("{dataset}-{split}"), options.memory_limit, &catalog.class_names)
    };
    let (train, test) = (set("train", &catalog.train)?, set("test", &catalog.test)?);
    match (train, test) {
        (Ok(train), Ok(test)) => Ok(Splits { notes: catalog.notes, ..Splits::new(train, test) }),
        (train, test) => Err(together([train.err(), test.err()].into_iter().flatten().flatten().collect())),
    }
}

/// Broken images that are named where there is room for one message.
const NAMED: usize = 10;

/// All broken images in one message, the first few by name.
fn together(mut problems: Vec<DataError>) -> DataError {
    if problems.len() == 1 {
        return problems.remove(0);
    }
    let more = problems.len().saturating_sub(NAMED);
    let first = problems.into_iter().take(NAMED).map(|problem| match problem {
        DataError::BadImage { path, problem } => (path, problem),
        DataError::Read { path, source } => (path, format!("it cannot be read: {source}")),
        other => (Default::default(), other.to_string()),
    });
    DataError::BadImages { first: first.collect(), more }
}

/// The images of one split.
struct Decoder<'a> {
    root: &'a Path,
    entries: &'a [Entry],
    side: usize,
    counter: &'a Counter<'a>,
}

/// A result, or all images that are broken.
type Decoded<T> = Result<T, Vec<DataError>>;

impl Decoder<'_> {
    fn image_size(&self) -> usize {
        3 * self.side * self.side
    }

    fn set(&self, name: String, memory_limit: usize, class_names: &[String]) -> Result<Decoded<ImageSet>, DataError> {
        let labels: Vec<u16> = self.entries.iter().map(|entry| entry.label).collect();
        let mapped = if self.entries.len() * self.image_size() > memory_limit {
            match self.file(name, memory_limit) {
                Ok(mapped) => mapped,
                Err(problems) => return Ok(Err(problems)),
            }
        } else {
            None
        };
        let images = match mapped {
            Some(pixels) => ImageSet::mapped(pixels, labels, self.side, class_names.to_vec())?,
            None => match self.memory() {
                Ok(pixels) => ImageSet::new(pixels, labels, self.side, class_names.to_vec())?,
                Err(problems) => return Ok(Err(problems)),
            },
        };
        images.with_file_names(self.entries.iter().map(|entry| entry.name.clone()).collect()).map(Ok)
    }

    fn memory(&self) -> Decoded<Vec<u8>> {
        let mut pixels = vec![0; self.entries.len() * self.image_size()];
        let problems = self.decode(self.entries, &mut pixels);
        if problems.is_empty() { Ok(pixels) } else { Err(problems) }
    }

    /// The images in a file, or `None` if none can be written.
    fn file(&self, name: String, memory_limit: usize) -> Decoded<Option<MappedPixels>> {
        let files = self.entries.iter().map(|entry| entry.name.as_str());
        let Ok(key) = PixelKey::new(self.root, name, self.side, files) else {
            return Ok(None);
        };
        if let Some(found) = key.find() {
            self.counter.add(self.entries.len());
            return Ok(Some(found));
        }
        let Ok(writer) = key.create() else {
            return Ok(None);
        };
        let lasting = writer.is_lasting();
        let block = (memory_limit / 4).clamp(self.image_size(), BLOCK.max(self.image_size()));
        let written = self.write(writer, block)?;
        if written.is_none() && lasting {
            // The dataset's disk may be full and that of the temporary files not.
            return match key.create_temporary() {
                Ok(writer) => self.write(writer, block),
                Err(_) => Ok(None),
            };
        }
        Ok(written)
    }

    /// `None` if the file cannot be written.
    fn write(&self, mut writer: PixelWriter, block: usize) -> Decoded<Option<MappedPixels>> {
        let images = block / self.image_size();
        let mut pixels = vec![0; images.min(self.entries.len()) * self.image_size()];
        let mut problems = Vec::new();
        for entries in self.entries.chunks(images) {
            let pixels = &mut pixels[..entries.len() * self.image_size()];
            problems.extend(self.decode(entries, pixels));
            // Once an image is broken, the rest is only decoded to find the others.
            if problems.is_empty() && writer.write(pixels).is_err() {
                return Ok(None);
            }
        }
        if problems.is_empty() { Ok(writer.finish().ok()) } else { Err(problems) }
    }

    /// Decodes some of the entries and returns those that are broken, in their order.
    fn decode(&self, entries: &[Entry], pixels: &mut [u8]) -> Vec<DataError> {
        pixels
            .par_chunks_exact_mut(self.image_size())
            .zip(entries)
            .filter_map(|(pixels, entry)| {
                let problem = decode(self.root, entry, self.side, pixels).err();
                self.counter.add(1);
                problem
            })
            .collect()
    }
}
