/// How the pixels of maps become fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// They stay as they are.
    None,
    /// Means of 2×2; an odd last row or column is dropped.
    Halve,
    /// The mean of all.
    Average,
}
