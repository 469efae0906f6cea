//! The pixels of JPEG files, as libjpeg-turbo decodes them for Pillow, torchvision and OpenCV.
//!
//! Decoders round differently. With halved chroma, another decoder differed by up to 5 of 255 in a quarter of all values, which
//! changed the features of a network by one to two percent.

use image::{DynamicImage, GrayImage, RgbImage};
use libjpeg_turbo_rs::{ColorSpace, Decoder, JpegError, PixelFormat};

use crate::decoding::decoder_errors::damaged;

/// Decodes a file with complete data; does not apply the orientation. Damage in the middle is skipped, as in libjpeg.
pub(crate) fn decode(bytes: &[u8]) -> Result<DynamicImage, String> {
    let told = |error: JpegError| damaged("JPEG", error);
    let mut decoder = Decoder::new(bytes).map_err(told)?;
    decoder.set_lenient(true);
    decoder.set_block_smoothing(true);
    let gray = decoder.jpeg_color_space() == ColorSpace::Grayscale;
    decoder.set_output_format(if gray { PixelFormat::Grayscale } else { PixelFormat::Rgb });
    let image = decoder.decode_image().map_err(told)?;
    let (width, height) = (image.width as u32, image.height as u32);
    let pixels = image.into_vec();
    let image = if gray {
        GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
    } else {
        RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
    };
    image.ok_or_else(|| "the JPEG data has fewer pixels than it announces".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `data/tests/make_jpeg_cases.py` makes the files and the pixels with Pillow.
    #[test]
    fn pixels_are_those_of_pillow() {
        macro_rules! case {
            ($name:literal) => {
                let file = include_bytes!(concat!("../../../tests/jpeg/", $name, ".jpg"));
                let pixels = include_bytes!(concat!("../../../tests/jpeg/", $name, ".rgb"));
                assert!(decode(file).unwrap().into_rgb8().as_raw()[..] == pixels[..], $name);
            };
        }
        case!("halved");
        case!("halved_across");
        case!("whole");
        case!("progressive");
        case!("gray");
        case!("cmyk");
        case!("restarts");
    }
}
