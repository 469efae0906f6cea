//! What views keep from one to the next.

use super::affine::Warper;
use super::normalize::Normalizer;
use super::resize::Resizer;

/// Buffers and tables that [`write_view`](super::write_view) keeps from one view to the next. Give every thread its own.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) resizer: Resizer,
    pub(crate) warper: Warper,
    pub(crate) pixels: Vec<u8>,
    pub(crate) normalizer: Normalizer,
}
