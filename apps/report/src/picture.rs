//! Pictures of pixels: thumbnails of a map, and images beside each other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{ExtendedColorType, ImageEncoder, RgbImage};

use crate::error::{ReportError, Result};

/// Square colour images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pictures {
    side: usize,
    images: Vec<RgbImage>,
}

impl Pictures {
    /// Takes planar 8-bit pixels `[N, 3, side, side]`.
    ///
    /// # Errors
    /// If the pixels do not make whole images.
    pub fn planar(pixels: &[u8], side: usize) -> Result<Self> {
        let size = 3 * side * side;
        if size == 0 || !pixels.len().is_multiple_of(size) {
            let expected = if size == 0 { 1 } else { pixels.len().next_multiple_of(size) };
            return Err(ReportError::Size { what: "pixels", found: pixels.len(), expected });
        }
        Ok(Self { side, images: pixels.chunks_exact(size).map(|pixels| interleaved(pixels, side)).collect() })
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Returns one image as a JPEG of at most `most` pixels in height and width, as the address of an `img` element.
    pub(crate) fn address(&self, index: usize, most: usize) -> Result<String> {
        let image = self.shrunk(index, most.min(self.side));
        Ok(data_address("image/jpeg", &jpeg(&image, 85)?))
    }

    fn shrunk(&self, index: usize, side: usize) -> RgbImage {
        let image = &self.images[index];
        if side == self.side { image.clone() } else { resize(image, side as u32, side as u32, FilterType::Triangle) }
    }

    /// Returns all images as a PNG, `columns` in a row.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn sheet(&self, columns: usize) -> Result<Vec<u8>> {
        let sheet = self.tiled(self.side, columns.max(1));
        png(&sheet)
    }

    fn tiled(&self, side: usize, columns: usize) -> RgbImage {
        let rows = self.len().div_ceil(columns).max(1);
        let mut sheet = RgbImage::from_pixel((columns * side) as u32, (rows * side) as u32, image::Rgb([255; 3]));
        for index in 0..self.len() {
            let (left, top) = ((index % columns * side) as i64, (index / columns * side) as i64);
            image::imageops::replace(&mut sheet, &self.shrunk(index, side), left, top);
        }
        sheet
    }

    /// Returns all images as one JPEG of at most about `most` bytes: smaller images if there are many.
    pub(crate) fn atlas(&self, most: usize) -> Result<Atlas> {
        let columns = (self.len() as f64).sqrt().ceil().max(1.0) as usize;
        // Multiples of 8, the blocks of JPEG, so that images do not run into each other.
        let sides = [48, 32, 24, 16].into_iter().filter(|side| *side <= self.side.next_multiple_of(8).max(16));
        let mut found = None;
        for (side, quality) in sides.flat_map(|side| [(side, 80), (side, 60)]) {
            let bytes = jpeg(&self.tiled(side, columns), quality)?;
            let fits = bytes.len() <= most;
            found = Some(Atlas { side, columns, bytes });
            if fits {
                break;
            }
        }
        Ok(found.expect("a side of 16 is always tried"))
    }
}

/// Images in one JPEG.
#[derive(Clone, Debug)]
pub(crate) struct Atlas {
    pub side: usize,
    pub columns: usize,
    bytes: Vec<u8>,
}

impl Atlas {
    pub fn address(&self) -> String {
        data_address("image/jpeg", &self.bytes)
    }
}

/// Encodes an image as PNG.
///
/// # Errors
/// If it cannot be encoded.
pub fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    let written = encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8);
    written.map_err(|error| ReportError::Picture(error.to_string()))?;
    Ok(bytes)
}

/// Turns planar pixels `[3, side, side]` into an image.
pub fn interleaved(pixels: &[u8], side: usize) -> RgbImage {
    let plane = side * side;
    let bytes = (0..plane).flat_map(|place| [0, 1, 2].map(|channel| pixels[channel * plane + place])).collect();
    RgbImage::from_raw(side as u32, side as u32, bytes).expect("the size fits")
}

fn jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    let written = encoder.write_image(image, image.width(), image.height(), ExtendedColorType::Rgb8);
    written.map_err(|error| ReportError::Picture(error.to_string()))?;
    Ok(bytes)
}

fn data_address(kind: &str, bytes: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` images of random colours.
    fn noise(count: usize, side: usize) -> Pictures {
        let values = crate::random::normal(count * 3 * side * side, 2);
        let pixels: Vec<u8> = values.iter().map(|value| (128.0 + 60.0 * value).clamp(0.0, 255.0) as u8).collect();
        Pictures::planar(&pixels, side).unwrap()
    }

    #[test]
    fn sheets_hold_every_image() {
        let pictures = noise(5, 6);
        let sheet = image::load_from_memory(&pictures.sheet(2).unwrap()).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (12, 18));
        assert_eq!(sheet.get_pixel(7, 14), &image::Rgb([255; 3]), "the place of a sixth image is empty");
        for x in 0..6 {
            assert_eq!(sheet.get_pixel(6 + x, 9), pictures.images[3].get_pixel(x, 3));
        }
    }

    #[test]
    fn an_atlas_keeps_to_its_bytes_and_tiles_do_not_mix() {
        let pictures = noise(300, 32);
        let (large, small) = (pictures.atlas(1 << 24).unwrap(), pictures.atlas(120_000).unwrap());
        assert_eq!(large.side, 32);
        assert!(small.side < 32 && small.bytes.len() <= 120_000, "{} of {} bytes", small.side, small.bytes.len());
        let black_and_white: Vec<u8> = (0..4).flat_map(|image| vec![255 * (image % 2) as u8; 3 * 32 * 32]).collect();
        let atlas = Pictures::planar(&black_and_white, 32).unwrap().atlas(1 << 20).unwrap();
        let decoded = image::load_from_memory(&atlas.bytes).unwrap().to_rgb8();
        assert!(decoded.get_pixel(31, 5)[0] < 8 && decoded.get_pixel(32, 5)[0] > 247);
        assert!(Pictures::planar(&[0; 5], 1).is_err() && Pictures::planar(&[], 0).is_err());
    }
}
