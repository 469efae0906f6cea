//! Views: what augmentation and normalisation make of an image.

use serde::{Deserialize, Serialize};

use crate::color;
use crate::crop::{CropBox, RandomCrop};
use crate::dataset::Normalization;
use crate::draw::Draw;
use crate::hue::hue;
use crate::resize::Resizer;

/// How a view is made of an image, before it is normalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augmentation {
    /// The image itself.
    None,
    /// A [`ContrastiveView`].
    Contrastive,
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

/// Four colour changes and their order.
#[derive(Clone, Debug, PartialEq)]
pub struct ColorJitter {
    /// The four changes in the order in which they are made, every order equally likely.
    pub order: [ColorChange; 4],
    /// Factor of [`color::brightness`], uniform in 0.2 to 1.8.
    pub brightness: f32,
    /// Factor of [`color::contrast`], uniform in 0.2 to 1.8.
    pub contrast: f32,
    /// Factor of [`color::saturation`], uniform in 0.2 to 1.8.
    pub saturation: f32,
    /// Fraction of the circle of [`hue`], uniform in -0.2 to 0.2.
    pub hue: f64,
}

/// One of the changes of a [`ColorJitter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColorChange {
    /// [`color::brightness`]
    Brightness,
    /// [`color::contrast`]
    Contrast,
    /// [`color::saturation`]
    Saturation,
    /// [`hue`]
    Hue,
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
}

impl ColorJitter {
    /// Chooses factors and order.
    pub fn draw(draw: &mut Draw) -> Self {
        use ColorChange::{Brightness, Contrast, Hue, Saturation};
        let mut order = [Brightness, Contrast, Saturation, Hue];
        draw.shuffle(&mut order);
        Self {
            order,
            brightness: draw.uniform(0.2, 1.8) as f32,
            contrast: draw.uniform(0.2, 1.8) as f32,
            saturation: draw.uniform(0.2, 1.8) as f32,
            hue: draw.uniform(-0.2, 0.2),
        }
    }

    /// Makes the changes in planar pixels, `[3, pixels]`.
    pub fn apply(&self, pixels: &mut [u8]) {
        for change in self.order {
            match change {
                ColorChange::Brightness => color::brightness(pixels, self.brightness),
                ColorChange::Contrast => color::contrast(pixels, self.contrast),
                ColorChange::Saturation => color::saturation(pixels, self.saturation),
                ColorChange::Hue => hue(pixels, self.hue),
            }
        }
    }
}

/// Buffers and tables that [`write_view`] keeps from one view to the next. Give every thread its own.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    resizer: Resizer,
    pixels: Vec<u8>,
    values: Option<ValueTable>,
}

/// The normalised value of every 8-bit value, for each channel.
#[derive(Clone, Debug)]
struct ValueTable {
    of: Normalization,
    values: [[f32; 256]; 3],
}

impl ValueTable {
    fn new(of: Normalization) -> Self {
        let mut values = [[0.0; 256]; 3];
        for (channel, values) in values.iter_mut().enumerate() {
            for (pixel, value) in values.iter_mut().enumerate() {
                *value = (pixel as f32 / 255.0 - of.mean[channel]) / of.std[channel];
            }
        }
        Self { of, values }
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
    let size = 3 * side * side;
    assert_eq!(image.len(), size, "pixels of the image");
    assert_eq!(out.len(), size, "values of the view");
    let Scratch { resizer, pixels, values } = scratch;
    if values.as_ref().is_none_or(|table| table.of != *normalization) {
        *values = Some(ValueTable::new(*normalization));
    }
    let table = values.as_ref().expect("the table was just made");
    match augmentation {
        Augmentation::None => normalize(image, side, false, table, out),
        Augmentation::Contrastive => {
            let view = ContrastiveView::draw(side, draw);
            pixels.resize(size, 0);
            resizer.resized_crop(image, (side, side), &view.crop, (side, side), pixels);
            if let Some(jitter) = &view.jitter {
                jitter.apply(pixels);
            }
            if view.grayscale {
                color::grayscale(pixels);
            }
            // No colour change looks at places, so mirroring can wait until the values are written.
            normalize(pixels, side, view.flip, table, out);
        }
    }
}

fn normalize(pixels: &[u8], side: usize, flip: bool, table: &ValueTable, out: &mut [f32]) {
    let plane = side * side;
    for ((pixels, out), values) in pixels.chunks_exact(plane).zip(out.chunks_exact_mut(plane)).zip(&table.values) {
        if flip {
            for (pixels, out) in pixels.chunks_exact(side).zip(out.chunks_exact_mut(side)) {
                for (pixel, out) in pixels.iter().rev().zip(out) {
                    *out = values[usize::from(*pixel)];
                }
            }
        } else {
            for (pixel, out) in pixels.iter().zip(out) {
                *out = values[usize::from(*pixel)];
            }
        }
    }
}
