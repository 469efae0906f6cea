//! Horizontal flips.

/// Reverses every row of `width` pixels in place.
///
/// # Panics
/// If `width` is zero.
pub fn flip_horizontally(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(width) {
        row.reverse();
    }
}
