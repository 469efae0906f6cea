//! The random resized crop of a contrastive view.

use serde::{Deserialize, Serialize};

use crate::draw::Draw;

/// A rectangle of an image, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropBox {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The distribution of crops, as in torchvision's `RandomResizedCrop`: a uniform fraction of the image's area, and an aspect
/// ratio whose logarithm is uniform.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomCrop {
    /// Smallest and largest fraction of the area.
    pub scale: (f64, f64),
    /// Smallest and largest aspect ratio, width divided by height.
    pub ratio: (f64, f64),
}

impl RandomCrop {
    /// 8 % to 100 % of the area, aspect ratio 3:4 to 4:3.
    pub const CONTRASTIVE: Self = Self { scale: (0.08, 1.0), ratio: (3.0 / 4.0, 4.0 / 3.0) };

    /// 16 % to 100 % of the area, aspect ratio 3:4 to 4:3: photographs in metric learning (Musgrave, Belongie & Lim 2020).
    pub const PHOTOGRAPH: Self = Self { scale: (0.16, 1.0), ..Self::CONTRASTIVE };
    /// 60 % to 100 % of the area, aspect ratio 3:4 to 4:3: a handwritten character stays whole enough to be read.
    pub const CHARACTER: Self = Self { scale: (0.6, 1.0), ..Self::CONTRASTIVE };

    /// Draws up to ten rectangles and returns the first that fits into the image. If none fits, returns the largest central
    /// rectangle whose aspect ratio is within the bounds.
    pub fn draw(&self, height: usize, width: usize, draw: &mut Draw) -> CropBox {
        let area = (height * width) as f64;
        let (log_low, log_high) = (self.ratio.0.ln(), self.ratio.1.ln());
        for _ in 0..10 {
            let target = area * draw.uniform(self.scale.0, self.scale.1);
            let ratio = draw.uniform(log_low, log_high).exp();
            let crop_width = (target * ratio).sqrt().round_ties_even() as usize;
            let crop_height = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
                return CropBox {
                    top: draw.below(height - crop_height + 1),
                    left: draw.below(width - crop_width + 1),
                    height: crop_height,
                    width: crop_width,
                };
            }
        }
        self.central(height, width)
    }

    fn central(&self, height: usize, width: usize) -> CropBox {
        let ratio = width as f64 / height as f64;
        let (crop_height, crop_width) = if ratio < self.ratio.0 {
            (((width as f64 / self.ratio.0).round_ties_even() as usize).min(height), width)
        } else if ratio > self.ratio.1 {
            (height, ((height as f64 * self.ratio.1).round_ties_even() as usize).min(width))
        } else {
            (height, width)
        };
        CropBox {
            top: (height - crop_height) / 2,
            left: (width - crop_width) / 2,
            height: crop_height,
            width: crop_width,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn the_fallback_is_central_and_keeps_the_ratio() {
        let crop = RandomCrop::CONTRASTIVE;
        assert_eq!(crop.central(32, 32), CropBox { top: 0, left: 0, height: 32, width: 32 });
        assert_eq!(crop.central(40, 12), CropBox { top: 12, left: 0, height: 16, width: 12 });
        assert_eq!(crop.central(12, 40), CropBox { top: 0, left: 12, height: 12, width: 16 });
    }

    #[test]
    fn crops_that_never_fit_fall_back() {
        // Four times the area of the image never fits.
        let crop = RandomCrop { scale: (4.0, 5.0), ..RandomCrop::CONTRASTIVE };
        let mut draw = Draw::new(0, Purpose::View, 0, 0, 0);
        assert_eq!(crop.draw(10, 10, &mut draw), CropBox { top: 0, left: 0, height: 10, width: 10 });
    }

    #[test]
    fn every_crop_lies_inside() {
        for index in 0..20_000 {
            let mut draw = Draw::new(5, Purpose::View, 0, index, 0);
            let (height, width) = (1 + draw.below(40), 1 + draw.below(40));
            let crop = RandomCrop::CONTRASTIVE.draw(height, width, &mut draw);
            assert!(crop.height > 0 && crop.width > 0);
            assert!(crop.top + crop.height <= height && crop.left + crop.width <= width);
        }
    }
}
