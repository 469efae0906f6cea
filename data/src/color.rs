//! Brightness, contrast, saturation and grayscale, in the arithmetic of Pillow's `ImageEnhance`.
//!
//! All functions take planar 8-bit pixels, `[3, pixels]`, and change them in place. Factor 1 changes nothing, 0 goes
//! all the way to black, to flat gray or to shades of gray, and more than 1 goes the other way.

/// A choice without a branch, so that loops over pixels can become vector instructions.
#[inline(always)]
pub(crate) fn select(condition: bool, yes: f32, no: f32) -> f32 {
    if condition { yes } else { no }
}

/// The whole part of a channel value, which must lie in `0.0..256.0`.
#[inline(always)]
pub(crate) fn truncate(value: f32) -> i32 {
    debug_assert!((0.0..256.0).contains(&value));
    // SAFETY: finite and within the range of i32, as every caller has it. (The checked conversion costs more than all
    // the arithmetic around it.)
    unsafe { value.to_int_unchecked() }
}

/// What Pillow's `Image.blend` makes of two channel values: `from` at factor 0 and `to` at factor 1, cut off to 8 bits.
#[inline(always)]
fn blend(from: f32, to: f32, factor: f32) -> u8 {
    let mixed = from + factor * (to - from);
    let mixed = select(mixed > 0.0, mixed, 0.0);
    truncate(select(mixed < 255.0, mixed, 255.0)) as u8
}

/// Blends every value with the same one.
fn blend_with_flat(pixels: &mut [u8], flat: u8, factor: f32) {
    let flat = f32::from(flat);
    for pixel in pixels {
        *pixel = blend(flat, f32::from(*pixel), factor);
    }
}

/// Values that are summed in 32 bits, which is faster than in 64.
const SUMMED: usize = 1 << 16;

/// Brightness of a colour as Pillow's mode `L` has it (ITU-R 601-2, 16 fractional bits).
pub fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// Splits planar pixels into the three planes.
///
/// # Panics
/// If the length is no multiple of three.
pub(crate) fn planes(pixels: &mut [u8]) -> (&mut [u8], &mut [u8], &mut [u8]) {
    assert!(pixels.len().is_multiple_of(3), "three planes of the same size");
    let count = pixels.len() / 3;
    let (red, rest) = pixels.split_at_mut(count);
    let (green, blue) = rest.split_at_mut(count);
    (red, green, blue)
}

/// Scales every value: a blend with black.
pub fn brightness(pixels: &mut [u8], factor: f32) {
    blend_with_flat(pixels, 0, factor);
}

/// Blends with flat gray of the image's mean luma (rounded to a whole number).
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
pub fn grayscale(pixels: &mut [u8]) {
    let (red, green, blue) = planes(pixels);
    for ((red, green), blue) in red.iter_mut().zip(green).zip(blue) {
        let gray = luma(*red, *green, *blue);
        (*red, *green, *blue) = (gray, gray, gray);
    }
}

/// Mirrors rows of `width` pixels left to right.
pub fn flip_horizontally(pixels: &mut [u8], width: usize) {
    for row in pixels.chunks_exact_mut(width) {
        row.reverse();
    }
}
