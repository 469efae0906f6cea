//! Decodes the image files of one split on all threads, into memory or into a file.

use std::collections::BTreeSet;
use std::path::Path;

use rayon::prelude::*;

use super::catalog::Entry;
use super::image_file::{Counter, Decoding, decode};
use crate::error::DataError;
use crate::images::pixel_file::{PixelKey, PixelWriter, Stored};
use crate::images::{ImageSet, MappedPixels};

/// Number of decoded bytes that are written to the file at a time.
const BLOCK: usize = 64 << 20;

/// The image files of one split, and how to decode them.
pub(super) struct SplitDecoder<'a> {
    pub root: &'a Path,
    pub entries: &'a [Entry],
    pub how: Decoding,
    /// Whether broken images are skipped. Otherwise they are an error.
    pub skip: bool,
    pub counter: &'a Counter<'a>,
}

/// The indices of broken images, ascending, and what is wrong with each.
type Broken = Vec<(usize, String)>;

impl SplitDecoder<'_> {
    fn image_size(&self) -> usize {
        3 * self.how.side * self.how.side
    }

    /// The set of the sound images, and an error for each broken one. If there are broken images and `skip` is false, the set is
    /// empty.
    pub fn set(
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
            return Ok((self.described(images.with_file_names(names)?)?, problems));
        }
        if !self.skip {
            return Ok((images.select(&[]), problems));
        }
        let images = self.described(images.with_file_names(names)?)?;
        let broken: BTreeSet<usize> = broken.into_iter().map(|(image, _)| image).collect();
        let sound: Vec<usize> = (0..images.len()).filter(|image| !broken.contains(image)).collect();
        Ok((images.select(&sound), problems))
    }

    /// The set of all entries with their cameras and roles, if every entry has one.
    fn described(&self, mut images: ImageSet) -> Result<ImageSet, DataError> {
        if self.entries.is_empty() {
            return Ok(images);
        }
        if let Some(cameras) = self.entries.iter().map(|entry| entry.camera).collect() {
            images = images.with_cameras(cameras)?;
        }
        if let Some(roles) = self.entries.iter().map(|entry| entry.role).collect() {
            images = images.with_roles(roles)?;
        }
        Ok(images)
    }

    /// The images in a file, and the broken ones; `None` if no file can be written. If there are broken images and `skip` is
    /// false, there is no file.
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
            // The disk of the dataset may be full, and that of temporary files not.
            return self.write(key.create_temporary().ok()?, block);
        }
        written
    }

    /// Whether the images that an earlier run could not decode are still broken. Their permissions may have changed since.
    fn still_broken(&self, broken: &Broken) -> bool {
        let mut pixels = vec![0; self.image_size()];
        broken.iter().all(|(image, _)| decode(self.root, &self.entries[*image], self.how, &mut pixels).is_err())
    }

    /// Decodes block by block and writes each block; `None` if the file cannot be written.
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
            // After a broken image that must not be skipped, decoding goes on only to find the others.
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

    /// Decodes entries in parallel and returns the broken ones in order.
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
