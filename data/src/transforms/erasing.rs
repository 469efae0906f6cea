//! Random erasing: sets a square of a normalised view to 0.

use serde::{Deserialize, Serialize};

use super::crop::CropBox;
use crate::draw::Draw;

/// Erases a square of a fixed fraction of the area with probability 1/2, as torchvision's `RandomErasing` with ratio 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RandomErasing {
    /// Area of the square divided by the area of the image. A square that is not smaller than the image is never erased.
    pub area: f64,
}

impl RandomErasing {
    /// A quarter: 16×16 of 32×32 pixels.
    pub const CIFAR10: Self = Self { area: 0.25 };
    /// A sixteenth: 8×8 of 32×32 pixels.
    pub const CIFAR100: Self = Self { area: 0.0625 };
    /// About a ninth: 32×32 of 96×96 pixels.
    pub const STL10: Self = Self { area: 0.111 };

    /// The side of the square: √(area · height · width), rounded half to even.
    pub fn side(&self, height: usize, width: usize) -> usize {
        (self.area * (height * width) as f64).sqrt().round_ties_even() as usize
    }

    /// Draws whether to erase, and then a uniform position, row first.
    pub fn draw(&self, height: usize, width: usize, draw: &mut Draw) -> Option<CropBox> {
        let side = self.side(height, width);
        (draw.chance(0.5) && side < height && side < width).then(|| CropBox {
            top: draw.below(height - side + 1),
            left: draw.below(width - side + 1),
            height: side,
            width: side,
        })
    }
}

/// Sets a rectangle of planar values, `[planes, height, width]` with any number of planes, to 0. In normalised values this is the
/// mean colour.
///
/// # Panics
/// If the rectangle exceeds the image, or the number of values is not a multiple of `height * width`.
pub fn erase(values: &mut [f32], (height, width): (usize, usize), area: &CropBox) {
    let plane = height * width;
    assert!(plane > 0 && values.len().is_multiple_of(plane), "values of the view");
    assert!(
        area.top + area.height <= height && area.left + area.width <= width,
        "the square lies outside of the image"
    );
    for values in values.chunks_exact_mut(plane) {
        for row in values.chunks_exact_mut(width).skip(area.top).take(area.height) {
            row[area.left..area.left + area.width].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn sides_of_the_squares() {
        assert_eq!(RandomErasing::STL10.side(96, 96), 32);
        assert_eq!(RandomErasing::CIFAR10.side(32, 32), 16);
        assert_eq!(RandomErasing::CIFAR100.side(32, 32), 8);
    }

    #[test]
    fn erases_the_rectangle_in_every_plane_and_nothing_else() {
        let mut values = vec![1.0; 2 * 4 * 5];
        erase(&mut values, (4, 5), &CropBox { top: 1, left: 2, height: 2, width: 3 });
        let plane = [
            [1.0, 1.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 0.0, 0.0, 0.0],
            [1.0, 1.0, 1.0, 1.0, 1.0],
        ];
        assert_eq!(values, [plane, plane].concat().concat());
    }

    #[test]
    fn shares_that_make_no_square_are_harmless() {
        for area in [0.0, -1.0, f64::NAN, 1.0, 9.0, f64::INFINITY] {
            for index in 0..20 {
                let mut draw = Draw::new(0, Purpose::View, 0, index, 0);
                if let Some(square) = (RandomErasing { area }).draw(8, 8, &mut draw) {
                    assert_eq!((square.height, square.width), (0, 0), "share {area}");
                }
            }
        }
    }
}
