/// How maps are pooled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// They are not.
    None,
    /// Means of 2×2 pixels; an odd last row or column is dropped.
    Halve,
    /// The mean over all pixels.
    Average,
}
