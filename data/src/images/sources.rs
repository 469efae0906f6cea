//! The images that crops are drawn from: larger than the images of a set, and each of its own size.

use std::sync::Arc;

use super::mapped::MappedPixels;
use super::source_image::SourceImage;

/// An image that owns its pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedSource {
    /// Planar pixels, `[3, height, width]`.
    pub pixels: Box<[u8]>,
    /// Height and width.
    pub size: (usize, usize),
}

/// Images of various sizes, in memory or in a mapped file. Clones and selections share the pixels.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pixels: Pixels,
    /// The position of each image among all that are stored; `None` for the identity.
    places: Option<Arc<Vec<usize>>>,
}

#[derive(Clone, Debug)]
enum Pixels {
    Memory(Arc<Vec<OwnedSource>>),
    File {
        file: MappedPixels,
        /// The byte offset in the file, and height and width, of each image.
        table: Arc<Vec<(usize, (usize, usize))>>,
    },
}

impl Sources {
    pub fn in_memory(images: Vec<OwnedSource>) -> Self {
        Self { pixels: Pixels::Memory(Arc::new(images)), places: None }
    }

    /// Images that follow each other in a file.
    pub fn mapped(file: MappedPixels, sizes: &[(usize, usize)]) -> Self {
        let mut start = file.start;
        let place = |&size: &(usize, usize)| {
            let place = (start, size);
            start += 3 * size.0 * size.1;
            place
        };
        let table = Arc::new(sizes.iter().map(place).collect());
        Self { pixels: Pixels::File { file, table }, places: None }
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        match (&self.places, &self.pixels) {
            (Some(places), _) => places.len(),
            (None, Pixels::Memory(images)) => images.len(),
            (None, Pixels::File { table, .. }) => table.len(),
        }
    }

    fn place(&self, index: usize) -> usize {
        self.places.as_ref().map_or(index, |places| places[index])
    }

    /// One image.
    ///
    /// # Panics
    /// If there is no image `index`, or it is broken.
    pub fn get(&self, index: usize) -> SourceImage<'_> {
        let place = self.place(index);
        match &self.pixels {
            Pixels::Memory(images) => SourceImage::new(&images[place].pixels, images[place].size),
            Pixels::File { file, table } => {
                let (start, size) = table[place];
                SourceImage::new(&file.map[start..start + 3 * size.0 * size.1], size)
            }
        }
    }

    /// Height and width of an image.
    ///
    /// # Panics
    /// If there is no image `index`.
    pub fn size(&self, index: usize) -> (usize, usize) {
        match &self.pixels {
            Pixels::Memory(images) => images[self.place(index)].size,
            Pixels::File { table, .. } => table[self.place(index)].1,
        }
    }

    /// The number of bytes of all images.
    pub fn bytes(&self) -> usize {
        (0..self.len()).map(|index| self.size(index)).map(|(height, width)| 3 * height * width).sum()
    }

    pub fn is_in_memory(&self) -> bool {
        matches!(self.pixels, Pixels::Memory(_))
    }

    /// The images at `indices`, in that order.
    ///
    /// # Panics
    /// If an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Self {
        let places = indices.iter().map(|&index| self.place(index)).collect();
        Self { pixels: self.pixels.clone(), places: Some(Arc::new(places)) }
    }
}
