//! Which program this is.

/// The program's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, or `unknown`.
pub const COMMIT: &str = match option_env!("QARE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
