//! Options of a check.

use crate::datasets::{DEFAULT_MAX_PIXELS, Progress};

/// Options of [`check_with`](super::check_with).
#[derive(Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Called after each decoded image file.
    pub progress: Option<Progress<'a>>,
    /// The most pixels of an image file, as [`LoadOptions::max_pixels`](crate::LoadOptions::max_pixels).
    pub max_pixels: u64,
    /// Whether broken images are only noted, as [`LoadOptions::skip_broken`](crate::LoadOptions::skip_broken). Otherwise they are
    /// problems.
    pub skip_broken: bool,
}

impl Default for CheckOptions<'_> {
    fn default() -> Self {
        Self { progress: None, max_pixels: DEFAULT_MAX_PIXELS, skip_broken: false }
    }
}
