//! Pillow's own walk through the segments, up to the first scan.
//!
//! It is stricter than libjpeg: every segment must be complete, and some must be as long as their content announces.

use super::Stop;
use super::reader::Reader;
use super::resolution;

const TOO_SHORT: Stop = Stop::Broken("a segment is shorter than what it announces");
const NO_START: Stop = Stop::Broken("it does not start as a JPEG file does");

/// The segments so far, as far as later ones depend on them.
#[derive(Default)]
struct Seen<'a> {
    frame: bool,
    resolution: bool,
    exif: Vec<&'a [u8]>,
    profile: Vec<&'a [u8]>,
}

/// Checks that Pillow reaches the first scan.
pub(super) fn walk(bytes: &[u8]) -> Result<(), Stop> {
    if !bytes.starts_with(b"\xff\xd8\xff") {
        return Err(NO_START);
    }
    let mut reader = Reader::new(bytes);
    reader.skip(2);
    let mut seen = Seen::default();
    loop {
        let marker = reader.next_marker()?;
        match marker {
            0xc8 | 0xd0..=0xd9 | 0xf0..=0xfd => {}
            ..0xc0 | 0xff => return Err(Stop::Broken("it has an unknown marker")),
            _ => {
                let length = usize::from(reader.pair()?);
                let segment = reader.take(length.saturating_sub(2))?;
                seen.segment(marker, segment)?;
                if marker == 0xda {
                    break;
                }
            }
        }
    }
    if !seen.frame {
        return Err(Stop::Broken("a scan comes before the frame"));
    }
    if !seen.resolution && !seen.exif.is_empty() {
        resolution::check(&seen.exif.concat())?;
    }
    Ok(())
}

impl<'a> Seen<'a> {
    fn segment(&mut self, marker: u8, segment: &'a [u8]) -> Result<(), Stop> {
        match marker {
            0xc4 | 0xcc | 0xda | 0xdc | 0xdd | 0xdf => Ok(()),
            0xc0..=0xcf | 0xde => self.frame(segment),
            0xdb => quantization_tables(segment),
            0xe0 if segment.starts_with(b"JFIF") => {
                self.resolution |= segment.len() >= 12 && matches!(segment.get(7), Some(1 | 2));
                at_least(segment, 7)
            }
            0xe1 if segment.starts_with(b"Exif\0\0") => {
                self.exif.push(&segment[6..]);
                Ok(())
            }
            0xe2 if segment.starts_with(b"ICC_PROFILE\0") => {
                self.profile.push(segment);
                Ok(())
            }
            0xed if segment.starts_with(b"Photoshop 3.0\0") => photoshop(segment),
            0xee if segment.starts_with(b"Adobe") => at_least(segment, 7),
            _ => Ok(()),
        }
    }

    fn frame(&mut self, segment: &[u8]) -> Result<(), Stop> {
        let &[bits, height1, height0, width1, width0, count, ref components @ ..] = segment else {
            return Err(TOO_SHORT);
        };
        if bits != 8 {
            return Err(Stop::Broken("its samples do not have 8 bits"));
        }
        if !matches!(count, 1 | 3 | 4) {
            return Err(Stop::Broken("it has neither 1, 3 nor 4 components"));
        }
        if [height1, height0] == [0, 0] || [width1, width0] == [0, 0] {
            return Err(Stop::Broken("it has no pixels"));
        }
        // Each part of a color profile has a number and the number of parts. Pillow reads them in the first part.
        if self.profile.drain(..).min().is_some_and(|part| part.len() < 14) || components.len() % 3 != 0 {
            return Err(TOO_SHORT);
        }
        self.frame = true;
        Ok(())
    }
}

fn at_least(segment: &[u8], length: usize) -> Result<(), Stop> {
    (segment.len() >= length).then_some(()).ok_or(TOO_SHORT)
}

fn quantization_tables(mut segment: &[u8]) -> Result<(), Stop> {
    while let &[number, ..] = segment {
        let size = if number < 16 { 65 } else { 129 };
        segment = segment.get(size..).ok_or(TOO_SHORT)?;
    }
    Ok(())
}

/// Checks Photoshop resources. Pillow notices only one of the ways in which they may be cut off.
fn photoshop(segment: &[u8]) -> Result<(), Stop> {
    let mut place = 14;
    while segment.get(place..).is_some_and(|rest| rest.starts_with(b"8BIM")) {
        place += 4;
        let Some(code) = segment.get(place..place + 2) else { break };
        place += 2;
        let &name = segment.get(place).ok_or(TOO_SHORT)?;
        place += 1 + usize::from(name);
        place += place & 1;
        let Some(&[a, b, c, d]) = segment.get(place..place + 4) else { break };
        place += 4;
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        if code == [0x03, 0xed] && size.min(segment.len() - place) < 14 {
            break;
        }
        place = place.saturating_add(size);
        place = place.saturating_add(place & 1);
    }
    Ok(())
}
