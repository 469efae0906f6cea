//! The kernels. All tensors but Adam's gradients are contiguous; maps are `[N, H, W, C]`, that is rows of C channels. Sums are in f32.

pub mod adam;
pub mod cosine;
mod cube_reduction;
pub mod frobenius;
pub mod moments;
pub mod normalization;
pub mod nt_xent;
pub mod pairs;
pub mod patches;
pub mod sparse_clr;
pub mod sparsemax;
