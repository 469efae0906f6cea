//! The patches of images under a kernel, and their sums.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

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

/// Images `[N, H, W, C]` whose pixels are the sums of the values that [`gather_patches`] takes from them. One unit adds up one value.
#[cube(launch)]
pub fn fold_patches<E: Float>(
    patches: &Array<E>,
    maps: &mut Array<E>,
    of: &Convolution,
    #[define(E)] _dtype: StorageType,
) {
    let unit = ABSOLUTE_POS;
    if unit >= maps.len() {
        terminate!();
    }
    let channel = unit % of.channels;
    let pixel = unit / of.channels;
    let x = pixel % of.width + of.padding;
    let y = (pixel / of.width) % of.height + of.padding;
    let image = pixel / (of.width * of.height);
    let mut sum = f32::new(0.0);
    for kernel_y in 0..of.kernel {
        for kernel_x in 0..of.kernel {
            if y >= kernel_y && x >= kernel_x {
                let from_top = y - kernel_y;
                let from_left = x - kernel_x;
                let row = from_top / of.stride;
                let column = from_left / of.stride;
                if row * of.stride == from_top
                    && column * of.stride == from_left
                    && row < of.out_height
                    && column < of.out_width
                {
                    let place = (image * of.out_height + row) * of.out_width + column;
                    let tap = (place * of.kernel + kernel_y) * of.kernel + kernel_x;
                    sum += f32::cast_from(patches[tap * of.channels + channel]);
                }
            }
        }
    }
    maps[unit] = E::cast_from(sum);
}
