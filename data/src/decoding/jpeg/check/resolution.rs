//! The resolution in the Exif data. Pillow reads it with the headers, and fails on some values that are not numbers.

use super::Stop;

const UNIT: u16 = 0x0128;
const ACROSS: u16 = 0x011a;
const TIFF: [&[u8; 4]; 6] = [b"MM\0\x2a", b"II\x2a\0", b"MM\x2a\0", b"II\0\x2a", b"MM\0\x2b", b"II\x2b\0"];

/// A directory of Exif tags.
struct Directory<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    start: usize,
}

/// The value of a tag, and its type.
#[derive(Clone, Copy)]
struct Value<'a> {
    kind: u16,
    bytes: &'a [u8],
}

/// Checks that Pillow does not fail on the resolution. `exif` has no `Exif` header of its segment.
pub(super) fn check(exif: &[u8]) -> Result<(), Stop> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let Some((_, value)) =
        Directory::new(exif).and_then(|directory| Some((directory.get(UNIT)?, directory.get(ACROSS)?)))
    else {
        return Ok(());
    };
    // Pillow divides the first element by the second, also of texts and bytes.
    let stumbles = match value.kind {
        1 | 7 => value.bytes.len() == 1,
        2 => match value.bytes.strip_suffix(b"\0").unwrap_or(value.bytes) {
            [] => true,
            [only] => only.is_ascii_digit(),
            _ => false,
        },
        _ => false,
    };
    (!stumbles).then_some(()).ok_or(Stop::Broken("the resolution in its Exif data is not a number"))
}

impl<'a> Directory<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let head = bytes.get(..8)?;
        let known = TIFF.iter().any(|start| head.starts_with(*start));
        // In BigTIFF, the first eight bytes do not contain the offset of the tags.
        let large = head.get(2) == Some(&0x2b);
        let mut directory = Self { bytes, big_endian: head.starts_with(b"MM"), start: 0 };
        directory.start = directory.number(4, 4)? as usize;
        (known && !large).then_some(directory)
    }

    fn number(&self, place: usize, size: usize) -> Option<u32> {
        let bytes = self.bytes.get(place..place.checked_add(size)?)?;
        let join = |number: u32, &byte: &u8| number << 8 | u32::from(byte);
        Some(if self.big_endian { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    /// The first valid value of a tag. Earlier values count towards the limit on the size of all values.
    fn get(&self, wanted: u16) -> Option<Value<'a>> {
        let mut taken = 0;
        let mut seen = [0_u64; 1 << 10];
        for number in 0..self.number(self.start, 2)? as usize {
            let place = self.start.checked_add(2 + 12 * number)?;
            self.bytes.get(place..place.checked_add(12)?)?;
            let [tag, kind] = [place, place + 2].map(|place| self.number(place, 2).unwrap_or(0) as u16);
            let unit = match kind {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16 => 8,
                _ => continue,
            };
            let (word, bit) = (usize::from(tag >> 6), 1 << (tag & 63));
            if seen[word] & bit != 0 {
                continue;
            }
            let size = (self.number(place + 4, 4)? as usize).saturating_mul(unit);
            let mut start = place + 8;
            if size > 4 {
                taken = size.saturating_add(taken);
                if taken > self.bytes.len() {
                    continue;
                }
                start = self.number(start, 4)? as usize;
            }
            // Pillow stops reading at a value that is cut off.
            let bytes = self.bytes.get(start..start.checked_add(size)?)?;
            if !bytes.is_empty() && tag == wanted {
                return Some(Value { kind, bytes });
            }
            if !bytes.is_empty() {
                seen[word] |= bit;
            }
        }
        None
    }
}
