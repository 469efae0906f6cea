//! How a dataset is loaded.

use std::path::Path;

use crate::decoding::DEFAULT_MAX_PIXELS;

/// Told how many images have been decoded, and of how many. Any thread may call it, and the calls may come out of order.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// What [`load`] needs to know besides the name.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The folder with the dataset's files: the one its archive was unpacked in, or the one that the archive itself makes.
    /// Datasets that need no files ignore it.
    pub dir: Option<&'a Path>,
    /// Height and width of the images in pixels, if not the dataset's own. Only datasets of image files (`tiny`, `slim`,
    /// `folder`) can be read in another size.
    pub image_size: Option<usize>,
    /// Called after each image file that is decoded.
    pub progress: Option<Progress<'a>>,
    /// Bytes of decoded pixels a split may take in memory, 1 GiB by default. A larger one is kept in a file in the folder
    /// `.qare-cache` of the dataset, where the next run finds it. If that cannot be written, it is a temporary file, and
    /// memory if that cannot be written either.
    pub memory_limit: usize,
    /// Whether image files that cannot be decoded are left out ([`Splits::skipped`] names them) instead of being an error.
    pub skip_broken: bool,
    /// The most pixels an image file may have, [`DEFAULT_MAX_PIXELS`] by default. One that announces more is broken, and no
    /// memory is taken for it.
    pub max_pixels: u64,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            dir: None,
            image_size: None,
            progress: None,
            memory_limit: 1 << 30,
            skip_broken: false,
            max_pixels: DEFAULT_MAX_PIXELS,
        }
    }
}
