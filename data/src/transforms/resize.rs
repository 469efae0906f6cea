//! Crop and resize with bilinear interpolation and antialiasing, in the arithmetic of Pillow's `Image.resize`.
//!
//! Pillow resizes 8-bit images in two passes, along rows and along columns, with fixed-point weights (22 fractional bits) and rounding to
//! 8 bits after each pass. This module does the same, so the results are the same bytes. Rows are first, unless the height shrinks by more
//! than twice as much as the width, as in Pillow 13; the other order may differ by one.

use super::crop::CropBox;

/// Fractional bits of a weight: 32 bits minus 8 for a pixel and 2 of headroom.
pub(crate) const PRECISION: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION - 1);

/// The input positions and weights that make up each output position.
#[derive(Clone, Debug)]
struct Taps {
    /// Number of input positions per output position. Shorter runs are padded with zero weights.
    count: usize,
    /// The first input position of each run.
    starts: Vec<usize>,
    /// `count` weights per output position.
    weights: Vec<i32>,
}

impl Taps {
    /// The triangle filter from `input` to `output` positions, widened by the scale when the image shrinks.
    fn bilinear(input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let support = scale.max(1.0);
        let mut runs = Vec::with_capacity(output);
        for position in 0..output {
            let center = (position as f64 + 0.5) * scale;
            // Truncation towards zero also clamps at the left border.
            let start = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(input);
            let mut weights: Vec<f64> = (start..end)
                .map(|place| (1.0 - ((place as f64 - center + 0.5) * (1.0 / support)).abs()).max(0.0))
                .collect();
            let sum: f64 = weights.iter().sum();
            if sum != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= sum);
            }
            runs.push((start, weights));
        }
        let count = runs.iter().map(|(_, weights)| weights.len()).max().unwrap_or(0);
        let mut taps = Self { count, starts: Vec::with_capacity(output), weights: vec![0; count * output] };
        for (position, (start, weights)) in runs.iter().enumerate() {
            // A padded run must not exceed the right border.
            let shifted = (*start).min(input - count);
            taps.starts.push(shifted);
            for (place, weight) in weights.iter().enumerate() {
                taps.weights[position * count + start - shifted + place] =
                    (0.5 + weight * f64::from(1 << PRECISION)) as i32;
            }
        }
        taps
    }
}

/// Crops and resizes images, and reuses its weights and its buffer from one call to the next.
#[derive(Clone, Debug, Default)]
pub struct Resizer {
    /// The weights for the current output length, indexed by input length.
    tables: Vec<Option<Taps>>,
    output: usize,
    /// The image after the first pass.
    rows: Vec<u8>,
    /// The sums of a row of the second pass.
    sums: Vec<i32>,
}

impl Resizer {
    /// Crops an image and resizes the crop.
    ///
    /// `image` is planar, `[planes, height, width]` with any number of planes; `out` is
    /// `[planes, out_height, out_width]`. Pixels outside of the crop have no influence.
    ///
    /// # Panics
    /// If the crop is empty or exceeds the image, or a length does not match its shape.
    pub fn resized_crop(
        &mut self,
        image: &[u8],
        size: (usize, usize),
        crop: &CropBox,
        out_size: (usize, usize),
        out: &mut [u8],
    ) {
        let (rows, columns) = (crop.height as i64 - out_size.0 as i64, crop.width as i64 - out_size.1 as i64);
        self.in_order(image, size, crop, out_size, rows > 0 && rows > 2 * columns, out);
    }

    /// The same with rows first for any size, as exported models do it. Of images that keep their aspect ratio, this makes a difference only if
    /// they are more than twice as high as wide.
    ///
    /// # Panics
    /// Those of [`resized_crop`](Self::resized_crop).
    pub(crate) fn resized_crop_by_rows(
        &mut self,
        image: &[u8],
        size: (usize, usize),
        crop: &CropBox,
        out_size: (usize, usize),
        out: &mut [u8],
    ) {
        self.in_order(image, size, crop, out_size, false, out);
    }

    fn in_order(
        &mut self,
        image: &[u8],
        (height, width): (usize, usize),
        crop: &CropBox,
        (out_height, out_width): (usize, usize),
        columns_first: bool,
        out: &mut [u8],
    ) {
        assert!(crop.height > 0 && crop.width > 0, "the crop is empty");
        assert!(
            crop.top + crop.height <= height && crop.left + crop.width <= width,
            "the crop lies outside of the image"
        );
        let planes = image.len() / (height * width);
        assert_eq!(image.len(), planes * height * width, "pixels of the image");
        assert_eq!(out.len(), planes * out_height * out_width, "pixels of the result");

        let (mut between, mut sums) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.sums));
        if columns_first {
            between.resize(planes * out_height * crop.width, 0);
            let taps = self.taps(crop.height, out_height);
            let plane_between = between.chunks_exact_mut(out_height * crop.width);
            for (plane, to) in image.chunks_exact(height * width).zip(plane_between) {
                resample_columns(&plane[crop.top * width + crop.left..], width, crop.width, taps, &mut sums, to);
            }
            let taps = self.taps(crop.width, out_width);
            for (row, to) in between.chunks_exact(crop.width).zip(out.chunks_exact_mut(out_width)) {
                resample_row(row, taps, to);
            }
        } else {
            between.resize(planes * crop.height * out_width, 0);
            let taps = self.taps(crop.width, out_width);
            let plane_between = between.chunks_exact_mut(crop.height * out_width);
            for (plane, plane_rows) in image.chunks_exact(height * width).zip(plane_between) {
                for (row, to) in plane.chunks_exact(width).skip(crop.top).zip(plane_rows.chunks_exact_mut(out_width)) {
                    resample_row(&row[crop.left..crop.left + crop.width], taps, to);
                }
            }
            let taps = self.taps(crop.height, out_height);
            let planes = out.chunks_exact_mut(out_height * out_width);
            for (plane_rows, plane) in between.chunks_exact(crop.height * out_width).zip(planes) {
                resample_columns(plane_rows, out_width, out_width, taps, &mut sums, plane);
            }
        }
        (self.rows, self.sums) = (between, sums);
    }

    /// The two neighbours of each output position of an enlargement: the first input position, and the weights of this position
    /// and the next, with [`PRECISION`] fractional bits. If there is no next position, its weight is 0.
    ///
    /// # Panics
    /// If `input` exceeds `output`.
    pub(crate) fn neighbours(&mut self, input: usize, output: usize) -> impl Iterator<Item = (usize, [i32; 2])> {
        assert!(input <= output, "an enlargement");
        let taps = self.taps(input, output);
        taps.starts.iter().zip(taps.weights.chunks_exact(taps.count)).map(|(start, weights)| {
            // Rounding may give a position a third neighbour, of weight 0.
            let first = weights.iter().position(|weight| *weight > 0).unwrap_or(0);
            debug_assert!(weights.iter().skip(first + 2).all(|weight| *weight == 0));
            (start + first, [weights[first], weights.get(first + 1).copied().unwrap_or(0)])
        })
    }

    fn taps(&mut self, input: usize, output: usize) -> &Taps {
        if self.output != output {
            self.tables.clear();
            self.output = output;
        }
        if self.tables.len() <= input {
            self.tables.resize(input + 1, None);
        }
        self.tables[input].get_or_insert_with(|| Taps::bilinear(input, output))
    }
}

/// Rounds to 8 bits. Weights are non-negative and add up to one, so the sum needs no clamping.
fn to_pixel(sum: i32) -> u8 {
    ((sum + HALF) >> PRECISION) as u8
}

fn resample_row(row: &[u8], taps: &Taps, out: &mut [u8]) {
    if taps.count == 2 {
        // An enlargement: every output is made of two neighbours.
        for ((to, &start), weights) in out.iter_mut().zip(&taps.starts).zip(taps.weights.chunks_exact(2)) {
            let from = &row[start..start + 2];
            *to = to_pixel(i32::from(from[0]) * weights[0] + i32::from(from[1]) * weights[1]);
        }
        return;
    }
    for ((to, &start), weights) in out.iter_mut().zip(&taps.starts).zip(taps.weights.chunks_exact(taps.count)) {
        let sum = row[start..].iter().zip(weights).map(|(&pixel, weight)| i32::from(pixel) * weight).sum();
        *to = to_pixel(sum);
    }
}

/// Resamples the first `width` columns of rows that lie `stride` apart.
fn resample_columns(rows: &[u8], stride: usize, width: usize, taps: &Taps, sums: &mut Vec<i32>, out: &mut [u8]) {
    for ((to, &start), weights) in
        out.chunks_exact_mut(width).zip(&taps.starts).zip(taps.weights.chunks_exact(taps.count))
    {
        let from = &rows[start * stride..];
        if let [first, second] = *weights {
            for ((to, &upper), &lower) in to.iter_mut().zip(&from[..width]).zip(&from[stride..stride + width]) {
                *to = to_pixel(i32::from(upper) * first + i32::from(lower) * second);
            }
            continue;
        }
        sums.clear();
        sums.resize(width, 0);
        for (row, &weight) in from.chunks(stride).zip(weights) {
            for (sum, &pixel) in sums.iter_mut().zip(&row[..width]) {
                *sum += i32::from(pixel) * weight;
            }
        }
        for (to, &sum) in to.iter_mut().zip(sums.iter()) {
            *to = to_pixel(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(height: usize, width: usize) -> CropBox {
        CropBox { top: 0, left: 0, height, width }
    }

    #[test]
    fn the_same_size_changes_nothing() {
        let image: Vec<u8> = (0..3 * 6 * 5).map(|value| (value * 37) as u8).collect();
        let mut out = vec![0; image.len()];
        Resizer::default().resized_crop(&image, (6, 5), &whole(6, 5), (6, 5), &mut out);
        assert_eq!(out, image);
    }

    #[test]
    fn a_flat_image_stays_flat_at_every_size() {
        let mut resizer = Resizer::default();
        for side in 1..40 {
            let image = vec![255; side * side];
            for out_side in [1, 2, 7, 32] {
                let mut out = vec![0; out_side * out_side];
                resizer.resized_crop(&image, (side, side), &whole(side, side), (out_side, out_side), &mut out);
                assert!(out.iter().all(|&pixel| pixel == 255), "{side} to {out_side}");
            }
        }
    }

    #[test]
    fn doubling_two_pixels_interpolates_between_them() {
        // Pillow: Image.new("L", (2, 1)) with pixels 0 and 100, resized to (4, 1) with Image.BILINEAR.
        let mut out = vec![0; 4];
        Resizer::default().resized_crop(&[0, 100], (1, 2), &whole(1, 2), (1, 4), &mut out);
        assert_eq!(out, [0, 25, 75, 100]);
    }

    #[test]
    fn halving_averages_with_the_wider_filter() {
        // Weights are 3/7 3/7 1/7 at the border and 1/8 3/8 3/8 1/8 inside.
        let mut out = vec![0; 3];
        Resizer::default().resized_crop(&[70, 0, 0, 80, 0, 0], (1, 6), &whole(1, 6), (1, 3), &mut out);
        assert_eq!(out, [30, 30, 11]);
    }

    #[test]
    fn nothing_outside_of_the_crop_counts() {
        let mut image = vec![200; 8 * 8];
        for row in 2..5 {
            image[row * 8 + 3..row * 8 + 7].fill(10);
        }
        let crop = CropBox { top: 2, left: 3, height: 3, width: 4 };
        let mut out = vec![0; 64];
        Resizer::default().resized_crop(&image, (8, 8), &crop, (8, 8), &mut out);
        assert!(out.iter().all(|&pixel| pixel == 10));
    }
}
