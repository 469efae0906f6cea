//! Which rows of a batch are views of one image.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// The rows `i·K .. i·K + K` are the K views of image i.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Pairs {
    /// K.
    pub views: usize,
    /// The temperature or the margin of the loss.
    pub parameter: f32,
}

/// Whether the row `at`, another one than `row`, is a view of the same image.
#[cube]
pub fn is_positive(row: usize, at: usize, pairs: &Pairs) -> bool {
    row / pairs.views == at / pairs.views
}
