//! The file format of TensorBoard's event files: TFRecord.
//!
//! A record is `length: u64 | crc(length): u32 | data | crc(data): u32`, all little-endian. The checksum is CRC-32C, rotated to the right by 15
//! bits, plus 0xa282ead8.

/// Returns a record with this data.
pub fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let parts = [&length[..], &masked_crc(&length).to_le_bytes(), data, &masked_crc(data).to_le_bytes()];
    parts.concat()
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first record of a file that TensorBoard's own writer wrote, with the time 0.
    #[test]
    fn a_record_has_the_bytes_of_tensorboards_writer() {
        let data = b"\x09\x00\x00\x00\x00\x00\x00\x00\x00\x1a\x0dbrain.Event:2";
        assert_eq!(record(data), RECORD);
    }

    const RECORD: &[u8] = &[
        24, 0, 0, 0, 0, 0, 0, 0, 163, 127, 75, 34, 9, 0, 0, 0, 0, 0, 0, 0, 0, 26, 13, 98, 114, 97, 105, 110, 46, 69,
        118, 101, 110, 116, 58, 50, 238, 223, 40, 163,
    ];
}
