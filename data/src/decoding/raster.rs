//! From the bytes of an image file to its pixels, within bounds of memory and time.
//!
//! Width and height are compared with a limit before there is memory for any pixel, and large images are decoded one at a
//! time. What is missing from a file is an error where it is one in Pillow, but for an end marker that no pixel depends on.

use std::io::Cursor;
use std::sync::Mutex;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage};

use super::decoder_panics::caught;
use super::format::{format_of, what_it_is};
use super::jpeg::{check, pixels, segments};
use super::{png, webp};

/// The content of an image file.
#[derive(Clone, Copy)]
pub(crate) struct ImageBytes<'a> {
    pub bytes: &'a [u8],
    /// The extension of its name in lower case, for formats that cannot be told by their content.
    pub extension: &'a str,
    /// The most pixels it may have.
    pub max_pixels: u64,
}

/// The most pixels an image may have where no other limit is given: Pillow refuses images from there on, too.
pub const DEFAULT_MAX_PIXELS: u64 = 2 * (1024 * 1024 * 1024 / 4 / 3);

/// Images of more pixels are decoded one at a time, however many threads there are.
const LARGE: u64 = 1 << 25;
static ONE_LARGE_IMAGE: Mutex<()> = Mutex::new(());
/// Passes over the pixels of a JPEG file that are never too many, and passes times pixels that are.
const SCANS: usize = 64;
const SCANNED: u64 = 1 << 31;

/// The image in a file, turned upright. Gray, transparent, 16-bit and CMYK images become 8-bit RGB; transparency is dropped.
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
    Ok(image.into_rgb8())
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
    // Four channels of 32 bits, and as much again for what a decoder keeps besides.
    limits.max_alloc = Some(file.max_pixels.saturating_mul(32).max(1 << 26));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| error.to_string())?;
    let size = decoder.dimensions();
    let size = (size.0.into(), size.1.into());
    file.check(size)?;
    // Broken metadata is no broken image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let pixels = || DynamicImage::from_decoder(decoder).map_err(|error| error.to_string());
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
        // Damage in the middle is passed over here as in Pillow. What this decoder refuses, the other may read.
        match one_at_a_time(size, || caught(|| pixels::decode(bytes))) {
            Ok(image) => Ok((image, orientation_of(bytes))),
            Err(_) => decode_any(bytes, ImageFormat::Jpeg, file),
        }
    };
    if let Err(problem) = checked {
        // Pillow's decoder reads ahead, and wants an end marker that no pixel depends on: without it, it refuses most files.
        let only_end_missing = segments.is_some_and(|segments| !segments.has_end && !segments.several_scans)
            && check::check(&segments::with_end(file.bytes)).is_ok();
        return if only_end_missing { whole_without_end(file.bytes, decode).ok_or(problem) } else { Err(problem) };
    }
    if segments.is_some_and(|segments| !segments.has_end) {
        // All its pixels are there: only the decoder misses the end marker.
        return decode(&segments::with_end(file.bytes));
    }
    decode(file.bytes).or_else(|problem| {
        // Frames of films may leave out the tables that everybody has.
        decode(&segments::with_usual_tables(file.bytes)).map_err(|_| problem)
    })
}

/// The image of a file without its end, if that is the same whatever the missing bytes are.
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

/// How a JPEG file says that its image is turned. Broken metadata is no broken image.
fn orientation_of(bytes: &[u8]) -> Orientation {
    let decoder = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg).into_decoder();
    decoder.ok().and_then(|mut decoder| decoder.orientation().ok()).unwrap_or(Orientation::NoTransforms)
}

#[cfg(test)]
mod tests;
