//! Mean and variance of channels.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::cube_reduction::sum_of_cube;

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

/// Mean and biased variance of each channel, `[2, C]`, from those of groups of the `rows` rows; and the running statistics after
/// them: mean and unbiased variance move by `momentum` towards those of the batch, and one batch more is counted.
///
/// One cube of `threads` units computes one channel. With M_g the mean of a group of n_g rows and Q_g its squared distances, the
/// squared distances of all rows are Σ Q_g + n_g (M_g − mean)² (Chan, Golub, LeVeque 1983).
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub fn moments_of_channels(
    of_groups: &Array<f32>,
    running_mean: &Array<f32>,
    running_variance: &Array<f32>,
    batches: &Array<f32>,
    moments: &mut Array<f32>,
    new_mean: &mut Array<f32>,
    new_variance: &mut Array<f32>,
    new_batches: &mut Array<f32>,
    momentum: f32,
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
        let kept = f32::new(1.0) - momentum;
        let unbiased = variance * count / (count - f32::new(1.0));
        new_mean[channel] = running_mean[channel] * kept + mean * momentum;
        new_variance[channel] = running_variance[channel] * kept + unbiased * momentum;
        if channel == 0 {
            new_batches[0] = batches[0] + f32::new(1.0);
        }
    }
}

/// ⌈(rows − group) / groups⌉
#[cube]
#[allow(clippy::manual_div_ceil)]
fn rows_of_group(group: usize, groups: usize, rows: usize) -> f32 {
    f32::cast_from(((rows - group + groups - 1) / groups) as u32)
}
