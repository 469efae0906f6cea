//! Version and commit of the library.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of the sources, with the suffix `-dirty` if they differ from it; `unknown` for a build outside of git.
pub const COMMIT: &str = env!("QARE_COMMIT");
