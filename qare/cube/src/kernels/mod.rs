//! The kernels. All tensors are contiguous; maps are `[N, H, W, C]`, that is rows of C channels. Sums are in f32.

mod cube_reduction;
pub mod moments;
pub mod normalization;
pub mod patches;
pub mod sparsemax;
