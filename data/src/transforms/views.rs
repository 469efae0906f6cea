//! Views: what augmentation and normalisation make of an image. The plainer ones are in
//! [`geometric_views`](crate::transforms::geometric_views).

use serde::{Deserialize, Serialize};

use super::color;
use super::crop::{CropBox, RandomCrop};
use super::erasing::RandomErasing;
use super::geometric_views::{AffineView, CropView, FlipView};
use super::normalize::Normalization;
use super::scratch::Scratch;
use crate::draw::Draw;

pub use super::color_jitter::{ColorChange, ColorJitter};

/// How a view is made of an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Augmentation {
    /// The image itself: probes and tests.
    None,
    /// A [`ContrastiveView`].
    Contrastive,
    /// A [`CropView`]: supervised training, rotations and DeepCluster.
    Crop,
    /// A [`FlipView`]: Deep InfoMax.
    Flip,
    /// An [`AffineView`]: supervised training on STL-10, and fine-tuning.
    Affine {
        /// The squares that are erased, if any.
        erase: Option<RandomErasing>,
    },
}

/// The random choices of one contrastive view (Chen et al. 2020, as torchvision's transforms make them): crop and
/// resize, mirror, change colours, turn gray, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastiveView {
    /// The part that is resized to the whole image.
    pub crop: CropBox,
    /// Mirrored left to right, with probability 1/2.
    pub flip: bool,
    /// Colour changes, with probability 0.8.
    pub jitter: Option<ColorJitter>,
    /// Turned gray, with probability 0.2.
    pub grayscale: bool,
}

impl ContrastiveView {
    /// Makes the choices for a square image.
    pub fn draw(side: usize, draw: &mut Draw) -> Self {
        Self {
            crop: RandomCrop::CONTRASTIVE.draw(side, side, draw),
            flip: draw.chance(0.5),
            jitter: draw.chance(0.8).then(|| ColorJitter::draw(draw)),
            grayscale: draw.chance(0.2),
        }
    }

    /// Writes the normalised view; lengths as in [`write_view`].
    ///
    /// # Panics
    /// If the length of `image` or `out` is not `3 * side * side`, or the crop is not inside.
    pub fn apply(
        &self,
        image: &[u8],
        side: usize,
        normalization: &Normalization,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let Scratch { resizer, pixels, normalizer, .. } = scratch;
        pixels.resize(image.len(), 0);
        resizer.resized_crop(image, (side, side), &self.crop, (side, side), pixels);
        if let Some(jitter) = &self.jitter {
            jitter.apply(pixels);
        }
        if self.grayscale {
            color::grayscale(pixels);
        }
        // No colour change looks at places, so mirroring can wait until the values are written.
        normalizer.write(normalization, pixels, side, self.flip, out);
    }
}

/// Writes one view of an image: augmented, scaled to 0 to 1 and normalised.
///
/// `image` is 8-bit, planar, `[3, side, side]`, and `out` has the same form. All randomness comes from `draw`.
///
/// # Panics
/// If the length of `image` or `out` is not `3 * side * side`.
pub fn write_view(
    augmentation: Augmentation,
    image: &[u8],
    side: usize,
    draw: &mut Draw,
    normalization: &Normalization,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    match augmentation {
        Augmentation::None => scratch.normalizer.write(normalization, image, side, false, out),
        Augmentation::Contrastive => {
            ContrastiveView::draw(side, draw).apply(image, side, normalization, scratch, out);
        }
        Augmentation::Crop => CropView::draw(side, draw).apply(image, side, normalization, scratch, out),
        Augmentation::Flip => FlipView::draw(draw).apply(image, side, normalization, scratch, out),
        Augmentation::Affine { erase } => {
            AffineView::draw(side, erase, draw).apply(image, side, normalization, scratch, out);
        }
    }
}
