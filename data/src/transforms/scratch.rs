//! Buffers for making views.

use super::affine::Warper;
use super::normalize::Normalizer;
use super::resize::Resizer;

/// Buffers and tables that [`write_view`](super::write_view) reuses from one view to the next. Use one per thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) resizer: Resizer,
    pub(crate) warper: Warper,
    pub(crate) pixels: Vec<u8>,
    pub(crate) normalizer: Normalizer,
}
