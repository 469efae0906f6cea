//! The raw images of a batch and the choices of their views, as numbers for the device.

use std::ops::Range;

use super::schedule::{BLENDS, Blend, HUES, Schedule};
use crate::transforms::resize::{PRECISION, Resizer};
use crate::transforms::views::ContrastiveView;

/// Fractional bits of the lower half of a weight of the resampling.
pub(super) const HALF_BITS: u32 = PRECISION / 2;
/// Numbers of a blend: its factor, and its shares of mean and luma.
pub(super) const OF_BLEND: usize = 3;
/// Numbers of a change of hue: whether it happens, and its steps.
pub(super) const OF_HUE: usize = 2;
/// Numbers of the colours of a view: blends, changes of hue, and whether the view is gray.
pub(super) const COLORS: usize = OF_BLEND * BLENDS + OF_HUE * HUES + 1;
/// Tables of weights for each axis: upper and lower half of the weight of the first neighbour, then of the second.
pub(super) const WEIGHTS: usize = 4;

/// Images of a batch, all of one size, and the choices of their views.
#[derive(Clone, Debug)]
pub struct ContrastiveTable {
    pub(super) shape: TableShape,
    /// 8-bit pixels, `[images, 3, height, width]`.
    pub(super) pixels: Vec<u8>,
    /// Weights of columns, `[WEIGHTS, images, views, width]`, and of rows, `[WEIGHTS, images, views, height]`, and colours,
    /// `[COLORS, images, views]`.
    pub(super) numbers: Vec<f32>,
    /// First neighbours of columns, `[images, views, width]`, and of rows, `[images, views, height]`.
    pub(super) places: Vec<i32>,
}

/// The numbers of images, of views of each, and of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableShape {
    pub images: usize,
    pub views: usize,
    pub height: usize,
    pub width: usize,
}

impl TableShape {
    /// Number of views of all images.
    pub fn all_views(self) -> usize {
        self.images * self.views
    }

    /// Values of one image.
    pub fn image(self) -> usize {
        3 * self.height * self.width
    }
}

impl ContrastiveTable {
    /// The largest number of pixels of an image: twice the sum of their luma, plus their number, must fit into 32 bits.
    pub const MAX_PIXELS: usize = i32::MAX as usize / (2 * 255 + 1);

    /// A table of black images. Their views are undefined until [`set_image`](Self::set_image) has been called for each.
    ///
    /// # Panics
    /// If a number is zero, or an image has more than [`MAX_PIXELS`](Self::MAX_PIXELS) pixels.
    pub fn new(images: usize, views: usize, (height, width): (usize, usize)) -> Self {
        assert!(images > 0 && views > 0 && height > 0 && width > 0, "a table of at least one view of one pixel");
        assert!(height.checked_mul(width).is_some_and(|pixels| pixels <= Self::MAX_PIXELS), "pixels of an image");
        let shape = TableShape { images, views, height, width };
        let all = shape.all_views();
        Self {
            shape,
            pixels: vec![0; images * shape.image()],
            numbers: vec![0.0; (WEIGHTS * (width + height) + COLORS) * all],
            places: vec![0; (width + height) * all],
        }
    }

    /// Sets an image, planar `[3, height, width]`, and the choices of its views.
    ///
    /// # Panics
    /// If there is no image `index`, `pixels` or `choices` has another length than the table, or a crop is empty or exceeds the image.
    pub fn set_image(&mut self, index: usize, pixels: &[u8], choices: &[ContrastiveView], resizer: &mut Resizer) {
        let TableShape { images, views, height, width } = self.shape;
        assert!(index < images, "image {index} of {images}");
        assert_eq!(choices.len(), views, "views of the image");
        let size = self.shape.image();
        self.pixels[index * size..(index + 1) * size].copy_from_slice(pixels);
        for (view, ContrastiveView { crop, flip, jitter, grayscale }) in choices.iter().enumerate() {
            assert!(crop.height > 0 && crop.width > 0, "the crop is empty");
            assert!(
                crop.top + crop.height <= height && crop.left + crop.width <= width,
                "the crop lies outside of the image"
            );
            let view = index * views + view;
            self.set_axis(Axis::Columns, view, (crop.left, crop.width), *flip, resizer);
            self.set_axis(Axis::Rows, view, (crop.top, crop.height), false, resizer);
            self.set_colors(view, &Schedule::of(jitter.as_ref()), *grayscale);
        }
    }

    /// Writes the neighbours of each column or row of a view, in reverse order if it is flipped.
    fn set_axis(&mut self, axis: Axis, view: usize, (start, input): (usize, usize), flip: bool, resizer: &mut Resizer) {
        let (length, all) = (axis.length(self.shape), self.shape.all_views());
        let first_weight = axis.weights(self.shape).start + view * length;
        let first_place = axis.places(self.shape).start + view * length;
        for (position, (place, weights)) in resizer.neighbours(input, length).enumerate() {
            let position = if flip { length - 1 - position } else { position };
            self.places[first_place + position] = (start + place) as i32;
            let halves = weights.map(|weight| [weight >> HALF_BITS, weight & ((1 << HALF_BITS) - 1)]);
            for (table, half) in halves.as_flattened().iter().enumerate() {
                self.numbers[first_weight + table * all * length + position] = *half as f32;
            }
        }
    }

    fn set_colors(&mut self, view: usize, Schedule { blends, hues }: &Schedule, grayscale: bool) {
        let of_blend = |blend: &Blend| [blend.factor, blend.mean, blend.luma];
        let of_hue = |steps: &Option<i32>| steps.map_or([0.0, 0.0], |steps| [1.0, steps as f32]);
        let blends = blends.iter().flat_map(of_blend);
        let hues = hues.iter().flat_map(of_hue);
        let gray = if grayscale { 1.0 } else { 0.0 };
        let (first, all) = (self.shape.colors().start + view, self.shape.all_views());
        for (place, number) in blends.chain(hues).chain([gray]).enumerate() {
            self.numbers[first + place * all] = number;
        }
    }

    /// First neighbours, then pixels in groups of four: the first is the lowest byte.
    pub(super) fn integers(&self) -> Vec<i32> {
        let words = self.pixels.chunks(4).map(|four| {
            let mut bytes = [0; 4];
            bytes[..four.len()].copy_from_slice(four);
            i32::from_le_bytes(bytes)
        });
        self.places.iter().copied().chain(words).collect()
    }
}

/// An axis of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Axis {
    Columns,
    Rows,
}

impl Axis {
    /// Positions on the axis.
    pub fn length(self, shape: TableShape) -> usize {
        match self {
            Self::Columns => shape.width,
            Self::Rows => shape.height,
        }
    }

    /// The range of its weights among the numbers.
    pub fn weights(self, shape: TableShape) -> Range<usize> {
        let columns = WEIGHTS * shape.all_views() * shape.width;
        match self {
            Self::Columns => 0..columns,
            Self::Rows => columns..columns + WEIGHTS * shape.all_views() * shape.height,
        }
    }

    /// The range of its first neighbours among the places.
    pub fn places(self, shape: TableShape) -> Range<usize> {
        let columns = shape.all_views() * shape.width;
        match self {
            Self::Columns => 0..columns,
            Self::Rows => columns..columns + shape.all_views() * shape.height,
        }
    }
}

impl TableShape {
    /// The range of the colours among the numbers.
    pub fn colors(self) -> Range<usize> {
        let start = Axis::Rows.weights(self).end;
        start..start + COLORS * self.all_views()
    }
}
