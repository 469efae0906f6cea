//! Complete and incomplete files of each format, and limits.

use image::codecs::jpeg::JpegEncoder;

use super::*;
use crate::decoding::DEFAULT_MAX_PIXELS;

/// Noise that compresses to several bytes per pixel.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([x * 7 + y * 3, x * y, (x * 13) ^ (y * 5)].map(|value| value as u8))
    })
}

fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn read(bytes: &[u8]) -> Result<RgbImage, String> {
    read_as(bytes, "")
}

fn read_as(bytes: &[u8], extension: &str) -> Result<RgbImage, String> {
    decode(ImageBytes { bytes, extension, max_pixels: DEFAULT_MAX_PIXELS })
}

/// A PNG chunk.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(name);
    crc.update(data);
    [&(data.len() as u32).to_be_bytes()[..], name, data, &crc.sum().to_be_bytes()].concat()
}

#[test]
fn every_format_is_read_and_told_by_its_content() {
    use ImageFormat::{Bmp, Farbfeld, Gif, Ico, Jpeg, Png, Pnm, Qoi, Tga, Tiff, WebP};
    let image = picture(23, 17);
    for format in [Png, Bmp, WebP, Tiff, Pnm, Qoi] {
        assert_eq!(read_as(&encoded(&image, format), "jpg").as_ref(), Ok(&image), "{format:?}");
    }
    let mut icon = Cursor::new(Vec::new());
    DynamicImage::from(image.clone()).to_rgba8().write_to(&mut icon, Ico).unwrap();
    assert_eq!(read(icon.get_ref()).as_ref(), Ok(&image));
    assert_eq!(read_as(&encoded(&image, Tga), "tga").as_ref(), Ok(&image));
    assert_eq!(read(&encoded(&image, Tga)).unwrap_err(), "it is in no known image format");
    let mut wide = Cursor::new(Vec::new());
    DynamicImage::from(image.clone()).to_rgba16().write_to(&mut wide, Farbfeld).unwrap();
    assert_eq!(read(wide.get_ref()).as_ref(), Ok(&image));
    for format in [Gif, Jpeg] {
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(image.clone()).write_to(&mut bytes, format).unwrap();
        assert_eq!(read(bytes.get_ref()).unwrap().dimensions(), (23, 17), "{format:?}");
    }
}

#[test]
fn of_an_animation_the_first_frame_counts() {
    use image::codecs::gif::GifEncoder;
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new(&mut gif);
    for color in [[255, 0, 0, 255], [0, 255, 0, 255]] {
        encoder.encode_frame(image::Frame::new(image::RgbaImage::from_pixel(9, 5, image::Rgba(color)))).unwrap();
    }
    drop(encoder);
    assert_eq!(read(&gif), Ok(RgbImage::from_pixel(9, 5, image::Rgb([255, 0, 0]))));
}

#[test]
fn a_jpeg_without_its_end_is_whole_if_its_pixels_are() {
    for (width, height) in [(40, 40), (37, 29), (8, 8), (1, 1), (120, 16)] {
        for gray in [false, true] {
            let image = DynamicImage::from(picture(width, height));
            let image = if gray { DynamicImage::from(image.to_luma8()) } else { image };
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, 90).encode_image(&image).unwrap();
            let whole = read(&jpeg).unwrap();
            let end = jpeg.len() - 2;
            for without in [&jpeg[..end], &jpeg[..end + 1], &[&jpeg[..end], &b"\0\0\0hello"[..]].concat()] {
                assert_eq!(read(without).as_ref(), Ok(&whole), "{width}x{height}");
            }
            assert_eq!(read(&[&jpeg[..], b"\0\0rest"].concat()).as_ref(), Ok(&whole));
            // Every shorter file is incomplete, except without bits that only pad the last byte.
            let scan = jpeg.windows(2).position(|pair| pair == b"\xff\xda").unwrap();
            for length in (scan..end - 2).rev().step_by(3) {
                let problem = read(&jpeg[..length]).expect_err(&format!("{length} of {end} bytes"));
                assert!(problem.contains("cut off") || length < scan + 20, "{problem}");
            }
        }
    }
}

#[test]
fn a_jpeg_of_several_scans_needs_its_end() {
    let jpeg: &[u8] = include_bytes!("../../../tests/jpeg/progressive.jpg");
    assert!(read(jpeg).is_ok());
    let cut = &jpeg[..jpeg.len() - 2];
    assert_eq!(read(cut).unwrap_err(), format!("the JPEG data is cut off after {} bytes", cut.len()));
}

#[test]
fn what_a_baseline_jpeg_says_of_coefficients_does_not_matter() {
    let mut jpeg = include_bytes!("../../../tests/jpeg/halved.jpg").to_vec();
    let whole = read(&jpeg).unwrap();
    let scan = jpeg.windows(2).position(|pair| pair == b"\xff\xda").unwrap();
    let first = scan + 2 + usize::from(jpeg[scan + 3]) - 3;
    assert_eq!(jpeg[first..first + 3], [0, 63, 0]);
    jpeg[first..first + 2].copy_from_slice(&[66, 202]);
    assert_eq!(read(&jpeg), Ok(whole));
}

#[test]
fn a_jpeg_may_leave_out_the_usual_tables() {
    let image = picture(24, 24);
    let jpeg = encoded(&image, ImageFormat::Jpeg);
    let whole = read(&jpeg).unwrap();
    let tables: Vec<usize> = (0..jpeg.len() - 4).filter(|&place| jpeg[place..place + 2] == *b"\xff\xc4").collect();
    assert!(!tables.is_empty());
    for table in tables {
        let length = 2 + usize::from(u16::from_be_bytes([jpeg[table + 2], jpeg[table + 3]]));
        let without = [&jpeg[..table], &jpeg[table + length..]].concat();
        assert_eq!(read(&without).as_ref(), Ok(&whole));
    }
    // Bytes between segments are skipped.
    assert_eq!(read(&[&jpeg[..20], b"between", &jpeg[20..]].concat()).as_ref(), Ok(&whole));
}

#[test]
fn a_png_is_whole_if_its_pixels_are() {
    let image = picture(40, 30);
    let png = encoded(&image, ImageFormat::Png);
    let end = png.len() - 12;
    // Without the end, without the checksum of the pixels' chunk, without that of the pixels, and with trailing bytes.
    for length in [end, end - 4, end - 6] {
        assert_eq!(read(&png[..length]).as_ref(), Ok(&image), "{length}");
    }
    assert_eq!(read(&[&png[..], b"rest"].concat()).as_ref(), Ok(&image));
    for length in (0..end - 12).step_by(7) {
        assert!(read(&png[..length]).is_err(), "{length} of {} bytes", png.len());
    }
    // Damaged: the pixels, their checksum, the checksum of an earlier chunk, and that of a later one.
    let flipped = |place: usize| {
        let mut png = png.clone();
        png[place] ^= 0x10;
        read(&png)
    };
    let pixels = png.windows(4).position(|name| name == b"IDAT").unwrap() + 4;
    assert!(flipped((pixels + end) / 2).is_err());
    assert!(flipped(end - 5).is_err());
    assert!(flipped(29).unwrap_err().contains("IHDR is damaged"));
    assert_eq!(flipped(end - 2).as_ref(), Ok(&image), "nobody looks at the checksum of the pixels' chunk");
    assert_eq!(flipped(png.len() - 2).as_ref(), Ok(&image));
    // Other chunks before the pixels need a valid checksum, and have no other effect.
    let with = |other: &[u8]| read(&[&png[..33], other, &png[33..]].concat());
    for other in
        [chunk(b"zTXt", b"no text"), chunk(b"iCCP", b"no profile"), chunk(b"eXIf", b"none"), chunk(b"gAMA", b"")]
    {
        assert_eq!(with(&other).as_ref(), Ok(&image));
        let mut damaged = other.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(with(&damaged).unwrap_err().contains("is damaged"));
    }
}

#[test]
fn a_webp_is_whole_if_its_chunks_are() {
    let image = picture(40, 30);
    let webp = encoded(&image, ImageFormat::WebP);
    for length in 0..webp.len() {
        assert!(read(&webp[..length]).is_err(), "{length} of {} bytes", webp.len());
    }
    assert_eq!(read(&[&webp[..], b"rest"].concat()).as_ref(), Ok(&image));
    let extended = |flags: u8| {
        let head = [&b"VP8X\x0a\0\0\0"[..], &[flags, 0, 0, 0], &[39, 0, 0, 29, 0, 0]].concat();
        let size = (4 + head.len() + webp.len() - 12) as u32;
        read(&[b"RIFF", &size.to_le_bytes()[..], b"WEBP", &head, &webp[12..]].concat())
    };
    // An announced chunk may be missing, unless the file is an animation.
    for flags in (0..64).filter(|flags| flags & 3 == 0) {
        assert_eq!(extended(flags).as_ref(), Ok(&image), "{flags:#x}");
    }
    for flags in [0x02, 0x01, 0x40, 0x80] {
        assert!(extended(flags).unwrap_err().contains("flags"), "{flags:#x}");
    }
}

/// Short files of each format that announce many pixels.
fn announced(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    let be = |value: u32| value.to_be_bytes();
    let le = |value: u32| value.to_le_bytes();
    let short = |value: u32| (value as u16).to_le_bytes();
    let png = |data: &[u8]| {
        let header = [&be(width)[..], &be(height), &[16, 6, 0, 0, 0]].concat();
        [b"\x89PNG\r\n\x1a\n", &chunk(b"IHDR", &header)[..], &chunk(b"IDAT", data), &chunk(b"IEND", b"")].concat()
    };
    let bmp = |bits: u8, compression: u8| {
        let info = [&le(40)[..], &le(width), &le(height), &[1, 0, bits, 0], &le(compression.into()), &[0; 20]].concat();
        let colors = if bits == 8 { vec![0; 1024] } else { Vec::new() };
        [b"BM", &le(2000)[..], &[0; 4], &le(54 + colors.len() as u32), &info, &colors, b"\x00\x01"].concat()
    };
    let tiff = {
        let entry = |tag: u8, kind: u8, value: u32| [&[tag, 1, kind, 0][..], &le(1), &le(value)].concat();
        let entries = [
            entry(0, 4, width),
            entry(1, 4, height),
            entry(2, 3, 8),
            entry(3, 3, 1),
            entry(6, 3, 1),
            entry(17, 4, 8),
            entry(22, 4, height),
            entry(23, 4, 8),
        ];
        [b"II\x2a\0\x08\0\0\0\x08\0", &entries.concat()[..], &[0; 4]].concat()
    };
    let jpeg = {
        let frame = [&[8][..], &be(height)[2..], &be(width)[2..], &[1, 1, 0x11, 0]].concat();
        [b"\xff\xd8\xff\xc0\0\x0b", &frame[..], b"\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\xff\xd9"].concat()
    };
    let webp = {
        let bits = (width - 1) & 0x3fff | ((height - 1) & 0x3fff) << 14;
        let data = [&[0x2f][..], &le(bits), &[0; 3]].concat();
        [b"RIFF", &le(20)[..], b"WEBPVP8L", &le(8), &data].concat()
    };
    let gif = [
        b"GIF89a",
        &short(width)[..],
        &short(height),
        b"\0\0\0\x2c\0\0\0\0",
        &short(width),
        &short(height),
        b"\0\x02\0\x3b",
    ];
    vec![
        ("png", png(b"\x78\x9c\x03\0\0\0\0\x01")),
        ("bmp", bmp(24, 0)),
        ("bmp", bmp(8, 1)),
        ("tiff", tiff),
        ("jpg", jpeg),
        ("webp", webp),
        ("gif", gif.concat()),
        ("ppm", format!("P6 {width} {height} 255\n").into_bytes()),
        ("ppm", format!("P3 {width} {height} 255\n1").into_bytes()),
        ("qoi", [b"qoif", &be(width)[..], &be(height), &[4, 0, 0]].concat()),
        ("tga", [&[0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &short(width), &short(height), &[32, 0, 0]].concat()),
        ("ff", [b"farbfeld", &be(width)[..], &be(height)].concat()),
    ]
}

#[test]
fn more_pixels_than_are_allowed_are_refused_before_there_is_memory_for_them() {
    for (extension, bytes) in announced(16_000, 16_000) {
        let problem = read_as(&bytes, extension).unwrap_err();
        assert!(
            problem.starts_with("it announces 16000x16000 pixels, more than the 178956970"),
            "{extension}: {problem}"
        );
    }
    let png = encoded(&picture(40, 30), ImageFormat::Png);
    let limited = |max_pixels| decode(ImageBytes { bytes: &png, extension: "png", max_pixels });
    assert!(limited(1200).is_ok() && limited(1199).unwrap_err().contains("--max-pixels"));
}

#[test]
fn files_without_the_pixels_they_announce_are_broken_or_black() {
    for (extension, bytes) in announced(5_000, 5_000) {
        if let Ok(image) = read_as(&bytes, extension) {
            assert!(image.iter().all(|&value| value == 0), "{extension}");
        }
    }
}

#[test]
fn passes_over_a_large_jpeg_are_counted() {
    let mut jpeg = encoded(&picture(8, 8), ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == b"\xff\xc0").unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0x30, 0, 0x30, 0]);
    jpeg.truncate(jpeg.len() - 2);
    jpeg.extend(b"\xff\xda\0\0".repeat(100));
    jpeg.extend(b"\xff\xd9");
    assert_eq!(read(&jpeg).unwrap_err(), "it goes over its 12288x12288 pixels 101 times");
}

/// What is said of a damaged file: the format in plain words, and what is wrong, on one line.
#[test]
fn damage_is_told_in_plain_words() {
    use ImageFormat::{Bmp, Farbfeld, Gif, Ico, Png, Pnm, Qoi, Tga, Tiff, WebP};
    let image = DynamicImage::from(picture(23, 17));
    let words =
        ["cut off", "is damaged", "not supported", "no known image format", "pixels", "chunk", "flags", "header"];
    let formats = [
        (Bmp, "BMP"),
        (Farbfeld, "farbfeld"),
        (Gif, "GIF"),
        (Ico, "ICO"),
        (Png, "PNG"),
        (Pnm, "PNM"),
        (Qoi, "QOI"),
        (Tga, "TGA"),
        (Tiff, "TIFF"),
        (WebP, "WebP"),
    ];
    for (format, name) in formats {
        let mut bytes = Cursor::new(Vec::new());
        let image = match format {
            Farbfeld => DynamicImage::from(image.to_rgba16()),
            Ico => DynamicImage::from(image.to_rgba8()),
            _ => image.clone(),
        };
        image.write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        let mut named = 0;
        for place in (0..bytes.len().min(600)).chain(bytes.len() - 30..bytes.len()) {
            let cut = bytes[..place].to_vec();
            let changed = [0xff, 0x80, 0x01].map(|mask| {
                let mut bytes = bytes.clone();
                bytes[place] ^= mask;
                bytes
            });
            for bytes in changed.into_iter().chain([cut]) {
                let Err(problem) = read_as(&bytes, if format == Tga { "tga" } else { "" }) else { continue };
                let plain = words.iter().any(|word| problem.contains(word)) || problem.starts_with("it is ");
                assert!(plain || problem == "the file is empty", "{name}, byte {place}: {problem}");
                assert!(
                    !problem.contains('\n') && !problem.contains("Format error"),
                    "{name}, byte {place}: {problem}"
                );
                named += usize::from(problem.contains(name));
            }
        }
        assert!(named > 10, "{name}: {named} problems name it");
    }
}

#[test]
fn what_is_no_image_is_called_what_it_is() {
    for (bytes, what) in [
        (&b"<!DOCTYPE html><p>"[..], "a web page"),
        (b"\0\0\0\x1cftypheic", "an HEIF"),
        (b"8BPS\0\x01", "a Photoshop file"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"PK\x03\x04", "an archive"),
        (&[0; 500], "a file of zeros"),
    ] {
        let problem = read(bytes).unwrap_err();
        assert!(problem.contains(what), "{problem}");
    }
}
