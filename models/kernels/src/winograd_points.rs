//! The tiles of images and of their convolutions, and memory for their values at 36 points.

use std::ops::Range;

use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::LINE;

/// Rows and columns of the outputs of a tile.
pub(crate) const TILE: usize = 4;

/// Rows and columns of the inputs that a tile sees, and of its points.
pub(crate) const WINDOW: usize = TILE + 2;

/// Points of a tile.
pub(crate) const POINTS: usize = WINDOW * WINDOW;

/// The tiles of a convolution of 3×3 weights and stride 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    /// Height and width of an image.
    pub side: [usize; 2],
    pub padding: usize,
    /// Height and width of its output.
    pub out: [usize; 2],
}

impl Tiling {
    /// # Panics
    ///
    /// If the weights are not 3×3, or the stride is not 1.
    pub fn new(sizes: &ConvSizes) -> Self {
        let ConvParams { height, width, kernel, stride, padding, .. } = sizes.params();
        assert_eq!((kernel, stride), (3, 1));
        Self { side: [height, width], padding, out: [sizes.out_height(), sizes.out_width()] }
    }

    /// Number of tiles of an image.
    pub fn tiles(&self) -> usize {
        self.out[0].div_ceil(TILE) * self.out[1].div_ceil(TILE)
    }

    /// Pixels of an image.
    pub fn pixels(&self) -> usize {
        self.side[0] * self.side[1]
    }

    /// Pixels of an output.
    pub fn out_pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// The tiles from `first` on.
    pub fn places(self, first: usize) -> impl Iterator<Item = Place> {
        let columns = self.out[1].div_ceil(TILE);
        let (image, at) = (first / self.tiles(), first % self.tiles());
        let start = Place { image, y: at / columns * TILE, x: at % columns * TILE };
        std::iter::successors(Some(start), move |place| {
            let mut next = Place { x: place.x + TILE, ..*place };
            if next.x >= self.out[1] {
                next = Place { x: 0, y: place.y + TILE, ..next };
            }
            if next.y >= self.out[0] {
                next = Place { y: 0, image: place.image + 1, ..next };
            }
            Some(next)
        })
    }

    /// The rows and columns that the window of a tile has in common with the image.
    pub fn seen(&self, place: Place) -> [Range<usize>; 2] {
        [(place.y, self.side[0]), (place.x, self.side[1])].map(|(at, side)| {
            // Row r of the window is row at + r − padding of the image.
            let first = self.padding.saturating_sub(at);
            first..(side + self.padding).saturating_sub(at).min(WINDOW)
        })
    }

    /// The rows and columns that a tile has in common with the output.
    pub fn written(&self, place: Place) -> [usize; 2] {
        [TILE.min(self.out[0] - place.y), TILE.min(self.out[1] - place.x)]
    }

    /// The pixel of the output that a tile begins with.
    pub fn first_output(&self, place: Place) -> usize {
        (place.image * self.out[0] + place.y) * self.out[1] + place.x
    }
}

/// The output that a tile begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub image: usize,
    pub y: usize,
    pub x: usize,
}

/// Values of tiles at their points, `[tiles, 36, C]`.
#[derive(Debug, Default)]
pub(crate) struct Points {
    values: Vec<f32>,
    tiles: usize,
    channels: usize,
}

impl Points {
    /// Memory for so many tiles. The values are unspecified.
    pub fn resize(&mut self, tiles: usize, channels: usize) {
        (self.tiles, self.channels) = (tiles, channels);
        self.values.resize(self.values.len().max(tiles * tile_len(channels) + LINE), 0.0);
    }

    pub fn tiles(&self) -> usize {
        self.tiles
    }

    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All values; no vector is in two lines of the cache.
    pub fn values(&self) -> &[f32] {
        &self.values[self.values.as_ptr().align_offset(LINE * size_of::<f32>())..]
            [..self.tiles * tile_len(self.channels)]
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        let start = self.values.as_ptr().align_offset(LINE * size_of::<f32>());
        &mut self.values[start..][..self.tiles * tile_len(self.channels)]
    }
}

/// Values of a tile, and a line between tiles: the values of neighbouring tiles at one point are read together, and would otherwise
/// fall into few sets of the cache.
pub(crate) const fn tile_len(channels: usize) -> usize {
    POINTS * channels + LINE
}
