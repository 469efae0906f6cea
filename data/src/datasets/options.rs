//! Options of loading a dataset.

use std::path::Path;

use super::test_classes::TestClasses;
use crate::decoding::DEFAULT_MAX_PIXELS;

/// A callback that receives the number of decoded images and the total. Any thread may call it, and the calls may come out of
/// order.
pub type Progress<'a> = &'a (dyn Fn(usize, usize) + Sync);

/// Options of [`load`](crate::load).
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The folder of the dataset: the one that its archive unpacks to, or the one that contains it. Datasets without files ignore
    /// it.
    pub dir: Option<&'a Path>,
    /// Height and width of the images in pixels; `None` for the dataset's own. Only datasets of image files support other
    /// sizes, see [`DatasetName::is_resizable`](super::DatasetName::is_resizable).
    pub image_size: Option<usize>,
    /// If it is set, the training and the unlabelled split have [sources](crate::ImageSet::source), from which random crops are drawn: the
    /// whole images, resized such that the shorter side has this many pixels; smaller ones as they are. At least the image size. For
    /// datasets that [have them](super::DatasetName::has_sources). A split in which all sources would be the images themselves has none.
    pub source_size: Option<usize>,
    /// The classes of the test split, which training does not have; `None` for splits with the same classes. Only `folder` supports
    /// it.
    pub test_classes: Option<&'a TestClasses>,
    /// Called after each decoded image file.
    pub progress: Option<Progress<'a>>,
    /// The most bytes of decoded pixels of a split that are kept in memory, 1 GiB by default. The pixels of a larger split go to
    /// a file in the folder `.qare-cache` of the dataset, where the next run finds them; if that cannot be written, to a
    /// temporary file; if that cannot be written either, to memory. The same holds for its sources, except that they are an error if no
    /// file can be written.
    pub memory_limit: usize,
    /// Whether broken image files are skipped, and listed in [`Splits::skipped`](super::Splits::skipped). Otherwise they are an
    /// error.
    pub skip_broken: bool,
    /// The most pixels of an image file, [`DEFAULT_MAX_PIXELS`] by default. A file that announces more is broken; no memory is
    /// allocated for it.
    pub max_pixels: u64,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            dir: None,
            image_size: None,
            source_size: None,
            test_classes: None,
            progress: None,
            memory_limit: 1 << 30,
            skip_broken: false,
            max_pixels: DEFAULT_MAX_PIXELS,
        }
    }
}
