//! What pooling does to the pixels of maps.

/// How the pixels of maps are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// They are not.
    None,
    /// Means of 2×2 pixels; an odd last row or column is dropped.
    Halve,
    /// The mean of all pixels.
    Average,
}
