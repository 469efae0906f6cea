//! Decodes an image file, turns the image upright, and resizes it: to a square, and to a source of random crops.
//!
//! For the square, the shorter side is resized to the side of the square (bilinear with antialiasing, in Pillow's arithmetic, see
//! [`crate::transforms::resize`]) and the longer one in proportion, rounded down. Then the middle is cropped, with halves
//! rounded to even: torchvision's `Resize` and `CenterCrop`. An image of the right size keeps its pixels.
//!
//! A source is the whole image. If its shorter side exceeds the size of the source, it is resized by the same `Resize`; smaller images
//! are not enlarged.

use image::RgbImage;

use super::decoder_panics::caught;
use super::raster::{self, ImageBytes};
use crate::images::OwnedSource;
use crate::transforms::crop::CropBox;
use crate::transforms::resize::Resizer;

/// The largest aspect ratio. Of a longer image only the middle is resized, which bounds the memory.
const LONGEST: usize = 16;

/// Decodes images, and reuses its buffers from one to the next.
#[derive(Default)]
pub(crate) struct PictureReader {
    resizer: Resizer,
    source_resizer: Resizer,
    planes: Vec<u8>,
    resized: Vec<u8>,
}

/// What is made of an image file.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    /// The side of the square and its planar pixels, `[3, side, side]`.
    pub square: Option<(usize, &'a mut [u8])>,
    /// The largest shorter side of the source.
    pub source: Option<usize>,
}

impl PictureReader {
    /// Decodes a file, and returns the original height and width, and the source, if it is wanted.
    ///
    /// # Errors
    /// A message that says what is wrong with the file.
    pub fn read(&mut self, file: ImageBytes, wanted: Wanted) -> Result<((usize, usize), Option<OwnedSource>), String> {
        let image = caught(|| raster::decode(file))?;
        let size = (image.height() as usize, image.width() as usize);
        if size.0 == 0 || size.1 == 0 {
            return Err("it has no pixels".into());
        }
        self.planes.resize(3 * size.0 * size.1, 0);
        into_planes(&image, &mut self.planes);
        if let Some((side, out)) = wanted.square {
            self.make_square(size, side, out);
        }
        Ok((size, wanted.source.map(|most| self.make_source(size, most))))
    }

    fn make_square(&mut self, (height, width): (usize, usize), side: usize, out: &mut [u8]) {
        if (height, width) == (side, side) {
            return out.copy_from_slice(&self.planes);
        }
        let (crop, (to_height, to_width)) = resized_shape((height, width), side);
        self.resized.resize(3 * to_height * to_width, 0);
        self.resizer.resized_crop_by_rows(
            &self.planes,
            (height, width),
            &crop,
            (to_height, to_width),
            &mut self.resized,
        );
        let middle = central((to_height, to_width), (side, side));
        for (plane, out) in self.resized.chunks_exact(to_height * to_width).zip(out.chunks_exact_mut(side * side)) {
            let rows = plane.chunks_exact(to_width).skip(middle.top);
            for (row, out) in rows.zip(out.chunks_exact_mut(side)) {
                out.copy_from_slice(&row[middle.left..middle.left + side]);
            }
        }
    }

    fn make_source(&mut self, (height, width): (usize, usize), most: usize) -> OwnedSource {
        let (crop, size) = resized_shape((height, width), most.min(height).min(width));
        if size == (height, width) {
            return OwnedSource { pixels: self.planes[..].into(), size };
        }
        let mut pixels = vec![0; 3 * size.0 * size.1].into_boxed_slice();
        self.source_resizer.resized_crop_by_rows(&self.planes, (height, width), &crop, size, &mut pixels);
        OwnedSource { pixels, size }
    }
}

/// The part of an image that is resized, and its height and width afterwards, if its shorter side becomes `shorter`.
fn resized_shape((height, width): (usize, usize), shorter: usize) -> (CropBox, (usize, usize)) {
    let longest = LONGEST * height.min(width);
    let crop = central((height, width), (height.min(longest), width.min(longest)));
    let size = if crop.width <= crop.height {
        (shorter * crop.height / crop.width, shorter)
    } else {
        (shorter, shorter * crop.width / crop.height)
    };
    (crop, size)
}

fn into_planes(image: &RgbImage, planes: &mut [u8]) {
    let plane = planes.len() / 3;
    let (red, rest) = planes.split_at_mut(plane);
    let (green, blue) = rest.split_at_mut(plane);
    for (((pixel, red), green), blue) in image.as_raw().chunks_exact(3).zip(red).zip(green).zip(blue) {
        (*red, *green, *blue) = (pixel[0], pixel[1], pixel[2]);
    }
}

fn central((height, width): (usize, usize), (to_height, to_width): (usize, usize)) -> CropBox {
    let start = |length: usize, to: usize| ((length - to) as f64 / 2.0).round_ties_even() as usize;
    CropBox { top: start(height, to_height), left: start(width, to_width), height: to_height, width: to_width }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{ColorType, DynamicImage, ExtendedColorType, ImageEncoder, ImageFormat};

    use super::*;
    use crate::decoding::DEFAULT_MAX_PIXELS;
    use crate::decoding::jpeg;

    /// A pattern with smooth and noisy parts.
    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let value = |factor: u32| ((x * factor + y * 3 + x * y % 17 * factor) % 256) as u8;
            image::Rgb([value(5), value(7), 255 - value(2)])
        })
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn read(bytes: &[u8], side: usize) -> Result<Vec<u8>, String> {
        let mut out = vec![0; 3 * side * side];
        let file = ImageBytes { bytes, extension: "", max_pixels: DEFAULT_MAX_PIXELS };
        let wanted = Wanted { square: Some((side, &mut out)), source: None };
        PictureReader::default().read(file, wanted).map(|_| out)
    }

    /// The source of a file: its pixels, and its height and width.
    fn source(bytes: &[u8], most: usize) -> OwnedSource {
        let file = ImageBytes { bytes, extension: "", max_pixels: DEFAULT_MAX_PIXELS };
        let wanted = Wanted { square: None, source: Some(most) };
        PictureReader::default().read(file, wanted).unwrap().1.expect("a source is wanted")
    }

    fn planes(image: &RgbImage) -> Vec<u8> {
        (0..3).flat_map(|channel| image.pixels().map(move |pixel| pixel.0[channel])).collect()
    }

    #[test]
    fn an_image_of_the_right_size_keeps_its_pixels_in_every_lossless_format() {
        let image = picture(24, 24);
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            assert_eq!(read(&encoded(&image.clone().into(), format), 24).unwrap(), planes(&image), "{format:?}");
        }
        let jpeg = encoded(&image.into(), ImageFormat::Jpeg);
        assert_eq!(read(&jpeg, 24).unwrap(), planes(&jpeg::pixels::decode(&jpeg).unwrap().into_rgb8()));
    }

    #[test]
    fn other_kinds_of_pixels_become_rgb() {
        let gray: Vec<u8> = (0..64).map(|value| value * 4).collect();
        let triple = [gray.clone(), gray.clone(), gray.clone()].concat();
        let png = |color, bytes: Vec<u8>| {
            let mut out = Vec::new();
            image::codecs::png::PngEncoder::new(&mut out).write_image(&bytes, 8, 8, color).unwrap();
            read(&out, 8).unwrap()
        };
        assert_eq!(png(ExtendedColorType::L8, gray.clone()), triple);
        let wide =
            |values: Vec<u8>| values.into_iter().flat_map(|value| (u16::from(value) * 257).to_ne_bytes()).collect();
        assert_eq!(png(ExtendedColorType::L16, wide(gray.clone())), triple);
        let rgb: Vec<u8> = gray.iter().flat_map(|&value| [value, 1, 255 - value]).collect();
        let expected = [gray.clone(), vec![1; 64], gray.iter().map(|value| 255 - value).collect()].concat();
        assert_eq!(png(ExtendedColorType::Rgb16, wide(rgb.clone())), expected);
        // The low byte is dropped, also where rounding would add one.
        let of_two = |values: &[u8], low: u8| {
            values.iter().flat_map(|&high| u16::from_be_bytes([high, low]).to_ne_bytes()).collect()
        };
        for low in [0, 99, 255] {
            assert_eq!(png(ExtendedColorType::L16, of_two(&gray, low)), triple);
            assert_eq!(png(ExtendedColorType::Rgb16, of_two(&rgb, low)), expected);
            let values: Vec<u16> = gray.iter().map(|&high| u16::from_be_bytes([high, low])).collect();
            let tiff = image::ImageBuffer::from_raw(8, 8, values).map(DynamicImage::ImageLuma16).unwrap();
            assert_eq!(read(&encoded(&tiff, ImageFormat::Tiff), 8).unwrap(), triple);
        }
        let transparent = rgb.chunks(3).flat_map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[0]]).collect();
        assert_eq!(png(ExtendedColorType::Rgba8, transparent), expected);
        assert_eq!(DynamicImage::from(picture(2, 2)).color(), ColorType::Rgb8);
    }

    #[test]
    fn the_shorter_side_is_resized_and_the_middle_taken() {
        // With the resizer alone: 40x30 becomes 21x16 (21.3 rounded down), and columns 2 to 18 are the middle (2.5 rounded
        // to even).
        let image = picture(40, 30);
        let mut resized = vec![0; 3 * 16 * 21];
        let whole = CropBox { top: 0, left: 0, height: 30, width: 40 };
        Resizer::default().resized_crop(&planes(&image), (30, 40), &whole, (16, 21), &mut resized);
        let expected: Vec<u8> = resized.chunks(21).flat_map(|row| row[2..18].to_vec()).collect();
        assert_eq!(read(&encoded(&image.clone().into(), ImageFormat::Png), 16).unwrap(), expected);
        // The transposed image gives the transposed result.
        let turned = DynamicImage::from(image).rotate90().fliph();
        let side = read(&encoded(&turned, ImageFormat::Png), 16).unwrap();
        for (place, value) in side.into_iter().enumerate() {
            let (channel, row, column) = (place / 256, place / 16 % 16, place % 16);
            // The order of rows and columns affects rounding.
            assert!(value.abs_diff(expected[channel * 256 + column * 16 + row]) <= 1);
        }
    }

    #[test]
    fn sources_are_whole_images_and_never_enlarged() {
        let image = picture(40, 30);
        let png = encoded(&image.clone().into(), ImageFormat::Png);
        for most in [30, 31, 400] {
            assert_eq!(source(&png, most), OwnedSource { pixels: planes(&image).into(), size: (30, 40) });
        }
        let mut resized = vec![0; 3 * 16 * 21];
        let whole = CropBox { top: 0, left: 0, height: 30, width: 40 };
        Resizer::default().resized_crop(&planes(&image), (30, 40), &whole, (16, 21), &mut resized);
        assert_eq!(source(&png, 16), OwnedSource { pixels: resized.into(), size: (16, 21) });
        // Square and source of one reading are those of two.
        let mut square = vec![0; 3 * 16 * 16];
        let file = ImageBytes { bytes: &png, extension: "", max_pixels: DEFAULT_MAX_PIXELS };
        let wanted = Wanted { square: Some((16, &mut square)), source: Some(20) };
        let (size, both) = PictureReader::default().read(file, wanted).unwrap();
        assert_eq!((size, both.unwrap(), square), ((30, 40), source(&png, 20), read(&png, 16).unwrap()));
    }

    #[test]
    fn sources_of_very_long_images_are_their_middle() {
        let long = encoded(&picture(60_000, 2).into(), ImageFormat::Png);
        assert_eq!((source(&long, 1).size, source(&long, 256).size), ((1, 16), (2, 32)));
        let high = encoded(&picture(3, 5_000).into(), ImageFormat::Png);
        assert_eq!(source(&high, 256).size, (48, 3));
    }

    #[test]
    fn very_long_images_do_not_take_all_memory() {
        let mut image = picture(60_000, 1);
        let middle = image.get_pixel(30_000, 0).0;
        for x in 29_992..30_008 {
            image.put_pixel(x, 0, image::Rgb(middle));
        }
        let out = read(&encoded(&image.into(), ImageFormat::Png), 32).unwrap();
        assert!((0..3).all(|channel| out[channel * 1024 + 16 * 32 + 16] == middle[channel]));
    }

    #[test]
    fn pictures_are_turned_upright() {
        let image = picture(16, 8);
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 100);
        // A TIFF directory with one entry: tag orientation (0x0112), type short, count 1, value 6 (rotate clockwise).
        let exif = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.encode_image(&image).unwrap();
        let upright = jpeg::pixels::decode(&jpeg).unwrap().rotate90();
        assert_eq!(read(&jpeg, 8).unwrap(), read(&encoded(&upright, ImageFormat::Png), 8).unwrap());
    }

    #[test]
    fn broken_files_are_told_not_panicked_about() {
        let image = DynamicImage::from(picture(50, 50));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = encoded(&image, format);
            assert!(read(&bytes, 32).is_ok());
            for length in [0, 1, 3, 20, bytes.len() / 2, bytes.len() - 40] {
                let problem = read(&bytes[..length], 32).expect_err(&format!("{format:?}, {length} bytes"));
                assert!(!problem.is_empty());
            }
        }
        assert_eq!(read(b"", 32).unwrap_err(), "the file is empty");
        assert_eq!(read(b"hello, world", 32).unwrap_err(), "it is in no known image format");
    }

    #[test]
    fn any_damage_is_an_error_or_an_image() {
        let image = DynamicImage::from(picture(30, 20));
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Bmp] {
            let bytes = encoded(&image, format);
            for step in 0..200 {
                let mut damaged = bytes.clone();
                let place = step * 31 % damaged.len();
                damaged[place] = damaged[place].wrapping_add(step as u8 | 1);
                let _ = read(&damaged, 16);
            }
        }
    }
}
