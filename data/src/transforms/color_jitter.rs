//! Colour jitter: random colour changes in random order.

use super::color;
use super::hue::hue;
use crate::draw::Draw;

/// Four colour changes and their order, as in torchvision's `ColorJitter(0.8, 0.8, 0.8, 0.2)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ColorJitter {
    /// The order of the four changes; every order is equally likely.
    pub order: [ColorChange; 4],
    /// Factor of [`color::brightness`], uniform from 0.2 to 1.8.
    pub brightness: f32,
    /// Factor of [`color::contrast`], uniform from 0.2 to 1.8.
    pub contrast: f32,
    /// Factor of [`color::saturation`], uniform from 0.2 to 1.8.
    pub saturation: f32,
    /// Shift of [`hue`] as a fraction of the circle, uniform from -0.2 to 0.2.
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
    /// Draws the order and the factors.
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

    /// Changes planar pixels, `[3, pixels]`, in place.
    ///
    /// # Panics
    /// If the length of `pixels` is not a multiple of three.
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
