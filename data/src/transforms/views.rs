//! Augmented, normalised views of an image. [`geometric_views`](crate::transforms::geometric_views) has those that leave
//! colours alone.

use serde::{Deserialize, Serialize};

use super::color;
use super::crop::{CropBox, RandomCrop};
use super::erasing::RandomErasing;
use super::geometric_views::{AffineView, CropView, FlipView, ResizedCropView};
use super::normalize::Normalization;
use super::scratch::Scratch;
use crate::draw::Draw;
use crate::images::SourceImage;

pub use super::color_jitter::{ColorChange, ColorJitter};

/// The kind of view that is made of an image.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Augmentation {
    /// The image itself, for probes and tests.
    None,
    /// A [`ContrastiveView`].
    Contrastive,
    /// A [`CropView`], for supervised training, rotations and DeepCluster.
    Crop,
    /// A [`FlipView`], for Deep InfoMax.
    Flip,
    /// A [`ResizedCropView`], for metric learning.
    ResizedCrop {
        /// The crops.
        crop: RandomCrop,
        /// Whether views are flipped left to right, with probability 1/2.
        flip: bool,
    },
    /// An [`AffineView`], for supervised training on STL-10 and for fine-tuning.
    Affine {
        /// The erased squares; `None` erases nothing.
        erase: Option<RandomErasing>,
    },
}

impl Augmentation {
    /// Whether views are resized crops, which can be drawn from an image of any size, see [`write_view_of`].
    pub fn draws_crops(self) -> bool {
        matches!(self, Self::Contrastive | Self::ResizedCrop { .. })
    }
}

/// The random choices of one contrastive view (Chen et al. 2020): crop and resize, horizontal flip, colour jitter, grayscale,
/// in this order, with torchvision's distributions.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastiveView {
    /// The crop, which is resized to the size of the image.
    pub crop: CropBox,
    /// Whether the view is flipped left to right, with probability 1/2.
    pub flip: bool,
    /// The colour jitter, with probability 0.8.
    pub jitter: Option<ColorJitter>,
    /// Whether the view is gray, with probability 0.2.
    pub grayscale: bool,
}

impl ContrastiveView {
    /// Draws the choices for a square image.
    pub fn draw(side: usize, draw: &mut Draw) -> Self {
        Self::draw_of((side, side), draw)
    }

    /// Draws the choices for an image of any height and width.
    pub fn draw_of((height, width): (usize, usize), draw: &mut Draw) -> Self {
        Self {
            crop: RandomCrop::CONTRASTIVE.draw(height, width, draw),
            flip: draw.chance(0.5),
            jitter: draw.chance(0.8).then(|| ColorJitter::draw(draw)),
            grayscale: draw.chance(0.2),
        }
    }

    /// Writes the normalised view to `out`; lengths as in [`write_view`].
    ///
    /// # Panics
    /// If the length of `image` or `out` is not `3 * side * side`, or the crop is empty or exceeds the image.
    pub fn apply(
        &self,
        image: &[u8],
        side: usize,
        normalization: &Normalization,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        self.apply_to(SourceImage::square(image, side), side, normalization, scratch, out);
    }

    /// Writes the normalised view of an image of any size to `out`, whose length is `3 * side * side`.
    ///
    /// # Panics
    /// If the length of `out` is another, or the crop is empty or exceeds the image.
    pub fn apply_to(
        &self,
        image: SourceImage,
        side: usize,
        normalization: &Normalization,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        scratch.resized_crop(image, side, &self.crop);
        let Scratch { pixels, normalizer, .. } = scratch;
        if let Some(jitter) = &self.jitter {
            jitter.apply(pixels);
        }
        if self.grayscale {
            color::grayscale(pixels);
        }
        // Colour changes do not depend on positions, so the flip can wait until the values are written.
        normalizer.write(normalization, pixels, side, self.flip, out);
    }
}

/// Writes one view of an image: augmented, scaled to the range 0 to 1, and normalised.
///
/// `image` is 8-bit and planar, `[3, side, side]`, and `out` has the same shape. All randomness comes from `draw`.
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
        Augmentation::Contrastive | Augmentation::ResizedCrop { .. } => {
            write_view_of(augmentation, SourceImage::square(image, side), side, draw, normalization, scratch, out);
        }
        Augmentation::Crop => CropView::draw(side, draw).apply(image, side, normalization, scratch, out),
        Augmentation::Flip => FlipView::draw(draw).apply(image, side, normalization, scratch, out),
        Augmentation::Affine { erase } => {
            AffineView::draw(side, erase, draw).apply(image, side, normalization, scratch, out);
        }
    }
}

/// Writes one view whose crop is drawn from the whole of an image of any size, as torchvision's `RandomResizedCrop(side)` does.
///
/// `out` has the shape `[3, side, side]`. For a square image of this side, the view is that of [`write_view`].
///
/// # Panics
/// If the augmentation [draws no crops](Augmentation::draws_crops), or the length of `out` is not `3 * side * side`.
pub fn write_view_of(
    augmentation: Augmentation,
    image: SourceImage,
    side: usize,
    draw: &mut Draw,
    normalization: &Normalization,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let size = image.size();
    match augmentation {
        Augmentation::Contrastive => {
            ContrastiveView::draw_of(size, draw).apply_to(image, side, normalization, scratch, out);
        }
        Augmentation::ResizedCrop { crop, flip } => {
            ResizedCropView::draw_of(size, crop, flip, draw).apply_to(image, side, normalization, scratch, out);
        }
        _ => panic!("{augmentation:?} draws no resized crop"),
    }
}
