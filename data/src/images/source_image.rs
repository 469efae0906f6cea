//! An image of any size.

/// A colour image of any height and width, of which resized crops are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceImage<'a> {
    pixels: &'a [u8],
    height: usize,
    width: usize,
}

impl<'a> SourceImage<'a> {
    /// An image of planar 8-bit pixels, `[3, height, width]`.
    ///
    /// # Panics
    /// If the image is empty, or `pixels` has another length.
    pub fn new(pixels: &'a [u8], (height, width): (usize, usize)) -> Self {
        assert!(height > 0 && width > 0, "an image of {height}x{width} pixels");
        assert_eq!(pixels.len(), 3 * height * width, "pixels of an image of {height}x{width}");
        Self { pixels, height, width }
    }

    /// A square image, `[3, side, side]`.
    ///
    /// # Panics
    /// If the image is empty, or `pixels` has another length.
    pub fn square(pixels: &'a [u8], side: usize) -> Self {
        Self::new(pixels, (side, side))
    }

    /// The planar 8-bit pixels, `[3, height, width]`.
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// Height and width.
    pub fn size(&self) -> (usize, usize) {
        (self.height, self.width)
    }
}
