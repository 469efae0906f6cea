//! Max pooling of 3×3 pixels, two apart, of a batch of images `[N, H, W, C]`: what follows the stem of networks for large images.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::block::{batch_len, count};
use crate::buffer::Buffer;
use crate::vectors::{load, store, vectorize};

/// Max pooling of 3×3 pixels with stride 2 and padding 1, which is never the largest: `[N, H, W, C]` → `[N, ⌈H/2⌉, ⌈W/2⌉, C]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool {
    height: usize,
    width: usize,
    channels: usize,
}

/// For each value of the output, which of the 3×3 pixels it is from: the first of the largest, or the last that is NaN.
#[derive(Debug)]
pub struct MaxPlaces(Buffer);

impl MaxPool {
    /// For images of these sizes.
    ///
    /// # Panics
    ///
    /// If one is zero, or an image has more values than memory can hold.
    pub fn new([height, width, channels]: [usize; 3]) -> Self {
        let len = [height, width, channels].into_iter().try_fold(size_of::<f32>(), usize::checked_mul);
        assert!(len.is_some_and(|bytes| 0 < bytes && bytes <= isize::MAX as usize), "an image that memory can hold");
        Self { height, width, channels }
    }

    /// Height, width and channels of an image.
    pub fn dims(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// Height, width and channels of an output image.
    pub fn out_dims(&self) -> [usize; 3] {
        [self.height.div_ceil(2), self.width.div_ceil(2), self.channels]
    }

    fn len(&self) -> usize {
        self.height * self.width * self.channels
    }

    fn out_len(&self) -> usize {
        self.out_dims().iter().product()
    }

    /// The largest values, and where they are from. NaN is larger than anything.
    ///
    /// # Panics
    ///
    /// If `images` are no whole images.
    pub fn forward(&self, images: &[f32]) -> (Vec<f32>, MaxPlaces) {
        let (len, out_len) = (self.len(), self.out_len());
        let values = batch_len(count(images, len), out_len);
        let (mut out, mut places) = (Buffer::new(values), Buffer::new(values));
        let of_images = out.par_chunks_mut(out_len).zip(places.par_chunks_mut(out_len));
        images.par_chunks(len).zip(of_images).for_each(|(image, (out, places))| {
            vectorize(self.channels, Forward { pool: *self, image, out, places });
        });
        (out.into_vec(), MaxPlaces(places))
    }

    /// The gradient of the images, given that of the output: each goes to the value that was the largest.
    ///
    /// # Panics
    ///
    /// If `of_output` is not of the length of the output that `places` are of.
    pub fn backward(&self, of_output: &[f32], places: &MaxPlaces) -> Vec<f32> {
        let (len, out_len) = (self.len(), self.out_len());
        assert_eq!(of_output.len(), places.0.len(), "values of the output's gradient (left) and of the output (right)");
        let mut images = Buffer::new(batch_len(count(of_output, out_len), len));
        let of_output = of_output.par_chunks(out_len).zip(places.0.par_chunks(out_len));
        images.par_chunks_mut(len).zip(of_output).for_each(|(image, (of_output, places))| {
            image.fill(0.0);
            vectorize(self.channels, Backward { pool: *self, of_output, places, image });
        });
        images.into_vec()
    }

    /// Places of the 3×3 pixels that output pixel (y, x) sees, row by row, in the image: those of their first channels.
    #[inline(always)]
    fn seen(&self, [y, x]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self { height, width, channels } = *self;
        let within = |out: usize, side: usize| usize::from(out == 0)..(side + 1 - 2 * out).min(3);
        let (rows, columns) = (within(y, height), within(x, width));
        rows.flat_map(move |ky| columns.clone().map(move |kx| (ky, kx))).map(move |(ky, kx)| {
            let pixel = (2 * y + ky - 1) * width + 2 * x + kx - 1;
            (3 * ky + kx, pixel * channels)
        })
    }

    /// Places of the output pixels in an output image.
    fn out_pixels(&self) -> impl Iterator<Item = ([usize; 2], usize)> + use<> {
        let [height, width, channels] = self.out_dims();
        (0..height * width).map(move |pixel| ([pixel / width, pixel % width], pixel * channels))
    }
}

/// Made by [`MaxPool::forward`] alone: the lengths are those of one image, and the lanes of a vector divide the channels.
struct Forward<'a> {
    pool: MaxPool,
    image: &'a [f32],
    out: &'a mut [f32],
    places: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        for (pixel, at) in self.pool.out_pixels() {
            for channel in (0..self.pool.channels).step_by(S::F32_LANES) {
                let mut most = simd.splat_f32s(f32::NEG_INFINITY);
                let mut of = simd.splat_f32s(-1.0);
                // SAFETY: both are places of pixels, and the vector ends within their channels.
                unsafe {
                    for (place, seen) in self.pool.seen(pixel) {
                        let value = load::<S>(self.image.as_ptr().add(seen + channel));
                        let place = simd.splat_f32s(place as f32);
                        // The first pixel is taken even if it is −∞.
                        let first = simd.less_than_f32s(of, simd.splat_f32s(0.0));
                        let larger = simd.greater_than_f32s(value, most);
                        let number = simd.equal_f32s(value, value);
                        let take = |new, old| {
                            let new_or_old = simd.select_f32s(first, new, simd.select_f32s(larger, new, old));
                            simd.select_f32s(number, new_or_old, new)
                        };
                        most = take(value, most);
                        of = take(place, of);
                    }
                    store::<S>(self.out.as_mut_ptr().add(at + channel), most);
                    store::<S>(self.places.as_mut_ptr().add(at + channel), of);
                }
            }
        }
    }
}

/// Made by [`MaxPool::backward`] alone: the lengths are those of one image, and the lanes of a vector divide the channels.
struct Backward<'a> {
    pool: MaxPool,
    of_output: &'a [f32],
    places: &'a [f32],
    image: &'a mut [f32],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        for (pixel, at) in self.pool.out_pixels() {
            for channel in (0..self.pool.channels).step_by(S::F32_LANES) {
                // SAFETY: both are places of pixels, and the vector ends within their channels.
                unsafe {
                    let gradient = load::<S>(self.of_output.as_ptr().add(at + channel));
                    let of = load::<S>(self.places.as_ptr().add(at + channel));
                    for (place, seen) in self.pool.seen(pixel) {
                        let image = self.image.as_mut_ptr().add(seen + channel);
                        let chosen = simd.equal_f32s(of, simd.splat_f32s(place as f32));
                        store::<S>(image, simd.add_f32s(load::<S>(image), simd.select_f32s(chosen, gradient, zero)));
                    }
                }
            }
        }
    }
}
