//! The kernels. All tensors are contiguous; maps are `[N, H, W, C]`, that is rows of C channels. Sums are in f32.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// Mean and squared distances from it, of the rows of each of `groups` groups: `[2, G, C]`. Group g has the rows g, g + G, …
///
/// One unit computes one channel of one group. Neighbours read neighbouring numbers.
#[cube(launch)]
pub fn moments_of_groups<E: Float>(
    maps: &Array<E>,
    moments: &mut Array<f32>,
    channels: usize,
    groups: usize,
    #[define(E)] _dtype: StorageType,
) {
    let step = groups * channels;
    let unit = ABSOLUTE_POS;
    if unit >= step {
        terminate!();
    }
    // The distances from the first value, so that a large mean takes no digits.
    let first = f32::cast_from(maps[unit]);
    let mut sum = f32::new(0.0);
    let mut squares = f32::new(0.0);
    let mut count = f32::new(0.0);
    let mut at = unit;
    while at < maps.len() {
        let distance = f32::cast_from(maps[at]) - first;
        sum += distance;
        squares += distance * distance;
        count += f32::new(1.0);
        at += step;
    }
    moments[unit] = first + sum / count;
    let mut distances = squares - sum * sum / count;
    if distances < f32::new(0.0) {
        distances = f32::new(0.0);
    }
    moments[step + unit] = distances;
}

/// Mean and biased variance of each channel, `[2, C]`, from those of groups of the `rows` rows; and mean and unbiased variance apart.
///
/// One cube of `threads` units computes one channel. With M_g the mean of a group of n_g rows and Q_g its squared distances, the
/// squared distances of all rows are Σ Q_g + n_g (M_g − mean)² (Chan, Golub, LeVeque 1983).
#[cube(launch)]
pub fn moments_of_channels(
    of_groups: &Array<f32>,
    moments: &mut Array<f32>,
    means: &mut Array<f32>,
    unbiased: &mut Array<f32>,
    channels: usize,
    groups: usize,
    rows: usize,
    #[comptime] threads: u32,
) {
    let channel = CUBE_POS_X as usize;
    let step = groups * channels;
    let mut sum = f32::new(0.0);
    let mut group = UNIT_POS_X as usize;
    while group < groups {
        sum += of_groups[group * channels + channel] * rows_of_group(group, groups, rows);
        group += threads as usize;
    }
    let count = f32::cast_from(rows as u32);
    let mean = sum_of_cube(sum, threads) / count;

    let mut squares = f32::new(0.0);
    group = UNIT_POS_X as usize;
    while group < groups {
        let at = group * channels + channel;
        let distance = of_groups[at] - mean;
        squares += of_groups[step + at] + distance * distance * rows_of_group(group, groups, rows);
        group += threads as usize;
    }
    let variance = sum_of_cube(squares, threads) / count;
    if UNIT_POS_X == 0 {
        moments[channel] = mean;
        moments[channels + channel] = variance;
        means[channel] = mean;
        unbiased[channel] = variance * count / (count - f32::new(1.0));
    }
}

/// ⌈(rows − group) / groups⌉
#[cube]
#[allow(clippy::manual_div_ceil)]
fn rows_of_group(group: usize, groups: usize, rows: usize) -> f32 {
    f32::cast_from(((rows - group + groups - 1) / groups) as u32)
}

/// The sum of a number of each unit of a cube of `threads`, a power of 2, in every unit.
#[cube]
fn sum_of_cube(number: f32, #[comptime] threads: u32) -> f32 {
    let mut numbers = SharedMemory::<f32>::new(threads as usize);
    numbers[UNIT_POS_X as usize] = number;
    sync_cube();
    #[unroll]
    for round in 0..comptime!(threads.ilog2()) {
        let half = comptime!(threads >> (round + 1));
        if UNIT_POS_X < half {
            let other = numbers[(UNIT_POS_X + half) as usize];
            numbers[UNIT_POS_X as usize] += other;
        }
        sync_cube();
    }
    let sum = numbers[0];
    // Before the memory is written again.
    sync_cube();
    sum
}

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
            let mut value = normalized(maps, at, channel, channels, of) * of.gamma[channel] + of.beta[channel];
            if with_residual {
                value += f32::cast_from(residual[at]);
            }
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
        let mut value = normalized(maps, at, channel, channels, of) * of.gamma[channel] + of.beta[channel];
        if with_residual {
            value += f32::cast_from(residual[at]);
        }
        gradient = f32::cast_from(of_output[output]) / count;
        if value <= f32::new(0.0) {
            gradient *= of.slope;
        }
    }
    gradient
}

/// For each group of rows, as in [`moments_of_groups`], Σ ∂y and Σ ∂y·x̂: `[2, G, C]`. ∂y is the gradient before the activation, x̂ are
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

/// Sizes of a convolution of maps `[N, H, W, C]`.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Convolution {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub out_height: usize,
    pub out_width: usize,
    pub kernel: usize,
    pub stride: usize,
    pub padding: usize,
}

/// The values under the kernel at each place, `[N, H', W', k, k, C]`; 0 outside of the image. One unit copies one value.
#[cube(launch)]
pub fn gather_patches<E: Float>(
    maps: &Array<E>,
    patches: &mut Array<E>,
    of: &Convolution,
    #[define(E)] _dtype: StorageType,
) {
    let unit = ABSOLUTE_POS;
    if unit >= patches.len() {
        terminate!();
    }
    let channel = unit % of.channels;
    let tap = unit / of.channels;
    let kernel_x = tap % of.kernel;
    let kernel_y = (tap / of.kernel) % of.kernel;
    let place = tap / (of.kernel * of.kernel);
    let x = (place % of.out_width) * of.stride + kernel_x;
    let y = ((place / of.out_width) % of.out_height) * of.stride + kernel_y;
    let image = place / (of.out_width * of.out_height);
    let mut value = E::new(0.0);
    if x >= of.padding && y >= of.padding {
        let column = x - of.padding;
        let row = y - of.padding;
        if column < of.width && row < of.height {
            value = maps[((image * of.height + row) * of.width + column) * of.channels + channel];
        }
    }
    patches[unit] = value;
}

/// Sparsemax of each row of `[N, M]`: p_j = max(z_j − τ, 0) with Σ p = 1, and τ `[N]`. One cube of `threads` units computes one row.
///
/// From S = {z > max z − 1}, τ = (Σ_S z − 1)/|S| and S ← {z > τ}, for so many rounds (Michelot 1986). All is relative to the largest
/// entry, so that the sums lose no digits. Units of a cube wait for each other in each round, so their number is the same for all.
#[cube(launch)]
pub fn sparsemax_of_rows(
    z: &Array<f32>,
    probabilities: &mut Array<f32>,
    thresholds: &mut Array<f32>,
    entries: usize,
    #[comptime] rounds: u32,
    #[comptime] threads: u32,
) {
    let row = CUBE_POS;
    if row >= thresholds.len() {
        terminate!();
    }
    let first = row * entries;
    let step = threads as usize;
    let own = UNIT_POS_X as usize;

    let mut most = f32::new(-1.0e38);
    let mut at = own;
    while at < entries {
        let value = z[first + at];
        if value > most {
            most = value;
        }
        at += step;
    }
    let largest = largest_of_cube(most, threads);

    let mut threshold = f32::new(-1.0);
    for _ in 0..rounds {
        let mut sum = f32::new(0.0);
        let mut count = f32::new(0.0);
        at = own;
        while at < entries {
            let above = z[first + at] - largest - threshold;
            if above > f32::new(0.0) {
                sum += above;
                count += f32::new(1.0);
            }
            at += step;
        }
        sum = sum_of_cube(sum, threads);
        count = sum_of_cube(count, threads);
        threshold += (sum - f32::new(1.0)) / count;
    }

    at = own;
    while at < entries {
        let above = z[first + at] - largest - threshold;
        let mut probability = f32::new(0.0);
        if above > f32::new(0.0) {
            probability = above;
        }
        probabilities[first + at] = probability;
        at += step;
    }
    if own == 0 {
        thresholds[row] = largest + threshold;
    }
}

/// The largest of a number of each unit of a cube of `threads`, a power of 2, in every unit.
#[cube]
fn largest_of_cube(number: f32, #[comptime] threads: u32) -> f32 {
    let mut numbers = SharedMemory::<f32>::new(threads as usize);
    numbers[UNIT_POS_X as usize] = number;
    sync_cube();
    #[unroll]
    for round in 0..comptime!(threads.ilog2()) {
        let half = comptime!(threads >> (round + 1));
        if UNIT_POS_X < half {
            let other = numbers[(UNIT_POS_X + half) as usize];
            if other > numbers[UNIT_POS_X as usize] {
                numbers[UNIT_POS_X as usize] = other;
            }
        }
        sync_cube();
    }
    let largest = numbers[0];
    // Before the memory is written again.
    sync_cube();
    largest
}
