//! From 8-bit pixels to normalised values, by table.

use serde::{Deserialize, Serialize};

/// Mean and standard deviation of each colour channel, on the scale where black is 0 and white is 1.
///
/// A channel value `v` becomes `(v - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Subtracted from red, green and blue.
    pub mean: [f32; 3],
    /// What red, green and blue are then divided by.
    pub std: [f32; 3],
}

/// Writes normalised values, keeping the value of every 8-bit one from one call to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Normalizer {
    table: Option<(Normalization, [[f32; 256]; 3])>,
}

impl Normalizer {
    /// Scales `[3, side, side]` pixels to 0 to 1 and normalises them: (pixel / 255 - mean) / std. Mirrors them left to right
    /// if `flip` says so.
    ///
    /// # Panics
    /// If the length of `pixels` or `out` is not `3 * side * side`.
    pub fn write(&mut self, normalization: &Normalization, pixels: &[u8], side: usize, flip: bool, out: &mut [f32]) {
        let plane = side * side;
        assert_eq!(pixels.len(), 3 * plane, "pixels of the image");
        assert_eq!(out.len(), 3 * plane, "values of the view");
        for ((pixels, out), values) in
            pixels.chunks_exact(plane).zip(out.chunks_exact_mut(plane)).zip(self.table(normalization))
        {
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

    fn table(&mut self, of: &Normalization) -> &[[f32; 256]; 3] {
        if self.table.as_ref().is_none_or(|(known, _)| known != of) {
            self.table = None;
        }
        &self.table.get_or_insert_with(|| (*of, values(of))).1
    }
}

fn values(of: &Normalization) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| {
        std::array::from_fn(|pixel| (pixel as f32 / 255.0 - of.mean[channel]) / of.std[channel])
    })
}
