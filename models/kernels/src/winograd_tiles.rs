//! The transforms of Winograd's algorithm in two dimensions: images, gradients and weights to the 36 points of their tiles, and back.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use pulp::{Simd, WithSimd};

use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::{load, store, vectorize};
use crate::winograd_lines::{inputs, output_gradients, outputs, weight_gradients, weights};

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
    side: [usize; 2],
    padding: usize,
    /// Height and width of its output.
    out: [usize; 2],
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
    fn places(self, first: usize) -> impl Iterator<Item = Place> {
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
    fn seen(&self, place: Place) -> [Range<usize>; 2] {
        [(place.y, self.side[0]), (place.x, self.side[1])].map(|(at, side)| {
            // Row r of the window is row at + r − padding of the image.
            let first = self.padding.saturating_sub(at);
            first..(side + self.padding).saturating_sub(at).min(WINDOW)
        })
    }

    /// The rows and columns that a tile has in common with the output.
    fn written(&self, place: Place) -> [usize; 2] {
        [TILE.min(self.out[0] - place.y), TILE.min(self.out[1] - place.x)]
    }

    /// The pixel of the output that a tile begins with.
    fn first_output(&self, place: Place) -> usize {
        (place.image * self.out[0] + place.y) * self.out[1] + place.x
    }
}

/// The output that a tile begins with.
#[derive(Clone, Copy, Debug)]
struct Place {
    image: usize,
    y: usize,
    x: usize,
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

/// Values of a line of the cache.
const LINE: usize = 16;

/// Values of a tile, and a line between tiles: the values of neighbouring tiles at one point are read together, and would otherwise
/// fall into few sets of the cache.
pub(crate) const fn tile_len(channels: usize) -> usize {
    POINTS * channels + LINE
}

/// Writes what tiles from `first` on see of images `[N, H, W, C]`, at their points.
///
/// # Panics
///
/// If the images have no such tiles of so many channels.
pub(crate) fn transform_images(tiling: &Tiling, images: &[f32], first: usize, points: &mut Points) {
    let image = tiling.pixels() * points.channels;
    assert!(images.len().is_multiple_of(image) && first + points.tiles <= images.len() / image * tiling.tiles());
    let zeros = vec![0.0; WINDOW * points.channels];
    vectorize(points.channels, TransformImages { tiling, images, first, points, zeros: &zeros });
}

/// Made by [`transform_images`] alone: the images have the tiles, there are the zeros of six pixels, and the lanes of a vector divide
/// the channels.
struct TransformImages<'a> {
    tiling: &'a Tiling,
    images: &'a [f32],
    first: usize,
    points: &'a mut Points,
    zeros: &'a [f32],
}

impl WithSimd for TransformImages<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // A step that the compiler knows becomes an offset in an address.
        match self.points.channels {
            16 => self.all::<S, 16>(simd),
            32 => self.all::<S, 32>(simd),
            64 => self.all::<S, 64>(simd),
            _ => self.all::<S, 0>(simd),
        }
    }
}

impl TransformImages<'_> {
    /// All tiles. C is the number of channels, or 0 for any.
    #[inline(always)]
    fn all<S: Simd, const C: usize>(self, simd: S) {
        let channels = if C == 0 { self.points.channels } else { C };
        let [height, width] = self.tiling.side;
        let row_len = width * channels;
        let padding = self.tiling.padding;
        let tiles = self.points.values_mut().chunks_exact_mut(tile_len(channels));
        for (place, to) in self.tiling.places(self.first).zip(tiles) {
            let [rows, columns] = self.tiling.seen(place);
            // The first pixel of the window, which the padding may put outside of the images.
            let first = ((place.image * height + place.y) * width + place.x) * channels;
            let first = self.images.as_ptr().wrapping_add(first).wrapping_sub((padding * width + padding) * channels);
            let mut starts = [self.zeros.as_ptr(); WINDOW];
            for row in 0..WINDOW {
                if rows.contains(&row) {
                    starts[row] = first.wrapping_add(row * row_len);
                }
            }
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); WINDOW]; WINDOW];
                for column in 0..WINDOW {
                    if columns.contains(&column) {
                        let mut line = [simd.splat_f32s(0.0); WINDOW];
                        for row in 0..WINDOW {
                            // SAFETY: the row is one of the image and has the pixel, or is six pixels of zeros; the vector from
                            // `channel` on is in a pixel.
                            line[row] = unsafe { load::<S>(starts[row].wrapping_add(column * channels + channel)) };
                        }
                        let line = inputs(simd, line);
                        for row in 0..WINDOW {
                            half[row][column] = line[row];
                        }
                    }
                }
                for row in 0..WINDOW {
                    let line = inputs(simd, half[row]);
                    for column in 0..WINDOW {
                        let at = (row * WINDOW + column) * channels + channel;
                        // SAFETY: a tile has a value for each point and channel.
                        unsafe { store::<S>(to.as_mut_ptr().add(at), line[column]) };
                    }
                }
            }
        }
    }
}

/// Writes the outputs of tiles from `first` on, `[N, H', W', C]`, given products at their points.
///
/// # Panics
///
/// If the outputs have no such tiles of so many channels.
pub(crate) fn transform_products(tiling: &Tiling, points: &Points, first: usize, out: &mut [f32]) {
    let image = tiling.out_pixels() * points.channels;
    assert!(out.len().is_multiple_of(image) && first + points.tiles <= out.len() / image * tiling.tiles());
    vectorize(points.channels, TransformProducts { tiling, points, first, out });
}

/// Made by [`transform_products`] alone: the outputs have the tiles, and the lanes of a vector divide the channels.
struct TransformProducts<'a> {
    tiling: &'a Tiling,
    points: &'a Points,
    first: usize,
    out: &'a mut [f32],
}

impl WithSimd for TransformProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.points.channels {
            16 => self.all::<S, 16>(simd),
            32 => self.all::<S, 32>(simd),
            64 => self.all::<S, 64>(simd),
            _ => self.all::<S, 0>(simd),
        }
    }
}

impl TransformProducts<'_> {
    /// All tiles. C is the number of channels, or 0 for any.
    #[inline(always)]
    fn all<S: Simd, const C: usize>(self, simd: S) {
        let channels = if C == 0 { self.points.channels } else { C };
        let row_len = self.tiling.out[1] * channels;
        let tiles = self.points.values().chunks_exact(tile_len(channels));
        for (place, from) in self.tiling.places(self.first).zip(tiles) {
            let [rows, columns] = self.tiling.written(place);
            let first = self.tiling.first_output(place) * channels;
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); WINDOW]; TILE];
                for column in 0..WINDOW {
                    let mut line = [simd.splat_f32s(0.0); WINDOW];
                    for row in 0..WINDOW {
                        let at = (row * WINDOW + column) * channels + channel;
                        // SAFETY: a tile has a value for each point and channel.
                        line[row] = unsafe { load::<S>(from.as_ptr().add(at)) };
                    }
                    let line = outputs(simd, line);
                    for row in 0..TILE {
                        half[row][column] = line[row];
                    }
                }
                for row in 0..TILE {
                    if row >= rows {
                        break;
                    }
                    let line = outputs(simd, half[row]);
                    let to = first + row * row_len + channel;
                    for column in 0..TILE {
                        if column < columns {
                            // SAFETY: the row and column are of the output, and the vector from `channel` on is in a pixel.
                            unsafe { store::<S>(self.out.as_mut_ptr().add(to + column * channels), line[column]) };
                        }
                    }
                }
            }
        }
    }
}

/// Writes the gradients of the outputs of tiles from `first` on, at their points: of the channels from `channel` on of the gradients
/// `[N, H', W', C]`.
///
/// # Panics
///
/// If the gradients have no such tiles or channels.
pub(crate) fn transform_gradients(
    tiling: &Tiling,
    gradients: &[f32],
    [channel, channels]: [usize; 2],
    first: usize,
    points: &mut Points,
) {
    let image = tiling.out_pixels() * channels;
    assert!(gradients.len().is_multiple_of(image) && channel + points.channels <= channels);
    assert!(first + points.tiles <= gradients.len() / image * tiling.tiles());
    vectorize(points.channels, TransformGradients { tiling, gradients, channel, channels, first, points });
}

/// Made by [`transform_gradients`] alone: the gradients have the tiles and channels, and the lanes of a vector divide the channels
/// of the points.
struct TransformGradients<'a> {
    tiling: &'a Tiling,
    gradients: &'a [f32],
    channel: usize,
    channels: usize,
    first: usize,
    points: &'a mut Points,
}

impl WithSimd for TransformGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.points.channels {
            16 => self.all::<S, 16>(simd),
            32 => self.all::<S, 32>(simd),
            64 => self.all::<S, 64>(simd),
            _ => self.all::<S, 0>(simd),
        }
    }
}

impl TransformGradients<'_> {
    /// All tiles. C is the number of channels of the points, or 0 for any.
    #[inline(always)]
    fn all<S: Simd, const C: usize>(self, simd: S) {
        let width = if C == 0 { self.points.channels } else { C };
        let row_len = self.tiling.out[1] * self.channels;
        let tiles = self.points.values_mut().chunks_exact_mut(tile_len(width));
        for (place, to) in self.tiling.places(self.first).zip(tiles) {
            let [rows, columns] = self.tiling.written(place);
            let first = self.tiling.first_output(place) * self.channels + self.channel;
            for channel in (0..width).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); TILE]; WINDOW];
                for column in 0..TILE {
                    if column >= columns {
                        break;
                    }
                    let mut line = [simd.splat_f32s(0.0); TILE];
                    for row in 0..TILE {
                        if row < rows {
                            let at = first + row * row_len + column * self.channels + channel;
                            // SAFETY: the row and column are of the output, and the vector from `channel` on is in a pixel.
                            line[row] = unsafe { load::<S>(self.gradients.as_ptr().add(at)) };
                        }
                    }
                    let line = output_gradients(simd, line);
                    for row in 0..WINDOW {
                        half[row][column] = line[row];
                    }
                }
                for row in 0..WINDOW {
                    let line = output_gradients(simd, half[row]);
                    for column in 0..WINDOW {
                        let at = (row * WINDOW + column) * width + channel;
                        // SAFETY: a tile has a value for each point and channel.
                        unsafe { store::<S>(to.as_mut_ptr().add(at), line[column]) };
                    }
                }
            }
        }
    }
}

/// Writes weights `[3, 3, C, w]` at the points, `[36, C, w]`.
///
/// # Panics
///
/// If the lengths are not those, w not a multiple of `lanes_of`, or `lanes_of` not a power of two.
pub(crate) fn transform_weights(width: usize, panel: &[f32], points: &mut [f32]) {
    assert!(panel.len().is_multiple_of(9 * width) && panel.len() * POINTS == points.len() * 9);
    vectorize(width, TransformWeights { panel, points });
}

/// Made by [`transform_weights`] alone: there are 9 and 36 times as many whole vectors.
struct TransformWeights<'a> {
    panel: &'a [f32],
    points: &'a mut [f32],
}

impl WithSimd for TransformWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let len = self.panel.len() / 9;
        for at in (0..len).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); 3]; WINDOW];
            for column in 0..3 {
                // SAFETY: `at` and the vector from there on are in a ninth of the weights.
                let read = |row: usize| unsafe { load::<S>(self.panel.as_ptr().add((row * 3 + column) * len + at)) };
                let line = weights(simd, [read(0), read(1), read(2)]);
                for row in 0..WINDOW {
                    half[row][column] = line[row];
                }
            }
            for row in 0..WINDOW {
                let line = weights(simd, half[row]);
                for column in 0..WINDOW {
                    // SAFETY: the points are 36 times as many.
                    unsafe {
                        store::<S>(self.points.as_mut_ptr().add((row * WINDOW + column) * len + at), line[column])
                    };
                }
            }
        }
    }
}

/// Writes the gradient of weights, `[3, 3, C, w]`, given sums at the points, `[36, C, w]`.
///
/// # Panics
///
/// If the lengths are not those.
pub(crate) fn transform_sums(width: usize, sums: &[f32], gradient: &mut [f32]) {
    assert!(gradient.len().is_multiple_of(9 * width) && gradient.len() * POINTS == sums.len() * 9);
    vectorize(width, TransformSums { sums, gradient });
}

/// Made by [`transform_sums`] alone: there are 36 and 9 times as many whole vectors.
struct TransformSums<'a> {
    sums: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for TransformSums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let len = self.gradient.len() / 9;
        for at in (0..len).step_by(S::F32_LANES) {
            let mut half = [[simd.splat_f32s(0.0); WINDOW]; 3];
            for column in 0..WINDOW {
                let mut line = [simd.splat_f32s(0.0); WINDOW];
                for row in 0..WINDOW {
                    // SAFETY: `at` and the vector from there on are in each of 36 parts of the sums.
                    line[row] = unsafe { load::<S>(self.sums.as_ptr().add((row * WINDOW + column) * len + at)) };
                }
                let line = weight_gradients(simd, line);
                for row in 0..3 {
                    half[row][column] = line[row];
                }
            }
            for row in 0..3 {
                let line = weight_gradients(simd, half[row]);
                for column in 0..3 {
                    // SAFETY: the gradient has nine such parts.
                    unsafe { store::<S>(self.gradient.as_mut_ptr().add((row * 3 + column) * len + at), line[column]) };
                }
            }
        }
    }
}
