//! Random changes of colour in random order.

use super::color;
use super::hue::hue;
use crate::draw::Draw;

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
