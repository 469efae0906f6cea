//! What the segments of a JPEG file say, and what a decoder may want besides.

use super::check::usual_tables;

/// What is known of a JPEG file from its segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Segments {
    /// Width and height, as far as a frame is announced.
    pub size: Option<(u64, u64)>,
    /// Whether the pixels come in several scans, so that all of the file is needed for any of them.
    pub several_scans: bool,
    /// Whether there is an end marker after the first scan starts.
    pub has_end: bool,
    /// Scans, as far as their markers tell.
    pub scans: usize,
}

/// Whether pixels start somewhere, and what is known until then. Segments (which may hold a whole preview) say how long they
/// are; in a scan 0xff is escaped.
pub(crate) fn segments(bytes: &[u8]) -> Option<Segments> {
    let mut found = Segments::default();
    let mut components = 0;
    let mut place = 2;
    while let Some(&[start, marker]) = bytes.get(place..place + 2) {
        if start != 0xff {
            // Decoders look for the next marker.
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
            // Fill bytes, and markers without a segment.
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

/// The file with the usual Huffman tables before its own, for files that do without some of them.
pub(crate) fn with_usual_tables(bytes: &[u8]) -> Vec<u8> {
    [&bytes[..2], &usual_tables::segments(), &bytes[2..]].concat()
}

/// What may follow the bytes of a file without an end: all pixels are there if they do not depend on it.
pub(crate) fn continued(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    [0x00, 0x55, 0xaa, 0xfe]
        .into_iter()
        .map(move |filling| with_end(&[without_half_marker(bytes), &[filling; 64]].concat()))
}

/// The file with an end marker, for one without.
pub(crate) fn with_end(bytes: &[u8]) -> Vec<u8> {
    [without_half_marker(bytes), b"\xff\xd9"].concat()
}

/// Half of a marker is none.
fn without_half_marker(bytes: &[u8]) -> &[u8] {
    let length = bytes.iter().rposition(|&byte| byte != 0xff).map_or(0, |last| last + 1);
    &bytes[..length]
}
