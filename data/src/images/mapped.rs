//! Pixels in a file that is mapped into memory.

use std::fs::File;
use std::io;
use std::sync::Arc;

use memmap2::Mmap;

/// Maps a file into memory.
///
/// # Errors
/// If the system cannot map the file.
pub(crate) fn map(file: &File) -> io::Result<Arc<Mmap>> {
    // SAFETY: the crate never changes a mapped file. Files in `.qare-cache` are complete before they get their name, and are
    // replaced or removed afterwards, which leaves mappings alone; files of a dataset are only read. If another program
    // truncates such a file, the system ends this process (SIGBUS); if it writes to it, pixels change: every byte is a
    // valid `u8`.
    unsafe { Mmap::map(file) }.map(Arc::new)
}

/// Consecutive images in a mapped file.
#[derive(Clone, Debug)]
pub(crate) struct MappedPixels {
    pub map: Arc<Mmap>,
    /// Byte offset of the first image.
    pub start: usize,
    /// Number of bytes of all images.
    pub bytes: usize,
    /// Whether planes are stored column by column.
    pub by_columns: bool,
}

/// Transposes each plane of an image: column by column becomes row by row.
pub(crate) fn transposed(image: &[u8], side: usize) -> Vec<u8> {
    let mut out = vec![0; image.len()];
    for (plane, out) in image.chunks_exact(side * side).zip(out.chunks_exact_mut(side * side)) {
        for (row, out) in out.chunks_exact_mut(side).enumerate() {
            for (to, column) in out.iter_mut().zip(plane.chunks_exact(side)) {
                *to = column[row];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_swaps_rows_and_columns_of_each_plane() {
        let image: Vec<u8> = (0..27).collect();
        let turned = transposed(&image, 3);
        for (channel, row, column) in (0..27).map(|place| (place / 9, place / 3 % 3, place % 3)) {
            assert_eq!(turned[channel * 9 + row * 3 + column], image[channel * 9 + column * 3 + row]);
        }
    }
}
