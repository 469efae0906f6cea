//! The crop of a padded image, which shifts the image by a few pixels.

use crate::draw::Draw;

/// A crop of the image's own size from the image padded with black: torchvision's `RandomCrop(side, padding)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaddedCrop {
    /// Black pixels on each of the four sides.
    pub padding: usize,
    /// First row of the padded image, uniform in `0..=2 * padding`.
    pub top: usize,
    /// First column of the padded image, uniform in `0..=2 * padding`.
    pub left: usize,
}

impl PaddedCrop {
    /// Draws the position, row first.
    pub fn draw(padding: usize, draw: &mut Draw) -> Self {
        Self { padding, top: draw.below(2 * padding + 1), left: draw.below(2 * padding + 1) }
    }

    /// Writes the crop to `out`. `image` and `out` are planar, `[planes, height, width]` with any number of planes.
    ///
    /// # Panics
    /// If the image is empty, the length of `image` is not a multiple of `height * width`, or `out` has another length.
    pub fn cut(&self, image: &[u8], (height, width): (usize, usize), out: &mut [u8]) {
        let plane = height * width;
        assert!(plane > 0 && image.len().is_multiple_of(plane), "pixels of the image");
        assert_eq!(out.len(), image.len(), "pixels of the result");
        let (from_row, to_row, rows) = self.overlap(self.top, height);
        let (from, to, columns) = self.overlap(self.left, width);
        out.fill(0);
        for (image, out) in image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)) {
            let image = image.chunks_exact(width).skip(from_row).take(rows);
            for (row, out) in image.zip(out.chunks_exact_mut(width).skip(to_row)) {
                out[to..to + columns].copy_from_slice(&row[from..from + columns]);
            }
        }
    }

    /// The overlap of the image with a crop that starts at `start`: start in the image, start in the crop, length.
    fn overlap(&self, start: usize, side: usize) -> (usize, usize, usize) {
        let from = start.saturating_sub(self.padding).min(side);
        let to = self.padding.saturating_sub(start).min(side);
        (from, to, side - from.max(to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: pad, then crop.
    fn literal(crop: &PaddedCrop, image: &[u8], (height, width): (usize, usize)) -> Vec<u8> {
        let padded = |row: usize, column: usize| {
            let (row, column) = (row.checked_sub(crop.padding)?, column.checked_sub(crop.padding)?);
            (row < height && column < width).then(|| image[row * width + column])
        };
        (0..height * width)
            .map(|place| padded(place / width + crop.top, place % width + crop.left).unwrap_or(0))
            .collect()
    }

    #[test]
    fn equals_padding_and_cutting() {
        for (height, width) in [(1, 1), (3, 3), (4, 7), (8, 5)] {
            let image: Vec<u8> = (0..height * width).map(|value| value as u8 + 1).collect();
            let both: Vec<u8> = image.iter().chain(&image).copied().collect();
            for padding in 0..6 {
                // Positions beyond those that are drawn are black.
                for (top, left) in
                    (0..2 * padding + 9).flat_map(|top| (0..2 * padding + 9).map(move |left| (top, left)))
                {
                    let crop = PaddedCrop { padding, top, left };
                    let mut out = vec![99; both.len()];
                    crop.cut(&both, (height, width), &mut out);
                    let expected = literal(&crop, &image, (height, width));
                    assert_eq!(out[..image.len()], expected, "{crop:?} of {height}x{width}");
                    assert_eq!(out[image.len()..], expected, "{crop:?} of the second plane");
                }
            }
        }
    }

    #[test]
    fn the_middle_place_is_the_image_and_the_corners_are_moved_images() {
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let cut = |top, left| {
            let mut out = [0; 9];
            PaddedCrop { padding: 1, top, left }.cut(&image, (3, 3), &mut out);
            out
        };
        assert_eq!(cut(1, 1), image);
        assert_eq!(cut(0, 0), [0, 0, 0, 0, 1, 2, 0, 4, 5]);
        assert_eq!(cut(2, 1), [4, 5, 6, 7, 8, 9, 0, 0, 0]);
    }
}
