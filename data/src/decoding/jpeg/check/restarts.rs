//! Restart markers, and how a decoder finds its way if they are not as expected.

use super::Stop;
use super::reader::Reader;

/// Goes through that many restarts. The marker that stops the scan, if one was met before its end.
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
                // Not a marker at all.
                ..0xc0 => {}
                0xd0..=0xd7 => match marker.wrapping_sub(expected) & 7 {
                    // One or two are missing: it waits for its turn.
                    1 | 2 => break Some(marker),
                    // One that is late.
                    6 | 7 => {}
                    _ => break None,
                },
                // No restart comes after this one.
                _ => return Ok(Some(marker)),
            }
            marker = reader.next_marker()?;
        };
        expected = (expected + 1) & 7;
    }
    Ok(unread)
}
