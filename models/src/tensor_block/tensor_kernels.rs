//! The steps of a block in tensor operations, for any backend.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::module::avg_pool2d;
use burn::tensor::{Int, Tensor, TensorData, backend::Backend};
use qare_host::{primitive, tensor};

use super::kernels::{BlockKernels, Moments, Normalization, Pass};
use super::weight_gradient::Sizes;
use crate::layers::for_sums;
use crate::running_statistics::RunningStatistics;

/// Tensor operations.
#[derive(Clone, Debug)]
pub(super) struct TensorKernels;

impl<B: Backend> BlockKernels<B> for TensorKernels {
    fn moments(maps: Tensor<B, 4>, running: RunningStatistics<B>) -> Moments<B> {
        let [_, _, _, channels] = maps.dims();
        let maps = for_sums(rows(maps));
        let count = values_per_channel(&maps) as f64;
        let mean = channel_sums(maps.clone()) / count;
        let centred = maps - mean.clone();
        let variance = channel_sums(centred.clone() * centred) / count;
        let of_batch = [mean.clone(), variance.clone() * (count / (count - 1.0))];
        Moments {
            both: Tensor::cat(vec![mean, variance], 1).squeeze_dim(0),
            running: running.after(of_batch.map(|moments| moments.reshape([channels]))),
        }
    }

    fn normalize(maps: Tensor<B, 4>, of: &Normalization<B>, residual: Option<Tensor<B, 4>>) -> Tensor<B, 4> {
        let [images, height, width, channels] = maps.dims();
        let dtype = maps.dtype();
        let maps = before_activation(&rows(maps), of, &residual.map(rows));
        let passes = maps.clone().lower_elem(0);
        let maps = maps.clone().mask_where(passes, maps * of.slope);
        match of.window {
            [1, 1] => maps.cast(dtype).reshape([images, height, width, channels]),
            window if window == [height, width] => maps.mean_dim(1).cast(dtype).reshape([images, 1, 1, channels]),
            window => {
                let maps = maps.cast(dtype).reshape([images, height, width, channels]).permute([0, 3, 1, 2]);
                avg_pool2d(maps, window, window, [0, 0], true, false).permute([0, 2, 3, 1])
            }
        }
    }

    fn parameter_gradients(pass: &Pass<B>) -> [Tensor<B, 1>; 2] {
        let channels = pass.normalization.gamma.dims();
        let gradient = before_activation_gradient(pass);
        let of_gamma = gradient.clone() * normalized(&rows(pass.maps.clone()), &pass.normalization);
        [gradient, of_gamma].map(|gradient| channel_sums(gradient).reshape(channels))
    }

    fn maps_gradient(pass: &Pass<B>, parameters: &[Tensor<B, 1>; 2]) -> (Tensor<B, 4>, Option<Tensor<B, 4>>) {
        let (dims, dtype) = (pass.maps.dims(), pass.maps.dtype());
        let maps = rows(pass.maps.clone());
        let of = &pass.normalization;
        let gradient = before_activation_gradient(pass);
        let count = values_per_channel(&maps) as f64;
        let [of_beta, of_gamma] = parameters.each_ref().map(|gradient| by_channel(gradient) / count);
        let centred = gradient.clone() - of_beta - normalized(&maps, of) * of_gamma;
        let of_maps = centred * (by_channel(&of.gamma) / deviation(of));
        let of_residual = pass.residual.is_some().then(|| gradient.cast(dtype).reshape(dims));
        (of_maps.cast(dtype).reshape(dims), of_residual)
    }

    fn patches(maps: Tensor<B, 4>, sizes: Sizes) -> Tensor<B, 3> {
        let [images, height, width, channels] = maps.dims();
        let places: Places<B> = places(sizes, &maps.device());
        let patches = maps.reshape([images, height * width, channels]).select(1, places.pixels);
        let patches = match places.inside {
            Some(inside) => patches.clone() * inside.cast(patches.dtype()),
            None => patches,
        };
        patches.reshape([images, sizes.places(), sizes.taps() * channels])
    }

    fn fold(patches: Tensor<B, 3>, sizes: Sizes) -> Tensor<B, 4> {
        let [images, _, values] = patches.dims();
        let Sizes { height, width, kernel, stride, padding } = sizes;
        let (out_height, out_width, channels) = (sizes.out_height(), sizes.out_width(), values / sizes.taps());
        let taps = for_sums(patches).reshape([images, out_height, out_width, sizes.taps(), channels]);
        let zeros =
            |dims: &[usize]| Tensor::<B, 1>::zeros([dims.iter().product::<usize>()], (&taps.device(), taps.dtype()));
        // Each tap's values with zeros between them, on a canvas that has room for all taps.
        let [rows, columns] = [out_height * stride, out_width * stride];
        let canvas = [images, rows + kernel - 1, columns + kernel - 1, channels];
        let mut sum = zeros(&canvas).reshape(canvas);
        let (below, beside) = (
            [images, out_height, stride - 1, out_width, 1, channels],
            [images, out_height, stride, out_width, stride - 1, channels],
        );
        let between = (stride > 1).then(|| (zeros(&below).reshape(below), zeros(&beside).reshape(beside)));
        for tap in 0..sizes.taps() {
            let mut values = taps.clone().narrow(3, tap, 1).reshape([images, out_height, 1, out_width, 1, channels]);
            if let Some((below, beside)) = between.clone() {
                values = Tensor::cat(vec![Tensor::cat(vec![values, below], 2), beside], 4);
            }
            let (top, left) = (tap / kernel, tap % kernel);
            let at = [0..images, top..top + rows, left..left + columns, 0..channels];
            let added = sum.clone().slice(at.clone()) + values.reshape([images, rows, columns, channels]);
            sum = sum.slice_assign(at, added);
        }
        sum.slice([0..images, padding..padding + height, padding..padding + width, 0..channels])
    }

    fn product<const D: usize>(a: Tensor<B, D>, b: Tensor<B, D>) -> Tensor<B, D> {
        a.matmul(b)
    }

    fn needs_product(_length: usize) -> bool {
        false
    }
}

/// `[N, H, W, C]` → `[N, H·W, C]`
fn rows<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 3> {
    let [images, height, width, channels] = maps.dims();
    maps.reshape([images, height * width, channels])
}

fn values_per_channel<B: Backend>(maps: &Tensor<B, 3>) -> usize {
    let [images, places, _] = maps.dims();
    images * places
}

/// `[C]` → `[1, 1, C]`
fn by_channel<B: Backend>(values: &Tensor<B, 1>) -> Tensor<B, 3> {
    let [channels] = values.dims();
    values.clone().reshape([1, 1, channels])
}

/// Sums over images and places, `[N, P, C]` → `[1, 1, C]`. Sums of each image first: a GPU computes as many sums at a time as a
/// reduction has results.
fn channel_sums<B: Backend>(maps: Tensor<B, 3>) -> Tensor<B, 3> {
    let of_images = maps.sum_dim(1);
    if of_images.dims()[0] == 1 { of_images } else { of_images.sum_dim(0) }
}

/// √(variance + ε)
fn deviation<B: Backend>(of: &Normalization<B>) -> Tensor<B, 3> {
    (moment(of, 1) + of.epsilon).sqrt()
}

/// The mean, row 0 of the moments, or the variance, row 1, as `[1, 1, C]`.
fn moment<B: Backend>(of: &Normalization<B>, row: usize) -> Tensor<B, 3> {
    of.moments.clone().narrow(0, row, 1).unsqueeze()
}

/// (maps − mean) / √(variance + ε)
fn normalized<B: Backend>(maps: &Tensor<B, 3>, of: &Normalization<B>) -> Tensor<B, 3> {
    (for_sums(maps.clone()) - moment(of, 0)) / deviation(of)
}

fn before_activation<B: Backend>(
    maps: &Tensor<B, 3>,
    of: &Normalization<B>,
    residual: &Option<Tensor<B, 3>>,
) -> Tensor<B, 3> {
    let maps = normalized(maps, of) * by_channel(&of.gamma) + by_channel(&of.beta);
    match residual {
        Some(residual) => maps + for_sums(residual.clone()),
        None => maps,
    }
}

/// The gradient before the activation, `[N, P, C]`.
fn before_activation_gradient<B: Backend>(pass: &Pass<B>) -> Tensor<B, 3> {
    let of = &pass.normalization;
    let [images, height, width, channels] = pass.maps.dims();
    let places = height * width;
    let of_activated = match of.window {
        [1, 1] => for_sums(rows(pass.of_output.clone())),
        window if window == [height, width] => {
            let of_place = for_sums(rows(pass.of_output.clone())) / places as f64;
            of_place.expand([images, places, channels])
        }
        window => {
            let maps = primitive(pass.maps.clone().permute([0, 3, 1, 2]));
            let of_output = primitive(pass.of_output.clone().permute([0, 3, 1, 2]));
            let gradient: Tensor<B, 4> =
                tensor(B::avg_pool2d_backward(maps, of_output, window, window, [0, 0], true, false));
            for_sums(rows(gradient.permute([0, 2, 3, 1])))
        }
    };
    if of.slope == 1.0 {
        return of_activated;
    }
    let before = before_activation(&rows(pass.maps.clone()), of, &pass.residual.clone().map(rows));
    of_activated.clone().mask_where(before.lower_equal_elem(0), of_activated * of.slope)
}

/// Where the values of patches lie in an image.
#[derive(Clone)]
struct Places<B: Backend> {
    /// The pixel for each place and weight of a kernel, `[P·k²]`.
    pixels: Tensor<B, 1, Int>,
    /// 1 inside of the image, 0 outside, `[1, P·k², 1]`, if any pixel is outside.
    inside: Option<Tensor<B, 3>>,
}

/// The places of a convolution. They are uploaded once, since an upload for each step would cost time.
fn places<B: Backend>(sizes: Sizes, device: &B::Device) -> Places<B> {
    type Known = HashMap<(TypeId, String, Sizes), Box<dyn Any + Send>>;
    static KNOWN: Mutex<Option<Known>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (TypeId::of::<B>(), format!("{device:?}"), sizes);
    let places = known.get_or_insert_default().entry(key).or_insert_with(|| Box::new(new_places::<B>(sizes, device)));
    places.downcast_ref::<Places<B>>().expect("the key holds the backend").clone()
}

fn new_places<B: Backend>(sizes: Sizes, device: &B::Device) -> Places<B> {
    let count = sizes.places() * sizes.taps();
    let (mut pixels, mut inside) = (Vec::with_capacity(count), Vec::with_capacity(count));
    // The pixel in this row or column, if it is inside, for an output pixel and a weight.
    let line = |out: usize, weight: usize, length: usize| {
        (out * sizes.stride + weight).checked_sub(sizes.padding).filter(|at| *at < length)
    };
    for y in 0..sizes.out_height() {
        for x in 0..sizes.out_width() {
            for tap in 0..sizes.taps() {
                let row = line(y, tap / sizes.kernel, sizes.height);
                let column = line(x, tap % sizes.kernel, sizes.width);
                let pixel = row.zip(column).map(|(row, column)| row * sizes.width + column);
                pixels.push(pixel.unwrap_or(0) as i32);
                inside.push(if pixel.is_some() { 1.0f32 } else { 0.0 });
            }
        }
    }
    let all = inside.iter().all(|inside| *inside == 1.0);
    Places {
        pixels: Tensor::from_data(TensorData::new(pixels, [count]), device),
        inside: (!all).then(|| Tensor::from_data(TensorData::new(inside, [1, count, 1]), device)),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;
    use burn_ndarray::NdArray;

    use super::*;

    type B = NdArray<f64>;

    /// Σ fold(p)·m = Σ p·patches(m), for each is what the other is transposed.
    #[test]
    fn folding_is_the_transpose_of_taking_patches() {
        let device = Default::default();
        for (kernel, stride, padding) in
            [(1, 1, 0), (1, 2, 0), (1, 3, 0), (3, 1, 1), (3, 2, 1), (2, 3, 1), (7, 2, 3), (5, 4, 0)]
        {
            for (images, height, width, channels) in [(1, 9, 8, 3), (2, 7, 11, 1)] {
                let sizes = Sizes { height, width, kernel, stride, padding };
                let normal = Distribution::Normal(0.0, 1.0);
                let maps = Tensor::<B, 4>::random([images, height, width, channels], normal, &device);
                let taken = TensorKernels::patches(maps.clone(), sizes);
                let patches = Tensor::random(taken.dims(), normal, &device);
                let [folded, of_patches] = [
                    (TensorKernels::fold(patches.clone(), sizes) * maps).sum().into_scalar(),
                    (patches * taken).sum().into_scalar(),
                ];
                assert!((folded - of_patches).abs() < 1e-10, "{sizes:?}: {folded} and {of_patches}");
            }
        }
    }
}
