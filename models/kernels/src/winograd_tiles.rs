//! Images and gradients of outputs at the 36 points of the tiles of Winograd's algorithm, and outputs from products at the points.

// Tiles are indexed by row and column.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};

use crate::vectors::{LINE, load, prefetch, store, vectorize};
use crate::winograd_lines::{inputs, output_gradients, outputs};
use crate::winograd_points::{Points, TILE, Tiling, WINDOW, tile_len};

/// Writes what tiles from `first` on see of images `[N, H, W, C]`, at their points.
///
/// # Panics
///
/// If the images have no such tiles of so many channels.
pub(crate) fn transform_images(tiling: &Tiling, images: &[f32], first: usize, points: &mut Points) {
    let image = tiling.pixels() * points.channels();
    assert!(images.len().is_multiple_of(image) && first + points.tiles() <= images.len() / image * tiling.tiles());
    let zeros = vec![0.0; WINDOW * points.channels()];
    vectorize(points.channels(), TransformImages { tiling, images, first, points, zeros: &zeros });
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
        match self.points.channels() {
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
        let channels = if C == 0 { self.points.channels() } else { C };
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
                if channel.is_multiple_of(LINE) {
                    // What the tile below sees and this one does not. Its neighbours ask for the first and last columns.
                    for row in WINDOW..WINDOW + TILE {
                        for column in 1..=TILE {
                            prefetch(first.wrapping_add(row * row_len + column * channels + channel));
                        }
                    }
                }
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

/// Writes the outputs of tiles from `first` on, `[N, H', W', C]`, given products at their points, or adds them to what is there.
///
/// # Panics
///
/// If the outputs have no such tiles of so many channels.
pub(crate) fn transform_products(tiling: &Tiling, points: &Points, first: usize, out: &mut [f32], add: bool) {
    let image = tiling.out_pixels() * points.channels();
    assert!(out.len().is_multiple_of(image) && first + points.tiles() <= out.len() / image * tiling.tiles());
    vectorize(points.channels(), TransformProducts { tiling, points, first, out, add });
}

/// Made by [`transform_products`] alone: the outputs have the tiles, and the lanes of a vector divide the channels.
struct TransformProducts<'a> {
    tiling: &'a Tiling,
    points: &'a Points,
    first: usize,
    out: &'a mut [f32],
    add: bool,
}

impl WithSimd for TransformProducts<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.points.channels() {
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
        let channels = if C == 0 { self.points.channels() } else { C };
        let row_len = self.tiling.out[1] * channels;
        let tiles = self.points.values().chunks_exact(tile_len(channels));
        for (place, from) in self.tiling.places(self.first).zip(tiles) {
            let [rows, columns] = self.tiling.written(place);
            let first = self.tiling.first_output(place) * channels;
            for channel in (0..channels).step_by(S::F32_LANES) {
                if self.add && channel.is_multiple_of(LINE) {
                    // What the tile below is added to.
                    for row in TILE..2 * TILE {
                        for column in 0..TILE {
                            let at = first + row * row_len + column * channels + channel;
                            prefetch(self.out.as_ptr().wrapping_add(at));
                        }
                    }
                }
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
                            unsafe {
                                let to = self.out.as_mut_ptr().add(to + column * channels);
                                let value = match self.add {
                                    true => simd.add_f32s(load::<S>(to), line[column]),
                                    false => line[column],
                                };
                                store::<S>(to, value);
                            }
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
    assert!(gradients.len().is_multiple_of(image) && channel + points.channels() <= channels);
    assert!(first + points.tiles() <= gradients.len() / image * tiling.tiles());
    vectorize(points.channels(), TransformGradients { tiling, gradients, channel, channels, first, points });
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
        match self.points.channels() {
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
        let width = if C == 0 { self.points.channels() } else { C };
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
