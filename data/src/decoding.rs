//! From a list of image files to sets of images: decoded once, on all threads, into memory or into a file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::catalog::{Catalog, Entry};
use crate::dataset::{LoadOptions, Progress, Splits};
use crate::error::{DataError, broken_list, counted};
use crate::image_format::extension_of;
use crate::images::{ImageSet, MappedPixels};
use crate::picture::PictureReader;
use crate::pixel_file::{PixelKey, PixelWriter, Stored};
use crate::raster::ImageBytes;

/// Bytes of pixels that are decoded before they are written to a file.
const BLOCK: usize = 64 << 20;
/// Bytes that no pixel needs more of in any file.
const WIDEST: u64 = 32;
/// Files up to this size are read whatever the most pixels are.
const SMALL: u64 = 64 << 20;
/// Broken images that are named where there is room for one message.
const NAMED: usize = 10;
/// Broken images that a note names.
const NAMED_LEFT_OUT: usize = 5;

thread_local! {
    static READER: RefCell<PictureReader> = RefCell::default();
}

/// How image files are decoded.
#[derive(Clone, Copy)]
pub(crate) struct Decoding {
    pub side: usize,
    pub max_pixels: u64,
}

/// Decodes the file of one entry into `[3, side, side]`; returns its height and width.
pub(crate) fn decode(root: &Path, entry: &Entry, how: Decoding, out: &mut [u8]) -> Result<(usize, usize), DataError> {
    let path = root.join(&entry.name);
    let bad = |problem: String| DataError::BadImage { path: path.clone(), problem };
    let cannot = |error: std::io::Error| bad(format!("it cannot be read: {error}"));
    let metadata = fs::metadata(&path).map_err(cannot)?;
    if !metadata.is_file() {
        return Err(bad("it is no file".into()));
    }
    if metadata.len() > how.max_pixels.saturating_mul(WIDEST).max(SMALL) {
        return Err(bad(format!(
            "it has {} bytes, more than an image of {} pixels can have (--max-pixels)",
            metadata.len(),
            how.max_pixels
        )));
    }
    let bytes = fs::read(&path).map_err(cannot)?;
    let file = ImageBytes { bytes: &bytes, extension: &extension_of(&entry.name), max_pixels: how.max_pixels };
    READER.with_borrow_mut(|reader| reader.read(file, how.side, out)).map_err(bad)
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

/// Loads the images of a dataset, or reports the first problem that was found on the way, or all broken images together.
pub(crate) fn load(
    dataset: &str,
    mut catalog: Catalog,
    side: usize,
    options: &LoadOptions,
) -> Result<Splits, DataError> {
    if !catalog.problems.is_empty() {
        return Err(catalog.problems.swap_remove(0));
    }
    let counter = Counter::new(catalog.len(), options.progress);
    let how = Decoding { side, max_pixels: options.max_pixels };
    let set = |split, entries: &[Entry], labeled: bool| {
        let decoder = Decoder { root: &catalog.root, entries, how, skip: options.skip_broken, counter: &counter };
        let unlabeled = [crate::folder::UNLABELED.to_owned()];
        let names = if labeled { &catalog.class_names[..] } else { &unlabeled };
        let (set, broken) = decoder.set(format!("{dataset}-{split}"), options.memory_limit, names)?;
        Ok::<_, DataError>((if labeled { set } else { set.with_labels_unknown() }, broken))
    };
    let (train, mut broken) = set("train", &catalog.train, catalog.train_labeled)?;
    let (test, in_test) = set("test", &catalog.test, catalog.test_labeled)?;
    let (unlabeled, in_unlabeled) = set("unlabeled", &catalog.unlabeled, false)?;
    broken.extend(in_test);
    broken.extend(in_unlabeled);
    if !broken.is_empty() && !options.skip_broken {
        return Err(together(broken));
    }
    if !broken.is_empty() && train.is_empty() {
        return Err(nothing_left(&catalog, &broken));
    }
    let mut notes = std::mem::take(&mut catalog.notes);
    if !broken.is_empty() {
        notes.push(left_out(&broken));
        notes.extend(emptied(&catalog, train.labels(), test.len()));
    }
    let unlabeled = (!unlabeled.is_empty()).then_some(unlabeled);
    Ok(Splits { unlabeled, notes, skipped: broken, ..Splits::new(train, test) })
}

/// What is said where no training image is left.
pub(crate) fn nothing_left(catalog: &Catalog, broken: &[DataError]) -> DataError {
    let count = counted(catalog.train.len(), "training image");
    let first = first_of(broken, 1)
        .0
        .into_iter()
        .map(|(path, problem)| format!(", the first of them {}: {problem}", path.display()));
    let problem = format!("all {count} are broken{}", first.collect::<String>());
    DataError::Layout { path: catalog.root.clone(), problem, expected: "images that can be decoded" }
}

/// Classes that have lost all of their training images, of which those with these labels are left, and a lost test split.
pub(crate) fn emptied(catalog: &Catalog, train: &[u16], test: usize) -> Vec<String> {
    let before: BTreeSet<u16> = catalog.train.iter().map(|entry| entry.label).collect();
    let after: BTreeSet<u16> = train.iter().copied().collect();
    let lost = before.difference(&after).filter_map(|label| catalog.class_names.get(usize::from(*label)));
    let classes = lost.map(|name| format!("all training images of class {name} are broken"));
    let tests = (test == 0 && !catalog.test.is_empty()).then(|| "all test images are broken".to_owned());
    classes.chain(tests).collect()
}

/// The note about broken images that are left out.
pub(crate) fn left_out(broken: &[DataError]) -> String {
    let (first, more) = first_of(broken, NAMED_LEFT_OUT);
    format!("{} left out:{}", counted(broken.len(), "broken image"), broken_list(&first, more))
}

/// All broken images in one message, the first few by name.
fn together(mut problems: Vec<DataError>) -> DataError {
    if problems.len() == 1 {
        return problems.remove(0);
    }
    let (first, more) = first_of(&problems, NAMED);
    DataError::BadImages { first, more }
}

/// The first broken images, what is wrong with them, and how many there are besides.
fn first_of(problems: &[DataError], count: usize) -> (Vec<(PathBuf, String)>, usize) {
    let told = problems.iter().filter_map(|problem| match problem {
        DataError::BadImage { path, problem } => Some((path.clone(), problem.clone())),
        _ => None,
    });
    (told.take(count).collect(), problems.len().saturating_sub(count))
}

/// The images of one split.
struct Decoder<'a> {
    root: &'a Path,
    entries: &'a [Entry],
    how: Decoding,
    /// Whether broken images are left out.
    skip: bool,
    counter: &'a Counter<'a>,
}

/// Places of broken images, in order, and what is wrong with them.
type Broken = Vec<(usize, String)>;

impl Decoder<'_> {
    fn image_size(&self) -> usize {
        3 * self.how.side * self.how.side
    }

    /// The images that are not broken, and the others. If broken ones are not to be left out and there are some, there are
    /// no images.
    fn set(
        &self,
        name: String,
        memory_limit: usize,
        class_names: &[String],
    ) -> Result<(ImageSet, Vec<DataError>), DataError> {
        let stored =
            if self.entries.len() * self.image_size() > memory_limit { self.file(name, memory_limit) } else { None };
        let (labels, names): (Vec<u16>, Vec<String>) =
            self.entries.iter().map(|entry| (entry.label, entry.name.clone())).unzip();
        let (side, classes) = (self.how.side, class_names.to_vec());
        let (images, broken) = match stored {
            Some((Some(pixels), broken)) => (ImageSet::mapped(pixels, labels, side, classes)?, broken),
            Some((None, broken)) => (ImageSet::new(Vec::new(), Vec::new(), side, classes)?, broken),
            None => {
                let mut pixels = vec![0; self.entries.len() * self.image_size()];
                let broken = self.decode(self.entries, &mut pixels);
                (ImageSet::new(pixels, labels, side, classes)?, broken)
            }
        };
        let problems = broken.iter().map(|(image, problem)| DataError::BadImage {
            path: self.root.join(&self.entries[*image].name),
            problem: problem.clone(),
        });
        let problems: Vec<DataError> = problems.collect();
        if problems.is_empty() {
            return Ok((images.with_file_names(names)?, problems));
        }
        if !self.skip {
            return Ok((images.select(&[]), problems));
        }
        let images = images.with_file_names(names)?;
        let broken: std::collections::BTreeSet<usize> = broken.into_iter().map(|(image, _)| image).collect();
        let sound: Vec<usize> = (0..images.len()).filter(|image| !broken.contains(image)).collect();
        Ok((images.select(&sound), problems))
    }

    /// The images in a file and the broken ones, or `None` if none can be written. With broken images that are not to be
    /// left out there is no file.
    fn file(&self, name: String, memory_limit: usize) -> Option<(Option<MappedPixels>, Broken)> {
        let files = self.entries.iter().map(|entry| entry.name.as_str());
        let key = PixelKey::new(self.root, name, self.how.side, self.how.max_pixels, files);
        if let Some(Stored { pixels, broken }) = key.find().filter(|stored| self.still_broken(&stored.broken)) {
            self.counter.add(self.entries.len());
            return Some((Some(pixels), broken));
        }
        let writer = key.create().ok()?;
        let lasting = writer.is_lasting();
        let block = (memory_limit / 4).clamp(self.image_size(), BLOCK.max(self.image_size()));
        let written = self.write(writer, block);
        if written.is_none() && lasting {
            // The dataset's disk may be full and that of the temporary files not.
            return self.write(key.create_temporary().ok()?, block);
        }
        written
    }

    /// Whether images that could not be decoded in an earlier run still cannot. Rights to read them may have changed.
    fn still_broken(&self, broken: &Broken) -> bool {
        let mut pixels = vec![0; self.image_size()];
        broken.iter().all(|(image, _)| decode(self.root, &self.entries[*image], self.how, &mut pixels).is_err())
    }

    /// `None` if the file cannot be written.
    fn write(&self, mut writer: PixelWriter, block: usize) -> Option<(Option<MappedPixels>, Broken)> {
        let images = block / self.image_size();
        let mut pixels = vec![0; images.min(self.entries.len()) * self.image_size()];
        let mut all_broken = Broken::new();
        for (number, entries) in self.entries.chunks(images).enumerate() {
            let pixels = &mut pixels[..entries.len() * self.image_size()];
            let broken = self.decode(entries, pixels);
            for (place, _) in &broken {
                pixels[place * self.image_size()..][..self.image_size()].fill(0);
            }
            all_broken.extend(broken.into_iter().map(|(place, problem)| (number * images + place, problem)));
            // Once an image is broken that may not be left out, the rest is only decoded to find the others.
            if (self.skip || all_broken.is_empty()) && writer.write(pixels).is_err() {
                return None;
            }
        }
        if !self.skip && !all_broken.is_empty() {
            return Some((None, all_broken));
        }
        let Stored { pixels, broken } = writer.finish(&all_broken).ok()?;
        Some((Some(pixels), broken))
    }

    /// Decodes some of the entries and returns those that are broken, in their order.
    fn decode(&self, entries: &[Entry], pixels: &mut [u8]) -> Broken {
        pixels
            .par_chunks_exact_mut(self.image_size())
            .zip(entries)
            .enumerate()
            .filter_map(|(place, (pixels, entry))| {
                let problem = decode(self.root, entry, self.how, pixels).err();
                self.counter.add(1);
                match problem? {
                    DataError::BadImage { problem, .. } => Some((place, problem)),
                    other => Some((place, other.to_string())),
                }
            })
            .collect()
    }
}
