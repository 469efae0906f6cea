//! Which program this is.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of the sources, ending in `-dirty` where they differ from it; `unknown` where they were built outside of git.
pub const COMMIT: &str = env!("QARE_COMMIT");
