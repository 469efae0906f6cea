//! Views that move pixels and leave their colours alone.

use super::affine::{Affine, RandomAffine};
use super::crop::CropBox;
use super::erasing::{RandomErasing, erase};
use super::normalize::Normalization;
use super::padded_crop::PaddedCrop;
use super::scratch::Scratch;
use crate::draw::Draw;

/// The random choice of one view that is mirrored at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlipView {
    /// Mirrored left to right, with probability 1/2.
    pub flip: bool,
}

/// The random choices of one view that is moved and mirrored, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CropView {
    /// The cut out of the image with an eighth of its side in black around it.
    pub crop: PaddedCrop,
    /// Mirrored left to right, with probability 1/2.
    pub flip: bool,
}

/// The random choices of one view that is mirrored, transformed, normalised and in part erased, in this order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AffineView {
    /// Mirrored left to right, with probability 1/2.
    pub flip: bool,
    /// A [`RandomAffine::SUPERVISED`] transform, with probability 1/2.
    pub affine: Option<Affine>,
    /// The square that becomes 0, with probability 1/2 if anything is to be erased at all.
    pub erased: Option<CropBox>,
}

impl FlipView {
    /// Makes the choice.
    pub fn draw(draw: &mut Draw) -> Self {
        Self { flip: draw.chance(0.5) }
    }

    /// Writes the normalised view; lengths as in [`write_view`](crate::write_view).
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
    /// Makes the choices for a square image.
    pub fn draw(side: usize, draw: &mut Draw) -> Self {
        Self { crop: PaddedCrop::draw(side / 8, draw), flip: draw.chance(0.5) }
    }

    /// Writes the normalised view; lengths as in [`write_view`](crate::write_view).
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

impl AffineView {
    /// Makes the choices for a square image.
    pub fn draw(side: usize, erasing: Option<RandomErasing>, draw: &mut Draw) -> Self {
        Self {
            flip: draw.chance(0.5),
            affine: draw.chance(0.5).then(|| RandomAffine::SUPERVISED.draw(side, side, draw)),
            erased: erasing.and_then(|erasing| erasing.draw(side, side, draw)),
        }
    }

    /// Writes the normalised view; lengths as in [`write_view`](crate::write_view).
    ///
    /// # Panics
    /// If the length of `image` or `out` is not `3 * side * side`, or the square is not inside.
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
