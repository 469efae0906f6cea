//! Collects the sources of a split: in memory, or, as soon as they exceed a limit, in a file.

use std::io;

use crate::error::DataError;
use crate::images::pixel_file::{PixelKey, PixelWriter};
use crate::images::{OwnedSource, Sources};

/// Takes the sources of a split in their order. Their sizes are not known before.
pub(super) struct SourceSink<'a> {
    key: &'a PixelKey,
    /// The most bytes in memory.
    limit: usize,
    /// The images in memory, while there is no file.
    held: Vec<OwnedSource>,
    held_bytes: usize,
    writer: Option<PixelWriter<'a>>,
    sizes: Vec<(usize, usize)>,
    /// Why no file can hold the images.
    failure: Option<io::Error>,
}

impl<'a> SourceSink<'a> {
    pub fn new(key: &'a PixelKey, limit: usize) -> Self {
        Self { key, limit, held: Vec::new(), held_bytes: 0, writer: None, sizes: Vec::new(), failure: None }
    }

    /// Forgets all images.
    pub fn restart(&mut self) {
        *self = Self::new(self.key, self.limit);
    }

    /// Adds the next images; a broken one is empty.
    pub fn push(&mut self, images: Vec<OwnedSource>) {
        if self.failure.is_some() {
            return;
        }
        self.sizes.extend(images.iter().map(|image| image.size));
        if self.writer.is_none() {
            self.held_bytes += images.iter().map(|image| image.pixels.len()).sum::<usize>();
            self.held.extend(images);
            if self.held_bytes > self.limit {
                let held = std::mem::take(&mut self.held);
                self.failure = self.key.create().and_then(|writer| self.write(writer, &held)).err();
            }
        } else if let Some(writer) = self.writer.take() {
            self.failure = self.write(writer, &images).err();
        }
    }

    /// Writes images to the file, or, if the disk of the dataset is full, to a temporary one.
    fn write(&mut self, mut writer: PixelWriter<'a>, images: &[OwnedSource]) -> io::Result<()> {
        let mut left = images;
        while let Some((image, rest)) = left.split_first() {
            match writer.write(&image.pixels) {
                Ok(()) => left = rest,
                Err(_) if writer.is_lasting() => writer = writer.moved()?,
                Err(error) => return Err(error),
            }
        }
        self.writer = Some(writer);
        Ok(())
    }

    /// All images, of which these are broken.
    ///
    /// # Errors
    /// If they exceed the limit, and no file can hold them.
    pub fn finish(self, broken: &[(usize, String)]) -> Result<Sources, DataError> {
        let Self { key, limit, held, writer, sizes, failure, .. } = self;
        let stored = match (failure, writer) {
            (Some(error), _) => Err(error),
            (None, None) => return Ok(Sources::in_memory(held)),
            (None, Some(writer)) => writer.finish(&sizes, broken),
        };
        let stored = stored.map_err(|source| DataError::SourcesDoNotFit {
            limit,
            path: key.path(),
            temporary: std::env::temp_dir(),
            source,
        })?;
        Ok(Sources::mapped(stored.pixels, &stored.sizes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::pixel_file::Shape;

    fn source(value: u8, size: (usize, usize)) -> OwnedSource {
        OwnedSource { pixels: vec![value; 3 * size.0 * size.1].into(), size }
    }

    #[test]
    fn a_file_goes_on_as_a_temporary_one() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["a", "b", "c"];
        let key = PixelKey::new(dir.path(), "folder-train".into(), Shape::Source(9), 1, names.into_iter());
        let images = [source(7, (2, 3)), source(8, (4, 1)), source(9, (1, 1))];
        let mut writer = key.create().unwrap();
        assert!(writer.is_lasting());
        writer.write(&images[0].pixels).unwrap();
        let mut writer = writer.moved().unwrap();
        assert!(!writer.is_lasting());
        writer.write(&images[1].pixels).unwrap();
        writer.write(&images[2].pixels).unwrap();
        let sizes: Vec<_> = images.iter().map(|image| image.size).collect();
        let stored = writer.finish(&sizes, &[]).unwrap();
        let found = Sources::mapped(stored.pixels, &stored.sizes);
        for (index, image) in images.iter().enumerate() {
            assert_eq!((found.get(index).pixels(), found.size(index)), (&image.pixels[..], image.size));
        }
        // Nothing is left in the dataset's folder, and no later run finds the file.
        assert_eq!(std::fs::read_dir(dir.path().join(".qare-cache")).unwrap().count(), 0);
        assert!(key.find().is_none());
    }
}
