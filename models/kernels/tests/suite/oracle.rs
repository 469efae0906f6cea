//! The block by its formulas, one index at a time, with bounds on the errors of f32.

use qare_kernels::{ConvParams, Layout, Pool};

use crate::approx::{Approx, Sum};
use crate::cases::Case;
use crate::winograd_bound::Geometry;

pub const EPSILON: f64 = 1e-5;

/// What a gradient is computed from.
pub struct Forward<'a> {
    pub images: &'a [f64],
    pub weights: &'a [f64],
    pub gamma: &'a [f64],
    pub beta: &'a [f64],
    /// The convolutions, and their mean and biased variance.
    pub maps: &'a [f64],
    pub mean: &'a [f64],
    pub variance: &'a [f64],
    /// The output of the ReLU, if a residual was added.
    pub activated: Option<&'a [f64]>,
}

pub struct Gradients {
    pub images: Vec<Approx>,
    pub weights: Vec<Approx>,
    pub gamma: Vec<Approx>,
    pub beta: Vec<Approx>,
    /// Of y + residual, before the ReLU.
    pub residual: Vec<Approx>,
}

/// Calls `each` with the places in output `[N, H', W', C_out]`, input and weights `[C_out, C_in, k, k]` of every product.
fn for_each_product(case: &Case, mut each: impl FnMut(usize, usize, usize)) {
    let ConvParams { height, width, c_in, c_out, kernel, stride, padding } = case.params;
    let [out_height, out_width] = case.maps();
    for n in 0..case.images {
        for (oy, ox) in (0..out_height).flat_map(|y| (0..out_width).map(move |x| (y, x))) {
            for (ky, kx) in (0..kernel).flat_map(|y| (0..kernel).map(move |x| (y, x))) {
                let (y, x) = (oy * stride + ky, ox * stride + kx);
                if y < padding || x < padding || y - padding >= height || x - padding >= width {
                    continue;
                }
                let (y, x) = (y - padding, x - padding);
                for i in 0..c_in {
                    let at = match case.layout {
                        Layout::Planar => ((n * c_in + i) * height + y) * width + x,
                        Layout::Interleaved => ((n * height + y) * width + x) * c_in + i,
                    };
                    for o in 0..c_out {
                        let out = ((n * out_height + oy) * out_width + ox) * c_out + o;
                        each(out, at, ((o * c_in + i) * kernel + ky) * kernel + kx);
                    }
                }
            }
        }
    }
}

/// `[N, H', W', C_out]`
pub fn convolve(case: &Case, images: &[f64], weights: &[f64]) -> Vec<Approx> {
    let ConvParams { c_in, c_out, kernel, .. } = case.params;
    let mut sums = vec![Sum::default(); case.values_per_channel() * c_out];
    for_each_product(case, |out, input, weight| {
        sums[out].add(Approx::exact(images[input] * weights[weight]).rounded(1.0));
    });
    let direct = sums.into_iter().map(|sum| sum.total(kernel * kernel * c_in));
    with_bounds(direct.collect(), geometry(case).map(|geometry| geometry.of_outputs(images, weights)))
}

/// The convolution, if it is computed by Winograd's algorithm.
fn geometry(case: &Case) -> Option<Geometry> {
    let ConvParams { height, width, c_in, c_out, padding, .. } = case.params;
    let images = case.images;
    case.block().by_winograd().then_some(Geometry { images, height, width, c_in, c_out, padding })
}

/// The same values with other errors of their sums of products, if there are such.
fn with_bounds(values: Vec<Approx>, bounds: Option<Vec<f64>>) -> Vec<Approx> {
    let Some(bounds) = bounds else { return values };
    assert_eq!(values.len(), bounds.len());
    values.into_iter().zip(bounds).map(|(of, bound)| Approx { error: of.error + bound, ..of }).collect()
}

/// Mean and biased variance of each channel.
pub fn statistics(case: &Case, maps: &[f64]) -> [Vec<Approx>; 2] {
    let (channels, count) = (case.params.c_out, case.values_per_channel());
    let pixels = count / case.images;
    (0..channels)
        .map(|c| {
            let values = || maps.iter().skip(c).step_by(channels).map(|value| Approx::exact(*value));
            let mean_of = |terms: &mut dyn Iterator<Item = Approx>| {
                let mut sum = Sum::default();
                terms.for_each(|term| sum.add(term));
                // Sums over the pixels of an image are in f32, those over images in f64.
                let Approx { value, error } = sum.total(pixels);
                Approx { value: value / count as f64, error: error / count as f64 }.rounded(2.0)
            };
            let mean = mean_of(&mut values());
            // The kernels subtract the mean of each image. Its rounding error is at most that of a sum over all images, and
            // enters twice: within images and between them.
            let magnitude: f64 = values().map(|value| value.value.abs()).sum::<f64>() / count as f64;
            let error = 2.0 * Approx::exact(magnitude * case.images as f64).rounded(pixels as f64 + 2.0).error;
            let of_distances = Approx { value: mean.value, error };
            let variance = mean_of(&mut values().map(|value| (value - of_distances) * (value - of_distances)));
            (mean, variance)
        })
        .collect::<(Vec<_>, Vec<_>)>()
        .into()
}

/// 1/√(variance + ε)
fn inverse_deviation(variance: f64) -> Approx {
    Approx::exact(1.0 / (variance + EPSILON).sqrt()).rounded(1.0)
}

/// y = γ·(z − mean)/√(variance + ε) + β of channel `c`.
fn normalized(z: f64, c: usize, [mean, variance, gamma, beta]: [&[f64]; 4]) -> Approx {
    let scale = Approx::exact(gamma[c]) * inverse_deviation(variance[c]);
    (Approx::exact(z) - Approx::exact(mean[c])) * scale + Approx::exact(beta[c])
}

/// relu(y + residual), `[N, H', W', C_out]`.
pub fn activate(case: &Case, maps: &[f64], channels: [&[f64]; 4], residual: Option<&[f64]>) -> Vec<Approx> {
    let of_map = |(at, z): (usize, &f64)| {
        let mut y = normalized(*z, at % case.params.c_out, channels);
        if let Some(residual) = residual {
            y = y + Approx::exact(residual[at]);
        }
        if case.relu { y.relu() } else { y }
    };
    maps.iter().enumerate().map(of_map).collect()
}

/// For each value of the output, the places in `[N, H', W', C_out]` that it is the mean of.
fn pooled_places(case: &Case) -> Vec<Vec<usize>> {
    let ([height, width], channels) = (case.maps(), case.params.c_out);
    let place = |n: usize, y: usize, x: usize, c: usize| ((n * height + y) * width + x) * channels + c;
    let [rows, columns, side] = match case.pool {
        Pool::None => [height, width, 1],
        Pool::Halve => [height / 2, width / 2, 2],
        Pool::Average => [1, 1, 0],
    };
    let mut places = Vec::new();
    for n in 0..case.images {
        for (y, x) in (0..rows).flat_map(|y| (0..columns).map(move |x| (y, x))) {
            for c in 0..channels {
                let [high, wide] = if side == 0 { [height, width] } else { [side, side] };
                let pixels = (0..high).flat_map(|dy| (0..wide).map(move |dx| (dy, dx)));
                places.push(pixels.map(|(dy, dx)| place(n, y * side + dy, x * side + dx, c)).collect());
            }
        }
    }
    places
}

pub fn pool(case: &Case, activated: &[Approx]) -> Vec<Approx> {
    if case.pool == Pool::None {
        return activated.to_vec();
    }
    let mean = |places: Vec<usize>| {
        let mut sum = Sum::default();
        places.iter().for_each(|at| sum.add(activated[*at]));
        let share = 1.0 / places.len() as f64;
        let Approx { value, error } = sum.total(places.len());
        Approx { value: value * share, error: error * share }.rounded(2.0)
    };
    pooled_places(case).into_iter().map(mean).collect()
}

/// By the formulas of `ConvBlock::backward`.
pub fn gradients(case: &Case, forward: &Forward<'_>, of_output: &[f64]) -> Gradients {
    let ConvParams { c_out, kernel, .. } = case.params;
    let channels = [forward.mean, forward.variance, forward.gamma, forward.beta];
    let count = case.values_per_channel();
    let pixels = count / case.images;

    // g: back through pooling and ReLU.
    let mut g = vec![Approx::exact(0.0); forward.maps.len()];
    for (places, gradient) in pooled_places(case).into_iter().zip(of_output) {
        let share = Approx::exact(gradient / places.len() as f64);
        places.iter().for_each(|at| g[*at] = if case.pool == Pool::None { share } else { share.rounded(2.0) });
    }
    for (at, g) in g.iter_mut().enumerate().filter(|_| case.relu) {
        let y = match forward.activated {
            Some(activated) => Approx::exact(activated[at]),
            None => normalized(forward.maps[at], at % c_out, channels),
        };
        if y.value.abs() <= y.error && forward.activated.is_none() {
            // f32 may see either side of zero.
            *g = Approx { value: 0.5 * g.value, error: g.error + 0.5 * g.value.abs() };
        } else if y.value <= 0.0 {
            *g = Approx::exact(0.0);
        }
    }

    // Batch normalisation.
    let mut sums = vec![Sum::default(); c_out];
    let mut products = vec![Sum::default(); c_out];
    for (at, g) in g.iter().enumerate() {
        let c = at % c_out;
        sums[c].add(*g);
        products[c].add(*g * (Approx::exact(forward.maps[at]) - Approx::exact(forward.mean[c])));
    }
    let totals = |sums: Vec<Sum>| -> Vec<Approx> { sums.into_iter().map(|sum| sum.total(pixels)).collect() };
    let (sums, products) = (totals(sums), totals(products));
    let share = Approx::exact(-1.0 / count as f64);
    let mut of_maps = vec![Approx::exact(0.0); g.len()];
    for (at, of_map) in of_maps.iter_mut().enumerate() {
        let c = at % c_out;
        let inverse = inverse_deviation(forward.variance[c]);
        let scale = Approx::exact(forward.gamma[c]) * inverse;
        let offset = scale * sums[c] * share;
        let slope = scale * inverse * inverse * products[c] * share;
        let distance = Approx::exact(forward.maps[at]) - Approx::exact(forward.mean[c]);
        *of_map = scale * g[at] + slope * distance + offset;
    }

    // The convolution.
    let in_run = (pixels * case.images.div_ceil(32)).max(512);
    let mut images = vec![Sum::default(); forward.images.len()];
    let mut weights = vec![Sum::default(); forward.weights.len()];
    for_each_product(case, |out, input, weight| {
        images[input].add(of_maps[out] * Approx::exact(forward.weights[weight]));
        weights[weight].add(of_maps[out] * Approx::exact(forward.images[input]));
    });
    let by_winograd = geometry(case);
    let magnitudes = Vec::from_iter(of_maps.iter().map(|of| of.value.abs() + of.error));
    let of_images = by_winograd.map(|geometry| geometry.of_inputs(&magnitudes, forward.weights));
    let of_weights = by_winograd.map(|geometry| geometry.of_weights(forward.images, &magnitudes));
    let gamma = products.iter().zip(forward.variance).map(|(sum, variance)| *sum * inverse_deviation(*variance));
    Gradients {
        images: with_bounds(images.into_iter().map(|sum| sum.total(kernel * kernel * c_out)).collect(), of_images),
        // Over the pixels of an image, the images of a run, and 32 runs; or over all pixels of a run, which are 512 unless its
        // images are one in 32 or one.
        weights: with_bounds(
            weights.into_iter().map(|sum| sum.total(pixels.max(in_run.min(count)) + case.images + 32)).collect(),
            of_weights,
        ),
        gamma: gamma.collect(),
        beta: sums.iter().map(|sum| sum.rounded(1.0)).collect(),
        residual: g,
    }
}
