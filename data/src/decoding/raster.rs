//! Decodes image files with bounded memory and time.
//!
//! The number of pixels is checked before any memory is allocated for them, and large images are decoded one at a time. An
//! incomplete file is an error if it is one in Pillow, except for a missing end marker that no pixel depends on.

use std::io::Cursor;
use std::sync::Mutex;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::decoder_errors;
use super::decoder_panics::caught;
use super::format::{format_of, what_it_is};
use super::jpeg::{check, pixels, segments};
use super::{png, webp};

/// The content of an image file.
#[derive(Clone, Copy)]
pub(crate) struct ImageBytes<'a> {
    pub bytes: &'a [u8],
    /// The extension of its name in lower case, for the format that has no signature.
    pub extension: &'a str,
    /// The most pixels that it may have.
    pub max_pixels: u64,
}

/// The default for the most pixels of an image file. Pillow refuses larger images, too.
pub const DEFAULT_MAX_PIXELS: u64 = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// Images with more pixels are decoded one at a time, regardless of the number of threads.
const LARGE: u64 = 1 << 25;
static ONE_LARGE_IMAGE: Mutex<()> = Mutex::new(());
/// Number of scans of a JPEG file that is always accepted.
const SCANS: usize = 64;
/// The most scans times pixels of a JPEG file with more scans.
const SCANNED: u64 = 1 << 31;

/// Decodes a file and turns the image upright. Gray, transparent, 16-bit and CMYK images become 8-bit RGB; transparency is dropped.
pub(crate) fn decode(file: ImageBytes) -> Result<RgbImage, String> {
    let format = format_of(file.bytes, file.extension).ok_or_else(|| what_it_is(file.bytes))?;
    let (mut image, orientation) = match format {
        ImageFormat::Png => {
            let size = png::size(file.bytes)?;
            file.check(size)?;
            one_at_a_time(size, || png::decode(file.bytes))?
        }
        ImageFormat::Jpeg => decode_jpeg(file)?,
        ImageFormat::WebP => decode_any(&webp::whole(file.bytes)?, format, file)?,
        _ => decode_any(file.bytes, format, file)?,
    };
    image.apply_orientation(orientation);
    Ok(into_rgb8(image))
}

/// The image as RGB of 8 bits. Of 16 bits the high byte stays, as in Pillow.
fn into_rgb8(image: DynamicImage) -> RgbImage {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    let (width, height) = (image.width(), image.height());
    match image {
        ImageLuma16(_) | ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_) => {
            let bytes = image.into_rgb16().into_raw().into_iter().map(|value| (value >> 8) as u8).collect();
            RgbImage::from_raw(width, height, bytes).expect("a pixel has three values")
        }
        image => image.into_rgb8(),
    }
}

impl ImageBytes<'_> {
    fn check(&self, (width, height): (u64, u64)) -> Result<(), String> {
        match width.checked_mul(height) {
            Some(0) => Err("it has no pixels".into()),
            Some(pixels) if pixels <= self.max_pixels => Ok(()),
            _ => Err(format!(
                "it announces {width}x{height} pixels, more than the {} that are allowed (--max-pixels)",
                self.max_pixels
            )),
        }
    }
}

fn one_at_a_time<T>((width, height): (u64, u64), work: impl FnOnce() -> T) -> T {
    let _alone = (width * height > LARGE).then(|| ONE_LARGE_IMAGE.lock().unwrap_or_else(|poison| poison.into_inner()));
    work()
}

fn decode_any(bytes: &[u8], format: ImageFormat, file: ImageBytes) -> Result<(DynamicImage, Orientation), String> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    // Four channels of 32 bits, and as much again for the buffers of a decoder.
    limits.max_alloc = Some(file.max_pixels.saturating_mul(32).max(1 << 26));
    reader.limits(limits);
    let told = |error| decoder_errors::told(format, bytes.len(), &error);
    let mut decoder = reader.into_decoder().map_err(told)?;
    let size = decoder.dimensions();
    let size = (size.0.into(), size.1.into());
    file.check(size)?;
    // Broken metadata does not make an image broken.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = || DynamicImage::from_decoder(decoder).map_err(told);
    Ok((one_at_a_time(size, pixels)?, orientation))
}

fn decode_jpeg(file: ImageBytes) -> Result<(DynamicImage, Orientation), String> {
    let segments = segments::segments(file.bytes);
    if let Some(segments::Segments { size: Some((width, height)), scans, .. }) = segments {
        file.check((width, height))?;
        if scans > SCANS && scans as u64 * width * height > SCANNED {
            return Err(format!("it goes over its {width}x{height} pixels {scans} times"));
        }
    }
    let checked = check::check(file.bytes);
    let decode = |bytes: &[u8]| {
        let size = segments.and_then(|segments| segments.size).unwrap_or_default();
        // This decoder skips damage in the middle, as Pillow does. The other decoder may read what this one refuses.
        match one_at_a_time(size, || caught(|| pixels::decode(bytes))) {
            Ok(image) => Ok((image, orientation_of(bytes))),
            Err(_) => decode_any(bytes, ImageFormat::Jpeg, file),
        }
    };
    if let Err(problem) = checked {
        // Pillow's decoder reads ahead, so it refuses most files without an end marker even if no pixel depends on it.
        let only_end_missing = segments.is_some_and(|segments| !segments.has_end && !segments.several_scans)
            && check::check(&segments::with_end(file.bytes)).is_ok();
        return if only_end_missing { whole_without_end(file.bytes, decode).ok_or(problem) } else { Err(problem) };
    }
    if segments.is_some_and(|segments| !segments.has_end) {
        // All pixels are there, but the decoder needs an end marker.
        return decode(&segments::with_end(file.bytes));
    }
    decode(file.bytes).or_else(|problem| {
        // Frames of Motion JPEG may omit the standard Huffman tables.
        decode(&segments::with_usual_tables(file.bytes)).map_err(|_| problem)
    })
}

/// The image of a file without end marker, if it does not depend on the missing bytes.
fn whole_without_end<T: PartialEq>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<(DynamicImage, T), String>,
) -> Option<(DynamicImage, T)> {
    let mut first: Option<(DynamicImage, T)> = None;
    for bytes in segments::continued(bytes) {
        let decoded = decode(&bytes).ok()?;
        match &first {
            Some((image, _)) if *image != decoded.0 => return None,
            Some(_) => {}
            None => first = Some(decoded),
        }
    }
    first
}

/// The orientation in the metadata of a JPEG file; none if the metadata is broken.
fn orientation_of(bytes: &[u8]) -> Orientation {
    let decoder = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg).into_decoder();
    decoder.ok().and_then(|mut decoder| decoder.orientation().ok()).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests;
