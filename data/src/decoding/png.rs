//! PNG files, as Pillow reads them: a file with all rows of pixels is complete.
//!
//! Only the chunks that the pixels need count, and the orientation. Checksums are verified for the chunks before the pixels, and
//! for the pixels themselves if theirs is present. What follows the pixels, or is missing there, does not matter.

use std::cell::Cell;
use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};

use flate2::{Crc, Decompress, FlushDecompress, Status};
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use png::{BitDepth, ColorType, DecodeOptions, Decoder, DecodingError, InterlaceInfo, Limits, Transformations};

use super::decoder_errors::{cut_off, damaged};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Width and height in the header.
pub(crate) fn size(bytes: &[u8]) -> Result<(u64, u64), String> {
    let sizes = bytes.get(16..24).filter(|_| bytes[12..16] == *b"IHDR").ok_or("it has no header")?;
    let side = |place: usize| sizes[place..place + 4].iter().fold(0, |side, &byte| side << 8 | u64::from(byte));
    Ok((side(0), side(4)))
}

/// The image in a PNG file, and its orientation.
pub(crate) fn decode(bytes: &[u8]) -> Result<(DynamicImage, Orientation), String> {
    let Essential { chunks, pixels, orientation, is_cut } = essential(bytes)?;
    let told = |error: DecodingError| if is_cut { cut_off("PNG", bytes.len()) } else { damaged("PNG", error) };
    let file = with_pixels(chunks, &pixels);
    let left = Cell::new(file.len());
    let mut options = DecodeOptions::default();
    options.set_ignore_crc(true);
    options.set_ignore_adler32(false);
    let mut decoder = Decoder::new_with_options(Watched { file: Cursor::new(&file), left: &left }, options);
    decoder.set_limits(Limits { bytes: usize::MAX });
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    let mut reader = decoder.read_info().map_err(told)?;
    let (color, depth) = reader.output_color_type();
    let (width, height) = reader.info().size();
    let compressed = pixels;
    let line = reader.output_line_size(width).filter(|_| depth == BitDepth::Eight).ok_or("its rows are too long")?;
    let mut pixels = Vec::new();
    let size = line.checked_mul(height as usize).ok_or("it is too large")?;
    pixels.try_reserve_exact(size).map_err(|_| format!("there is no memory for {width}x{height} pixels"))?;
    pixels.resize(size, 0);
    if reader.info().interlaced {
        let bits = 8 * color.samples() as u8;
        while let Some(row) = reader.next_interlaced_row().map_err(told)? {
            if let InterlaceInfo::Adam7(info) = row.interlace() {
                png::expand_interlaced_row(&mut pixels, line, row.data(), info, bits);
            }
        }
    } else {
        for row in pixels.chunks_exact_mut(line) {
            reader.read_row(row).map_err(told)?;
        }
    }
    if left.get() <= LOOKED_AT && reader.next_row().is_err() && is_damaged(&compressed) {
        return Err("its pixels are damaged: the checksum does not match".into());
    }
    let image = match color {
        ColorType::Grayscale => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        ColorType::GrayscaleAlpha => {
            pixels = pixels.chunks_exact(2).map(|pixel| pixel[0]).collect();
            GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
        }
        ColorType::Rgb => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
        ColorType::Rgba => image::RgbaImage::from_raw(width, height, pixels).map(DynamicImage::from),
        ColorType::Indexed => None,
    };
    Ok((image.ok_or("its pixels are of an unknown kind")?, orientation))
}

/// The most bytes after the last pixel that are decompressed. Deflate expands at most by a factor of about 1000.
const LOOKED_AT: usize = 1 << 17;

/// Whether compressed data is damaged, and not only cut off.
fn is_damaged(compressed: &[u8]) -> bool {
    let mut inflate = Decompress::new(true);
    let mut out = vec![0; 1 << 15];
    loop {
        let before = (inflate.total_in(), inflate.total_out());
        match inflate.decompress(&compressed[before.0 as usize..], &mut out, FlushDecompress::None) {
            Err(_) => return true,
            Ok(Status::StreamEnd) => return false,
            Ok(_) if (inflate.total_in(), inflate.total_out()) == before => return false,
            Ok(_) => {}
        }
    }
}

/// A reader that reports how many bytes are left.
struct Watched<'a> {
    file: Cursor<&'a Vec<u8>>,
    left: &'a Cell<usize>,
}

impl Read for Watched<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(out)?;
        self.left.set(self.left.get() - read);
        Ok(read)
    }
}

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.file.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.file.consume(amount);
        self.left.set(self.left.get() - amount);
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = self.file.seek(to)?;
        self.left.set(self.file.get_ref().len().saturating_sub(place as usize));
        Ok(place)
    }
}

/// What counts of a file.
struct Essential {
    /// The signature and the chunks that the pixels need.
    chunks: Vec<u8>,
    /// The compressed pixels.
    pixels: Vec<u8>,
    orientation: Orientation,
    /// Whether the file ends within the compressed pixels.
    is_cut: bool,
}

fn essential(bytes: &[u8]) -> Result<Essential, String> {
    let mut file = SIGNATURE.to_vec();
    let mut orientation = Orientation::NoTransforms;
    let mut pixels = Vec::new();
    let mut place = SIGNATURE.len();
    while let Some(head) = bytes.get(place..place + 8) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let name: [u8; 4] = [head[4], head[5], head[6], head[7]];
        let rest = &bytes[place + 8..];
        if &name == b"IDAT" {
            pixels.push(&rest[..length.min(rest.len())]);
        } else if !pixels.is_empty() {
            break;
        } else {
            let data = rest.get(..length).ok_or_else(|| cut_off("PNG", bytes.len()))?;
            let crc = rest.get(length..length + 4).ok_or_else(|| cut_off("PNG", bytes.len()))?;
            if crc != checksum(&name, data).to_be_bytes() {
                return Err(format!("its chunk {} is damaged: the checksum does not match", name.escape_ascii()));
            }
            match &name {
                // Only the first header, whose size is checked.
                b"IHDR" if place == SIGNATURE.len() => push(&mut file, &name, data),
                b"PLTE" => push(&mut file, &name, data),
                b"eXIf" => orientation = Orientation::from_exif_chunk(data).unwrap_or(orientation),
                b"IEND" => break,
                _ => {}
            }
        }
        place = place.saturating_add(length).saturating_add(12);
    }
    if pixels.is_empty() {
        return Err(if place >= bytes.len() { cut_off("PNG", bytes.len()) } else { "it has no pixels".into() });
    }
    Ok(Essential { chunks: file, pixels: pixels.concat(), orientation, is_cut: place > bytes.len() })
}

fn with_pixels(mut file: Vec<u8>, pixels: &[u8]) -> Vec<u8> {
    push(&mut file, b"IDAT", pixels);
    push(&mut file, b"IEND", &[]);
    file
}

fn push(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(name);
    file.extend(data);
    file.extend(checksum(name, data).to_be_bytes());
}

fn checksum(name: &[u8; 4], data: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    crc.sum()
}
