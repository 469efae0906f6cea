//! Random rotation, translation, scale and shear, in the arithmetic of Pillow's `Image.transform`.
//!
//! For every pixel of the result, Pillow applies the inverse transform, interpolates between the four nearest pixels in double
//! precision, and truncates. This module performs the same operations in the same order, so the results are the same bytes.

use crate::draw::Draw;

/// The distribution of transforms, as in torchvision's `RandomAffine`: every parameter is uniform between its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandomAffine {
    /// Largest angle in degrees, in both directions.
    pub degrees: f64,
    /// Largest translation as a fraction of the side, in both directions.
    pub translate: f64,
    /// Smallest and largest scale factor.
    pub scale: (f64, f64),
    /// Largest horizontal shear in degrees, in both directions.
    pub shear: f64,
}

impl RandomAffine {
    /// Rotation by ±18°, translation by a tenth of the side, scale 0.9 to 1.1, shear by ±10°.
    pub const SUPERVISED: Self = Self { degrees: 18.0, translate: 0.1, scale: (0.9, 1.1), shear: 10.0 };

    /// Draws angle, horizontal and vertical translation (rounded to integers), scale and shear, in this order.
    pub fn draw(&self, height: usize, width: usize, draw: &mut Draw) -> Affine {
        let angle = draw.uniform(-self.degrees, self.degrees);
        let mut shift = |side: usize| {
            let most = self.translate * side as f64;
            draw.uniform(-most, most).round_ties_even() as i32
        };
        let (right, down) = (shift(width), shift(height));
        Affine {
            angle,
            right,
            down,
            scale: draw.uniform(self.scale.0, self.scale.1),
            shear: draw.uniform(-self.shear, self.shear),
        }
    }
}

/// A horizontal shear, a scale and a rotation about the centre of the image, then a translation, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Clockwise, in degrees.
    pub angle: f64,
    /// Pixels to the right.
    pub right: i32,
    /// Pixels down.
    pub down: i32,
    /// Scale factor, greater than 0.
    pub scale: f64,
    /// Shear in degrees. Positive values move rows above the centre to the right.
    pub shear: f64,
}

impl Affine {
    /// The inverse transform `[a, b, c, d, e, f]`: the result at `(x, y)` is the image at `(a x + b y + c, d x + e y + f)`.
    ///
    /// The operations are torchvision's, in its order, so that all digits agree.
    pub fn inverse(&self, height: usize, width: usize) -> [f64; 6] {
        let (sin, cos) = (self.angle.to_radians().sin(), self.angle.to_radians().cos());
        let tan = self.shear.to_radians().tan();
        let a = (-sin * tan + cos) / self.scale;
        let b = -(-cos * tan - sin) / self.scale;
        let d = -sin / self.scale;
        let e = cos / self.scale;
        let (center_x, center_y) = (width as f64 * 0.5, height as f64 * 0.5);
        let (x, y) = (-center_x - f64::from(self.right), -center_y - f64::from(self.down));
        [a, b, a * x + b * y + center_x, d, e, d * x + e * y + center_y]
    }
}

/// Applies affine transforms to images, and reuses its buffers from one call to the next.
#[derive(Clone, Debug, Default)]
pub struct Warper {
    /// The image padded by one pixel of replicated border, so that every pixel has neighbours.
    bordered: Vec<u8>,
    /// The sources of the pixels of one row of the result.
    places: Vec<Place>,
}

/// A position between four pixels of the padded image.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Index of the upper left pixel.
    corner: usize,
    /// Offsets from there to the right and down, each from 0 to 1.
    right: f64,
    down: f64,
    /// Whether the position lies in the image.
    inside: bool,
}

impl Warper {
    /// Flips an image left to right if `flip`, then transforms it. Pixels from outside of the image are black.
    ///
    /// `image` and `out` are planar, `[planes, height, width]` with any number of planes.
    ///
    /// # Panics
    /// If the image is empty, the length of `image` is not a multiple of `height * width`, or `out` has another length.
    pub fn warp(&mut self, image: &[u8], (height, width): (usize, usize), flip: bool, affine: &Affine, out: &mut [u8]) {
        let plane = height * width;
        assert!(plane > 0 && image.len().is_multiple_of(plane), "pixels of the image");
        assert_eq!(out.len(), image.len(), "pixels of the result");
        let stride = width + 2;
        let bordered_plane = (height + 2) * stride;
        self.add_border(image, (height, width), flip);

        let [a, b, c, d, e, f] = affine.inverse(height, width);
        let (end_x, end_y) = (width as f64, height as f64);
        for row in 0..height {
            let to_y = row as f64 + 0.5;
            let (b_y, e_y) = (b * to_y, e * to_y);
            self.places.clear();
            self.places.extend((0..width).map(|column| {
                let to_x = column as f64 + 0.5;
                let (x, y) = (a * to_x + b_y + c, d * to_x + e_y + f);
                if !(x >= 0.0 && x < end_x && y >= 0.0 && y < end_y) {
                    return Place::default();
                }
                let ((left, right), (top, down)) = (split(x - 0.5), split(y - 0.5));
                // The border shifts all indices by one.
                Place { corner: (top + 1) as usize * stride + (left + 1) as usize, right, down, inside: true }
            }));
            for (out, plane) in out.chunks_exact_mut(plane).zip(self.bordered.chunks_exact(bordered_plane)) {
                for (to, place) in out[row * width..(row + 1) * width].iter_mut().zip(&self.places) {
                    let from = &plane[place.corner..place.corner + stride + 2];
                    let upper = mix(from[0], from[1], place.right);
                    let lower = mix(from[stride], from[stride + 1], place.right);
                    // A convex combination of 8-bit values, so the conversion only truncates.
                    let pixel = (upper + (lower - upper) * place.down) as i32 as u8;
                    *to = if place.inside { pixel } else { 0 };
                }
            }
        }
    }

    fn add_border(&mut self, image: &[u8], (height, width): (usize, usize), flip: bool) {
        let stride = width + 2;
        let planes = image.len() / (height * width);
        self.bordered.resize(planes * (height + 2) * stride, 0);
        for (plane, bordered) in
            image.chunks_exact(height * width).zip(self.bordered.chunks_exact_mut((height + 2) * stride))
        {
            for (row, to) in plane.chunks_exact(width).zip(bordered[stride..].chunks_exact_mut(stride)) {
                to[1..=width].copy_from_slice(row);
                if flip {
                    to[1..=width].reverse();
                }
                to[0] = to[1];
                to[width + 1] = to[width];
            }
            bordered.copy_within(stride..2 * stride, 0);
            bordered.copy_within(height * stride..(height + 1) * stride, (height + 1) * stride);
        }
    }
}

/// Floor and fractional part of a value in the range of `i32`. `f64::floor` is a function call on the baseline x86-64 target.
#[inline(always)]
fn split(value: f64) -> (i32, f64) {
    let whole = value as i32;
    let floor = whole - i32::from(f64::from(whole) > value);
    (floor, value - f64::from(floor))
}

#[inline(always)]
fn mix(first: u8, second: u8, share: f64) -> f64 {
    f64::from(first) + f64::from(i32::from(second) - i32::from(first)) * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    const NOTHING: Affine = Affine { angle: 0.0, right: 0, down: 0, scale: 1.0, shear: 0.0 };

    fn warp(image: &[u8], size: (usize, usize), flip: bool, affine: &Affine) -> Vec<u8> {
        let mut out = vec![77; image.len()];
        Warper::default().warp(image, size, flip, affine, &mut out);
        out
    }

    /// Pillow's definition: the four nearest pixels, with coordinates clamped to the image.
    fn literal(plane: &[u8], (height, width): (usize, usize), [a, b, c, d, e, f]: [f64; 6]) -> Vec<u8> {
        let pixel = |x: f64, y: f64| {
            let (column, row) = (x.clamp(0.0, width as f64 - 1.0), y.clamp(0.0, height as f64 - 1.0));
            f64::from(plane[row as usize * width + column as usize])
        };
        let mut out = Vec::new();
        for row in 0..height {
            for column in 0..width {
                let (to_x, to_y) = (column as f64 + 0.5, row as f64 + 0.5);
                let (x, y) = (a * to_x + b * to_y + c, d * to_x + e * to_y + f);
                if x < 0.0 || x >= width as f64 || y < 0.0 || y >= height as f64 {
                    out.push(0);
                    continue;
                }
                let (left, top) = ((x - 0.5).floor(), (y - 0.5).floor());
                let (dx, dy) = (x - 0.5 - left, y - 0.5 - top);
                let upper = pixel(left, top) + (pixel(left + 1.0, top) - pixel(left, top)) * dx;
                let lower = pixel(left, top + 1.0) + (pixel(left + 1.0, top + 1.0) - pixel(left, top + 1.0)) * dx;
                out.push((upper + (lower - upper) * dy) as u8);
            }
        }
        out
    }

    #[test]
    fn equals_the_literal_rule_for_any_size_and_transform() {
        let wild = RandomAffine { degrees: 180.0, translate: 0.7, scale: (0.3, 3.0), shear: 60.0 };
        let mut warper = Warper::default();
        for index in 0..400 {
            let mut draw = Draw::new(2, Purpose::View, 0, index, 0);
            let (height, width) = (1 + draw.below(24), 1 + draw.below(24));
            let random = if index % 2 == 0 { wild } else { RandomAffine::SUPERVISED };
            let affine = random.draw(height, width, &mut draw);
            let mut image: Vec<u8> = (0..2 * height * width).map(|_| draw.below(256) as u8).collect();
            let mut out = vec![77; image.len()];
            let flip = draw.chance(0.5);
            warper.warp(&image, (height, width), flip, &affine, &mut out);
            if flip {
                crate::transforms::color::flip_horizontally(&mut image, width);
            }
            for (image, out) in image.chunks_exact(height * width).zip(out.chunks_exact(height * width)) {
                let expected = literal(image, (height, width), affine.inverse(height, width));
                assert_eq!(out, expected, "{height}x{width} {affine:?}");
            }
        }
    }

    #[test]
    fn nothing_and_whole_translations_move_pixels_only() {
        let image: Vec<u8> = (1..=12).collect();
        assert_eq!(warp(&image, (3, 4), false, &NOTHING), image);
        assert_eq!(warp(&image, (3, 4), true, &NOTHING), [4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9]);
        let moved = Affine { right: 1, down: -1, ..NOTHING };
        assert_eq!(warp(&image, (3, 4), false, &moved), [0, 5, 6, 7, 0, 9, 10, 11, 0, 0, 0, 0]);
        let gone = Affine { right: 4, ..NOTHING };
        assert_eq!(warp(&image, (3, 4), false, &gone), [0; 12]);
    }

    #[test]
    fn turns_clockwise_and_shears_rows() {
        // A quarter turn moves a bright pixel from above the centre to the right of it. The sine of 90° is inexact, so the
        // pixel may lose one.
        let mut image = vec![0; 25];
        image[2] = 200;
        let turned = warp(&image, (5, 5), false, &Affine { angle: 90.0, ..NOTHING });
        assert!(turned[14] >= 199 && turned.iter().filter(|&&pixel| pixel > 1).count() == 1, "{turned:?}");
        // At 45 degrees the row two above the centre moves by two.
        let sheared = warp(&image, (5, 5), false, &Affine { shear: 45.0, ..NOTHING });
        assert!(sheared[4] >= 199, "{sheared:?}");
    }

    #[test]
    fn scaling_up_shows_the_middle() {
        let row = [0, 100, 200, 40];
        let image: Vec<u8> = row.iter().copied().cycle().take(16).collect();
        let scaled = warp(&image, (4, 4), false, &Affine { scale: 2.0, ..NOTHING });
        // Column centres 0.5, 1.5, 2.5 and 3.5 come from 1.25, 1.75, 2.25 and 2.75: weights 3/4 and 1/4 of two neighbours.
        assert_eq!(scaled[..4], [75, 125, 175, 160]);
    }
}
