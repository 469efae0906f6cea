//! Paths in messages.

use std::path::Path;

/// A path as it appears in a message.
pub trait PrintablePath {
    /// Returns the path with characters escaped that act on a terminal; see [`qare_data::printable`].
    fn printable(&self) -> String;
}

impl PrintablePath for Path {
    fn printable(&self) -> String {
        qare_data::printable(self)
    }
}
