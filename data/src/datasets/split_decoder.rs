//! Decodes the image files of one split on all threads, into memory or into a file.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::catalog::Entry;
use super::image_file::{Counter, Decoding, decode, decode_wanted};
use super::source_sink::SourceSink;
use crate::decoding::Wanted;
use crate::error::DataError;
use crate::images::pixel_file::{PixelKey, PixelWriter, Shape, Stored};
use crate::images::{ImageSet, MappedPixels, Sources};

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
    ///
    /// # Errors
    /// If sources are wanted, exceed the limit, and no file can hold them.
    pub fn set(
        &self,
        name: String,
        memory_limit: usize,
        class_names: &[String],
    ) -> Result<(ImageSet, Vec<DataError>), DataError> {
        let key = |shape| {
            let files = self.entries.iter().map(|entry| entry.name.as_str());
            PixelKey::new(self.root, name.clone(), shape, self.how.max_pixels, files)
        };
        let source_key = self.how.source.map(|most| key(Shape::Source(most)));
        let found_sources = source_key.as_ref().and_then(|key| self.found(key));
        let mut sink =
            source_key.as_ref().filter(|_| found_sources.is_none()).map(|key| SourceSink::new(key, memory_limit));

        let stored = if self.entries.len() * self.image_size() > memory_limit {
            self.file(&key(Shape::Square(self.how.side)), memory_limit, &mut sink)
        } else {
            None
        };
        let (labels, names): (Vec<u16>, Vec<String>) =
            self.entries.iter().map(|entry| (entry.label, entry.name.clone())).unzip();
        let (side, classes) = (self.how.side, class_names.to_vec());
        let (images, broken) = match stored {
            Some((Some(pixels), broken)) => (ImageSet::mapped(pixels, labels, side, classes)?, broken),
            Some((None, broken)) => (ImageSet::new(Vec::new(), Vec::new(), side, classes)?, broken),
            None => {
                let (pixels, broken) = self.memory(memory_limit, &mut sink);
                (ImageSet::new(pixels, labels, side, classes)?, broken)
            }
        };
        let mut all_broken: BTreeMap<usize, String> = broken.iter().cloned().collect();
        all_broken.extend(found_sources.iter().flat_map(|stored| stored.broken.iter().cloned()));
        let problems = all_broken.iter().map(|(image, problem)| DataError::BadImage {
            path: self.root.join(&self.entries[*image].name),
            problem: problem.clone(),
        });
        let problems: Vec<DataError> = problems.collect();
        if !problems.is_empty() && !self.skip {
            return Ok((images.select(&[]), problems));
        }
        let sources = match (sink, found_sources) {
            (Some(sink), _) => Some(sink.finish(&broken)?),
            (None, Some(stored)) => Some(Sources::mapped(stored.pixels, &stored.sizes)),
            (None, None) => None,
        };
        let mut images = self.described(images.with_file_names(names)?.with_stored_sources(sources))?;
        if !problems.is_empty() {
            let sound: Vec<usize> = (0..images.len()).filter(|image| !all_broken.contains_key(image)).collect();
            images = images.select(&sound);
        }
        Ok((images.without_needless_sources(), problems))
    }

    /// The images of an earlier run, unless one that was broken no longer is: its permissions may have changed since.
    fn found(&self, key: &PixelKey) -> Option<Stored> {
        key.find().filter(|stored| {
            let mut pixels = vec![0; self.image_size()];
            let mut is_broken = |image: usize| decode(self.root, &self.entries[image], self.how, &mut pixels).is_err();
            stored.broken.iter().all(|(image, _)| is_broken(*image))
        })
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

    /// The number of images that are decoded at a time.
    fn block(&self, memory_limit: usize, sources: bool) -> usize {
        // Of photographs, most have sides of 4:3.
        let source = if sources { self.how.source.map_or(0, |most| 4 * most * most) } else { 0 };
        let image = self.image_size() + source;
        ((memory_limit / 4).clamp(image, BLOCK.max(image)) / image).max(1)
    }

    /// The pixels of all images in memory, and the broken ones.
    fn memory(&self, memory_limit: usize, sink: &mut Option<SourceSink>) -> (Vec<u8>, Broken) {
        if let Some(sink) = sink {
            sink.restart();
        }
        let images = if sink.is_some() { self.block(memory_limit, true) } else { self.entries.len().max(1) };
        let (mut pixels, mut broken) = (vec![0; self.entries.len() * self.image_size()], Broken::new());
        let blocks = self.entries.chunks(images).zip(pixels.chunks_mut(images * self.image_size()));
        for (number, (entries, pixels)) in blocks.enumerate() {
            broken.extend(self.decode(entries, number * images, Some(pixels), sink));
        }
        (pixels, broken)
    }

    /// The images in a file, and the broken ones; `None` if no file can be written. If there are broken images and `skip` is
    /// false, there is no file.
    fn file(
        &self,
        key: &PixelKey,
        memory_limit: usize,
        sink: &mut Option<SourceSink>,
    ) -> Option<(Option<MappedPixels>, Broken)> {
        if let Some(Stored { pixels, mut broken, .. }) = self.found(key) {
            if sink.is_some() {
                let images = self.block(memory_limit, true);
                let blocks = self.entries.chunks(images).enumerate();
                broken = blocks.flat_map(|(number, part)| self.decode(part, number * images, None, sink)).collect();
            } else {
                self.counter.add(self.entries.len());
            }
            return Some((Some(pixels), broken));
        }
        let writer = key.create().ok()?;
        let lasting = writer.is_lasting();
        let images = self.block(memory_limit, sink.is_some());
        let written = self.write(writer, images, sink);
        if written.is_none() && lasting {
            // The disk of the dataset may be full, and that of temporary files not.
            return self.write(key.create_temporary().ok()?, images, sink);
        }
        written
    }

    /// Decodes block by block and writes each block; `None` if the file cannot be written.
    fn write(
        &self,
        mut writer: PixelWriter,
        images: usize,
        sink: &mut Option<SourceSink>,
    ) -> Option<(Option<MappedPixels>, Broken)> {
        if let Some(sink) = sink {
            sink.restart();
        }
        let mut pixels = vec![0; images.min(self.entries.len()) * self.image_size()];
        let mut all_broken = Broken::new();
        for (number, entries) in self.entries.chunks(images).enumerate() {
            let pixels = &mut pixels[..entries.len() * self.image_size()];
            let broken = self.decode(entries, number * images, Some(pixels), sink);
            for (image, _) in &broken {
                pixels[(image - number * images) * self.image_size()..][..self.image_size()].fill(0);
            }
            all_broken.extend(broken);
            // After a broken image that must not be skipped, decoding goes on only to find the others.
            if (self.skip || all_broken.is_empty()) && writer.write(pixels).is_err() {
                return None;
            }
        }
        if !self.skip && !all_broken.is_empty() {
            return Some((None, all_broken));
        }
        let Stored { pixels, broken, .. } = writer.finish(&[], &all_broken).ok()?;
        Some((Some(pixels), broken))
    }

    /// Decodes entries in parallel, of which the first is image `first`, and returns the broken ones in order. The squares go to `pixels`, and
    /// the sources to the sink.
    fn decode(
        &self,
        entries: &[Entry],
        first: usize,
        pixels: Option<&mut [u8]>,
        sink: &mut Option<SourceSink>,
    ) -> Broken {
        let source = self.how.source.filter(|_| sink.is_some());
        let squares: Vec<Option<&mut [u8]>> = match pixels {
            Some(pixels) => pixels.chunks_exact_mut(self.image_size()).map(Some).collect(),
            None => entries.iter().map(|_| None).collect(),
        };
        let decoded = squares.into_par_iter().zip(entries).map(|(square, entry)| {
            let wanted = Wanted { square: square.map(|pixels| (self.how.side, pixels)), source };
            let decoded = decode_wanted(self.root, entry, self.how.max_pixels, wanted);
            self.counter.add(1);
            match decoded {
                Ok((_, source)) => (source, None),
                Err(DataError::BadImage { problem, .. }) => (None, Some(problem)),
                Err(other) => (None, Some(other.to_string())),
            }
        });
        let (sources, problems): (Vec<_>, Vec<_>) = decoded.unzip();
        if let Some(sink) = sink {
            sink.push(sources.into_iter().map(Option::unwrap_or_default).collect());
        }
        let problems = problems.into_iter().enumerate();
        problems.filter_map(|(place, problem)| Some((first + place, problem?))).collect()
    }
}
