//! Normalisation of 8-bit pixels by table.

use serde::{Deserialize, Serialize};

/// Mean and standard deviation of each colour channel, on the scale from 0 (black) to 1 (white).
///
/// A channel value `v` becomes `(v - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// Mean of red, green and blue.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f32; 3],
}

/// Normalises pixels with a table of the 256 values of each channel, which it reuses from one call to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Normalizer {
    table: Option<(Normalization, [[f32; 256]; 3])>,
}

impl Normalizer {
    /// Writes `(pixel / 255 - mean) / std` for `[3, side, side]` pixels, flipped left to right if `flip`.
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
