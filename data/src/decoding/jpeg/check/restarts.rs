//! Restart markers, and the resynchronisation of libjpeg if they are out of order.

use super::Stop;
use super::reader::Reader;

/// Passes over `count` restart markers. Returns the marker that ends the scan early, or one that is read but not yet due.
pub(super) fn pass(reader: &mut Reader, count: u64) -> Result<Option<u8>, Stop> {
    let mut unread = None;
    let mut expected = 0;
    for _ in 0..count {
        let mut marker = match unread {
            Some(marker) => marker,
            None => reader.next_marker()?,
        };
        unread = loop {
            match marker {
                // Not a valid marker.
                ..0xc0 => {}
                0xd0..=0xd7 => match marker.wrapping_sub(expected) & 7 {
                    // One or two markers are missing: keep this one until it is due.
                    1 | 2 => break Some(marker),
                    // A late marker: skip it.
                    6 | 7 => {}
                    _ => break None,
                },
                // Any other marker ends the scan.
                _ => return Ok(Some(marker)),
            }
            marker = reader.next_marker()?;
        };
        expected = (expected + 1) & 7;
    }
    Ok(unread)
}
