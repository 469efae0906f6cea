//! The segments of a JPEG file, and files completed by what a decoder needs.

use super::check::usual_tables;

/// Properties of a JPEG file that follow from its markers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    /// Width and height, if there is a frame header.
    pub size: Option<(u64, u64)>,
    /// Whether there are several scans, so that every pixel depends on the whole file.
    pub several_scans: bool,
    /// Whether there is an end marker after the start of the first scan.
    pub has_end: bool,
    /// Number of scan markers.
    pub scans: usize,
}

/// The properties of a file, or `None` if it has no scan. The length of a segment is known, so markers inside of it, as in an
/// embedded preview, do not count; in a scan, 0xff is escaped.
pub(crate) fn segments(bytes: &[u8]) -> Option<Segments> {
    let mut found = Segments::default();
    let mut components = 0;
    let mut place = 2;
    while let Some(&[start, marker]) = bytes.get(place..place + 2) {
        if start != 0xff {
            // Decoders skip to the next marker.
            place += 1;
            continue;
        }
        let segment = bytes.get(place + 4..).unwrap_or_default();
        match marker {
            0xda => {
                found.several_scans |= segment.first().is_some_and(|&scan| scan < components);
                let scan = &bytes[place..];
                found.has_end = scan.windows(2).any(|pair| pair == b"\xff\xd9");
                found.scans = scan.windows(2).filter(|pair| pair == b"\xff\xda").count();
                return Some(found);
            }
            // Fill bytes, then markers without a segment.
            0xff => place += 1,
            0x00 | 0x01 | 0xd0..=0xd8 => place += 2,
            _ => {
                if let (0xc0..=0xcf, Some(&[_, high, low, high2, low2, count])) = (marker, segment.get(..6))
                    && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
                {
                    let side = |high, low| u64::from(u16::from_be_bytes([high, low]));
                    found.size = Some((side(high2, low2), side(high, low)));
                    found.several_scans = matches!(marker & 3, 2);
                    components = count;
                }
                let &[high, low] = bytes.get(place + 2..place + 4)? else { return None };
                place += 2 + usize::from(u16::from_be_bytes([high, low]));
            }
        }
    }
    None
}

/// The file with the standard Huffman tables before its own, for files that omit some.
pub(crate) fn with_usual_tables(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..2], &usual_tables::segments(), &bytes[2..]].concat()
}

/// Several continuations of a file without end marker. If all give the same image, no pixel is missing.
pub(crate) fn continued(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    [0x00, 0x55, 0xaa, 0xfe]
        .into_iter()
        .map(move |filling| with_end(&[without_half_marker(bytes), &[filling; 64]].concat()))
}

/// The file with an end marker appended.
pub(crate) fn with_end(bytes: &[u8]) -> Vec<u8> {
    [without_half_marker(bytes), b"\xff\xd9"].concat()
}

/// The file without an incomplete marker at its end.
fn without_half_marker(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|&byte| byte != 0xff).map_or(0, |last| last + 1);
    &bytes[..length]
}
