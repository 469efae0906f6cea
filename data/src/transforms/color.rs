//! Brightness, contrast, saturation and grayscale, in the arithmetic of Pillow's `ImageEnhance`.
//!
//! All functions take planar 8-bit pixels, `[3, pixels]`, and change them in place. Each adjustment blends the image with a
//! degenerate one: `(1 - factor) · degenerate + factor · image`, clamped to 8 bits. Factor 1 changes nothing, 0 gives the
//! degenerate image, and factors above 1 extrapolate.

pub use super::flip::flip_horizontally;

/// Selects without a branch, so that the compiler can vectorise loops over pixels.
#[inline(always)]
pub(super) fn select(condition: bool, yes: f32, no: f32) -> f32 {
    if condition { yes } else { no }
}

/// The integer part of a value. A checked conversion takes longer than all the arithmetic around it.
///
/// # Safety
/// `value` is finite, and its integer part fits into an `i32`.
#[inline(always)]
pub(super) unsafe fn truncate(value: f32) -> i32 {
    // SAFETY: the caller guarantees both.
    unsafe { value.to_int_unchecked() }
}

/// Pillow's `Image.blend` of two channel values: `from` at factor 0, `to` at factor 1, clamped to 8 bits.
#[inline(always)]
fn blend(from: f32, to: f32, factor: f32) -> u8 {
    let mixed = from + factor * (to - from);
    let mixed = select(mixed > 0.0, mixed, 0.0);
    let mixed = select(mixed < 255.0, mixed, 255.0);
    // SAFETY: 0 to 255 for every factor. NaN compares false, so the first selection replaces it by 0.
    (unsafe { truncate(mixed) }) as u8
}

/// Blends every value with a constant.
fn blend_with_flat(pixels: &mut [u8], flat: u8, factor: f32) {
    let flat = f32::from(flat);
    for pixel in pixels {
        *pixel = blend(flat, f32::from(*pixel), factor);
    }
}

/// Number of luma values that are summed in 32 bits, which is faster than in 64 and cannot overflow.
const SUMMED: usize = 1 << 16;

/// Luma of a colour as in Pillow's mode `L`: ITU-R 601-2 with 16 fractional bits.
pub fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// Splits planar pixels into the three planes.
///
/// # Panics
/// If the length is not a multiple of three.
pub(super) fn planes(pixels: &mut [u8]) -> (&mut [u8], &mut [u8], &mut [u8]) {
    assert!(pixels.len().is_multiple_of(3), "three planes of the same size");
    let count = pixels.len() / 3;
    let (red, rest) = pixels.split_at_mut(count);
    let (green, blue) = rest.split_at_mut(count);
    (red, green, blue)
}

/// Blends with black: scales every value by `factor`.
pub fn brightness(pixels: &mut [u8], factor: f32) {
    blend_with_flat(pixels, 0, factor);
}

/// Blends with a constant gray, the image's mean luma rounded to an integer.
///
/// # Panics
/// If the length is not a multiple of three.
pub fn contrast(pixels: &mut [u8], factor: f32) {
    let (red, green, blue) = planes(pixels);
    let count = red.len();
    let colors = red.chunks(SUMMED).zip(green.chunks(SUMMED)).zip(blue.chunks(SUMMED));
    let sum: u64 = colors
        .map(|((red, green), blue)| {
            let colors = red.iter().zip(green).zip(blue);
            u64::from(colors.map(|((&red, &green), &blue)| u32::from(luma(red, green, blue))).sum::<u32>())
        })
        .sum();
    let mean = (sum as f64 / count as f64 + 0.5) as u8;
    blend_with_flat(pixels, mean, factor);
}

/// Blends every pixel with the gray of its luma.
///
/// # Panics
/// If the length is not a multiple of three.
pub fn saturation(pixels: &mut [u8], factor: f32) {
    let (red, green, blue) = planes(pixels);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let gray = f32::from(luma(*red, *green, *blue));
        *red = blend(gray, f32::from(*red), factor);
        *green = blend(gray, f32::from(*green), factor);
        *blue = blend(gray, f32::from(*blue), factor);
    }
}

/// Replaces every pixel by the gray of its luma.
///
/// # Panics
/// If the length is not a multiple of three.
pub fn grayscale(pixels: &mut [u8]) {
    let (red, green, blue) = planes(pixels);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let gray = luma(*red, *green, *blue);
        (*red, *green, *blue) = (gray, gray, gray);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blends_saturate_for_every_factor() {
        let factors = [0.0, -0.0, 1.0, -1e30, 1e30, f32::MAX, f32::MIN, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        for factor in factors {
            for (from, to) in [(0.0, 255.0), (255.0, 0.0), (17.0, 17.0), (0.0, 1.0)] {
                // Rust's own conversion saturates, and takes NaN to 0.
                let expected = (from + factor * (to - from)) as u8;
                assert_eq!(blend(from, to, factor), expected, "{from} to {to} by {factor}");
            }
        }
    }
}
