//! Batch normalisation with what follows it, and its gradients.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cube_reduction::sum_of_cube;

/// What normalisation and activation need to know of a channel or of all.
#[derive(CubeType, CubeLaunch)]
pub struct Normalization {
    /// Mean and biased variance, `[2, C]`.
    pub moments: Array<f32>,
    /// γ, `[C]`.
    pub gamma: Array<f32>,
    /// β, `[C]`.
    pub beta: Array<f32>,
    pub epsilon: f32,
    /// Slope of the activation below 0: 0 for ReLU, 1 for none.
    pub slope: f32,
}

/// Sizes of maps `[N, H, W, C]` and of the windows that are averaged.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Sizes {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub window_height: usize,
    pub window_width: usize,
}

/// (maps − mean) / √(variance + ε)
#[cube]
fn normalized<E: Float>(maps: &Array<E>, at: usize, channel: usize, channels: usize, of: &Normalization) -> f32 {
    let deviation = f32::sqrt(of.moments[channels + channel] + of.epsilon);
    (f32::cast_from(maps[at]) - of.moments[channel]) / deviation
}

/// The maps normalised, times γ plus β, plus `residual`, at one value.
#[cube]
#[allow(clippy::too_many_arguments)]
fn before_activation<E: Float>(
    maps: &Array<E>,
    residual: &Array<E>,
    at: usize,
    channel: usize,
    channels: usize,
    of: &Normalization,
    #[comptime] with_residual: bool,
) -> f32 {
    let mut value = normalized(maps, at, channel, channels, of) * of.gamma[channel] + of.beta[channel];
    if with_residual {
        value += f32::cast_from(residual[at]);
    }
    value
}

/// The maps normalised, times γ plus β, plus `residual`, activated, and averaged over windows: `[N, H', W', C]`. Rows and columns that
/// fill no window are dropped. One unit computes one output.
#[cube(launch)]
pub fn normalize<E: Float>(
    maps: &Array<E>,
    residual: &Array<E>,
    output: &mut Array<E>,
    of: &Normalization,
    sizes: &Sizes,
    #[comptime] with_residual: bool,
    #[define(E)] _dtype: StorageType,
) {
    let unit = ABSOLUTE_POS;
    if unit >= output.len() {
        terminate!();
    }
    let channels = sizes.channels;
    let out_width = sizes.width / sizes.window_width;
    let out_height = sizes.height / sizes.window_height;
    let channel = unit % channels;
    let place = unit / channels;
    let left = (place % out_width) * sizes.window_width;
    let top = ((place / out_width) % out_height) * sizes.window_height;
    let image = place / (out_width * out_height);
    let mut sum = f32::new(0.0);
    for y in 0..sizes.window_height {
        for x in 0..sizes.window_width {
            let at = ((image * sizes.height + top + y) * sizes.width + left + x) * channels + channel;
            let mut value = before_activation(maps, residual, at, channel, channels, of, with_residual);
            // NaN stays.
            if value < f32::new(0.0) {
                value *= of.slope;
            }
            sum += value;
        }
    }
    let count = f32::cast_from((sizes.window_height * sizes.window_width) as u32);
    output[unit] = E::cast_from(sum / count);
}

/// The gradient before the activation, at one value of the maps.
#[cube]
#[allow(clippy::too_many_arguments)]
fn gradient_before_activation<E: Float>(
    maps: &Array<E>,
    residual: &Array<E>,
    of_output: &Array<E>,
    at: usize,
    of: &Normalization,
    sizes: &Sizes,
    #[comptime] with_residual: bool,
) -> f32 {
    let channels = sizes.channels;
    let out_width = sizes.width / sizes.window_width;
    let out_height = sizes.height / sizes.window_height;
    let channel = at % channels;
    let place = at / channels;
    let column = (place % sizes.width) / sizes.window_width;
    let row = ((place / sizes.width) % sizes.height) / sizes.window_height;
    let image = place / (sizes.width * sizes.height);
    let mut gradient = f32::new(0.0);
    if row < out_height && column < out_width {
        let count = f32::cast_from((sizes.window_height * sizes.window_width) as u32);
        let output = ((image * out_height + row) * out_width + column) * channels + channel;
        let value = before_activation(maps, residual, at, channel, channels, of, with_residual);
        gradient = f32::cast_from(of_output[output]) / count;
        if value <= f32::new(0.0) {
            gradient *= of.slope;
        }
    }
    gradient
}

/// For each group of rows, as in [`moments_of_groups`](super::moments::moments_of_groups), Σ ∂y and Σ ∂y·x̂: `[2, G, C]`. ∂y is the gradient before the activation, x̂ are
/// the normalised maps.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub fn gradient_sums_of_groups<E: Float>(
    maps: &Array<E>,
    residual: &Array<E>,
    of_output: &Array<E>,
    sums: &mut Array<f32>,
    of: &Normalization,
    sizes: &Sizes,
    groups: usize,
    #[comptime] with_residual: bool,
    #[define(E)] _dtype: StorageType,
) {
    let channels = sizes.channels;
    let step = groups * channels;
    let unit = ABSOLUTE_POS;
    if unit >= step {
        terminate!();
    }
    let channel = unit % channels;
    let mut of_beta = f32::new(0.0);
    let mut of_gamma = f32::new(0.0);
    let mut at = unit;
    while at < maps.len() {
        let gradient = gradient_before_activation(maps, residual, of_output, at, of, sizes, with_residual);
        of_beta += gradient;
        of_gamma += gradient * normalized(maps, at, channel, channels, of);
        at += step;
    }
    sums[unit] = of_beta;
    sums[step + unit] = of_gamma;
}

/// ∂β and ∂γ, each `[C]`, from the sums of groups. One cube of `threads` units computes one channel.
#[cube(launch)]
pub fn gradient_sums_of_channels(
    of_groups: &Array<f32>,
    of_beta: &mut Array<f32>,
    of_gamma: &mut Array<f32>,
    channels: usize,
    groups: usize,
    #[comptime] threads: u32,
) {
    let channel = CUBE_POS_X as usize;
    let step = groups * channels;
    let mut beta = f32::new(0.0);
    let mut gamma = f32::new(0.0);
    let mut group = UNIT_POS_X as usize;
    while group < groups {
        beta += of_groups[group * channels + channel];
        gamma += of_groups[step + group * channels + channel];
        group += threads as usize;
    }
    beta = sum_of_cube(beta, threads);
    gamma = sum_of_cube(gamma, threads);
    if UNIT_POS_X == 0 {
        of_beta[channel] = beta;
        of_gamma[channel] = gamma;
    }
}

/// The gradient of the maps, γ/√(variance + ε) · (∂y − (∂β + x̂·∂γ)/M) with M = `rows`, and that of the residual, ∂y.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub fn gradient_of_maps<E: Float>(
    maps: &Array<E>,
    residual: &Array<E>,
    of_output: &Array<E>,
    of_beta: &Array<f32>,
    of_gamma: &Array<f32>,
    gradient: &mut Array<E>,
    of_residual: &mut Array<E>,
    of: &Normalization,
    sizes: &Sizes,
    #[comptime] with_residual: bool,
    #[define(E)] _dtype: StorageType,
) {
    let at = ABSOLUTE_POS;
    if at >= maps.len() {
        terminate!();
    }
    let channels = sizes.channels;
    let channel = at % channels;
    let rows = f32::cast_from((maps.len() / channels) as u32);
    let before = gradient_before_activation(maps, residual, of_output, at, of, sizes, with_residual);
    let of_slope = normalized(maps, at, channel, channels, of) * of_gamma[channel];
    let deviation = f32::sqrt(of.moments[channels + channel] + of.epsilon);
    let centred = before - (of_beta[channel] + of_slope) / rows;
    gradient[at] = E::cast_from(centred * of.gamma[channel] / deviation);
    if with_residual {
        of_residual[at] = E::cast_from(before);
    }
}
