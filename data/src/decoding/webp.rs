//! The container of WebP files: completeness, and flags that do not match the chunks. As in libwebp, only the flags that matter
//! for the pixels must match.

use std::borrow::Cow;

use super::decoder_errors::cut_off;

/// Flags of the `VP8X` chunk, each with the chunk that it announces.
const ANNOUNCED: [(u8, &[u8; 4]); 3] = [(0x20, b"ICCP"), (0x08, b"EXIF"), (0x04, b"XMP ")];
const ALPHA: u8 = 0x10;
const ANIMATED: u8 = 0x02;
const RESERVED: u8 = 0xc1;
/// Bytes before the first chunk.
const HEAD: usize = 12;
/// Offset of the flags if the first chunk is `VP8X`.
const FLAGS: usize = HEAD + 8;

/// The file with corrected flags, if all of its chunks are complete.
pub(crate) fn whole(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let cut_off = || cut_off("WebP", bytes.len());
    let size = |place: usize| {
        let bytes: [u8; 4] = bytes.get(place..place + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let end = size(4).and_then(|size| size.checked_add(8)).filter(|end| *end <= bytes.len()).ok_or_else(cut_off)?;
    let bytes = &bytes[..end];
    let mut names = Vec::new();
    let mut place = HEAD;
    while place + 8 <= end {
        let length = size(place + 4).ok_or_else(cut_off)?;
        names.push(&bytes[place..place + 4]);
        place = place + 8 + length + length % 2;
        if place > end {
            return Err("a chunk of the WebP data is longer than the file".into());
        }
    }
    let Some(&flags) = bytes.get(FLAGS).filter(|_| names.first() == Some(&&b"VP8X"[..])) else {
        return Ok(Cow::Borrowed(bytes));
    };
    let has = |name: &[u8; 4]| names.contains(&&name[..]);
    if flags & RESERVED != 0 || (flags & ANIMATED != 0) != has(b"ANMF") {
        return Err(format!("the flags of the WebP data ({flags:#04x}) do not match its chunks"));
    }
    let there = ANNOUNCED.iter().filter(|(_, name)| has(name)).fold(0, |bits, (bit, _)| bits | bit);
    let all = ANNOUNCED.iter().fold(0, |bits, (bit, _)| bits | bit);
    let mut right = flags & (there | !all);
    if has(b"VP8 ") {
        right = right & !ALPHA | if has(b"ALPH") { ALPHA } else { 0 };
    }
    if right == flags {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut bytes = bytes.to_vec();
    bytes[FLAGS] = right;
    Ok(Cow::Owned(bytes))
}
