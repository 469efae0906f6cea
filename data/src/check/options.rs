//! How a folder is checked.

use crate::datasets::{DEFAULT_MAX_PIXELS, Progress};

/// What [`check_with`] needs to know besides the folder.
#[derive(Clone, Copy)]
pub struct CheckOptions<'a> {
    /// Called for each image file.
    pub progress: Option<Progress<'a>>,
    /// As [`LoadOptions::max_pixels`](crate::LoadOptions::max_pixels).
    pub max_pixels: u64,
    /// As [`LoadOptions::skip_broken`](crate::LoadOptions::skip_broken): broken images are noted, and are no problem.
    pub skip_broken: bool,
}

impl Default for CheckOptions<'_> {
    fn default() -> Self {
        Self { progress: None, max_pixels: DEFAULT_MAX_PIXELS, skip_broken: false }
    }
}
