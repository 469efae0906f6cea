//! Views that move pixels and leave colours alone.

use super::affine::{Affine, RandomAffine};
use super::crop::{CropBox, RandomCrop};
use super::erasing::{RandomErasing, erase};
use super::normalize::Normalization;
use super::padded_crop::PaddedCrop;
use super::scratch::Scratch;
use crate::draw::Draw;
use crate::images::SourceImage;

/// The random choice of one view that is the image or its mirror image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlipView {
    /// Whether the view is flipped left to right, with probability 1/2.
    pub flip: bool,
}

/// The random choices of one view: shift by a few pixels, then horizontal flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropView {
    /// The crop of the image padded with black by an eighth of its side.
    pub crop: PaddedCrop,
    /// Whether the view is flipped left to right, with probability 1/2.
    pub flip: bool,
}

/// The random choices of one view: crop and resize, then horizontal flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizedCropView {
    /// The crop, which is resized to the size of the image.
    pub crop: CropBox,
    /// Whether the view is flipped left to right.
    pub flip: bool,
}

/// The random choices of one view: horizontal flip, affine transform, and, after normalisation, erasing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AffineView {
    /// Whether the view is flipped left to right, with probability 1/2.
    pub flip: bool,
    /// A [`RandomAffine::SUPERVISED`] transform, with probability 1/2.
    pub affine: Option<Affine>,
    /// The square that is set to 0; with a [`RandomErasing`], drawn with probability 1/2.
    pub erased: Option<CropBox>,
}

impl FlipView {
    /// Draws the choice.
    pub fn draw(draw: &mut Draw) -> Self {
        Self { flip: draw.chance(0.5) }
    }

    /// Writes the normalised view to `out`; lengths as in [`write_view`](crate::write_view).
    ///
    /// # Panics
    /// If the length of `image` or `out` is not `3 * side * side`.
    pub fn apply(
        &self,
        image: &[u8],
        side: usize,
        normalization: &Normalization,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        scratch.normalizer.write(normalization, image, side, self.flip, out);
    }
}

impl CropView {
    /// Draws the choices for a square image.
    pub fn draw(side: usize, draw: &mut Draw) -> Self {
        Self { crop: PaddedCrop::draw(side / 8, draw), flip: draw.chance(0.5) }
    }

    /// Writes the normalised view to `out`; lengths as in [`write_view`](crate::write_view).
    ///
    /// # Panics
    /// If the length of `image` or `out` is not `3 * side * side`.
    pub fn apply(
        &self,
        image: &[u8],
        side: usize,
        normalization: &Normalization,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let Scratch { pixels, normalizer, .. } = scratch;
        pixels.resize(image.len(), 0);
        self.crop.cut(image, (side, side), pixels);
        normalizer.write(normalization, pixels, side, self.flip, out);
    }
}

impl ResizedCropView {
    /// Draws the choices for a square image. With `flip`, every second view is flipped.
    pub fn draw(side: usize, crop: RandomCrop, flip: bool, draw: &mut Draw) -> Self {
        Self::draw_of((side, side), crop, flip, draw)
    }

    /// Draws the choices for an image of any height and width. With `flip`, every second view is flipped.
    pub fn draw_of((height, width): (usize, usize), crop: RandomCrop, flip: bool, draw: &mut Draw) -> Self {
        Self { crop: crop.draw(height, width, draw), flip: flip && draw.chance(0.5) }
    }

    /// Writes the normalised view to `out`; lengths as in [`write_view`](crate::write_view).
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
        normalizer.write(normalization, pixels, side, self.flip, out);
    }
}

impl AffineView {
    /// Draws the choices for a square image.
    pub fn draw(side: usize, erasing: Option<RandomErasing>, draw: &mut Draw) -> Self {
        Self {
            flip: draw.chance(0.5),
            affine: draw.chance(0.5).then(|| RandomAffine::SUPERVISED.draw(side, side, draw)),
            erased: erasing.and_then(|erasing| erasing.draw(side, side, draw)),
        }
    }

    /// Writes the normalised view to `out`; lengths as in [`write_view`](crate::write_view).
    ///
    /// # Panics
    /// If the length of `image` or `out` is not `3 * side * side`, or the erased square exceeds the image.
    pub fn apply(
        &self,
        image: &[u8],
        side: usize,
        normalization: &Normalization,
        scratch: &mut Scratch,
        out: &mut [f32],
    ) {
        let Scratch { pixels, normalizer, warper, .. } = scratch;
        if let Some(affine) = &self.affine {
            pixels.resize(image.len(), 0);
            warper.warp(image, (side, side), self.flip, affine, pixels);
            normalizer.write(normalization, pixels, side, false, out);
        } else {
            normalizer.write(normalization, image, side, self.flip, out);
        }
        if let Some(square) = &self.erased {
            erase(out, (side, side), square);
        }
    }
}
