//! Mirroring.

/// Mirrors rows of `width` pixels left to right.
pub fn flip_horizontally(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(width) {
        row.reverse();
    }
}
