//! Pixels that stay in their file.

use std::sync::Arc;

use memmap2::Mmap;

/// Images one after the other in a file.
#[derive(Clone, Debug)]
pub(crate) struct MappedPixels {
    pub map: Arc<Mmap>,
    /// Byte at which the first image starts.
    pub start: usize,
    /// Bytes of all images.
    pub bytes: usize,
    /// Whether each plane stands column by column.
    pub by_columns: bool,
}

/// An image whose planes stand column by column, row by row.
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
