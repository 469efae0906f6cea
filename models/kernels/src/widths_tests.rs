//! Every kernel on every width of vectors that the processor has. The values are small integers, or such over powers of two: f32
//! computes with them exactly, so that all widths have to give the same bits, and those of integers.

use crate::Pool;
use crate::activation_gradient::{ActivationGradient, NormGradient, ReluMask, channel_sums, maps_gradient};
use crate::convolution_tiles::{convolve_frame, convolve_frame_in_pairs};
use crate::frames::{Frames, Layout};
use crate::image_tiles::{convolve_images, input_gradients};
use crate::image_weight_gradient::weight_gradient_row;
use crate::normalization::{Affine, activate, statistics};
use crate::pairs::{in_pairs, paired};
use crate::pooling::{average_pool, global_average};
use crate::sizes::{ConvParams, ConvSizes};
use crate::vectors::MOST_LANES;
use crate::weight_gradient_tiles::add_weight_gradient;
use crate::weights::{Weights, panel_width, pytorch_layout};

/// Integers from −4 to 4.
fn integers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7 + i / 5 + seed * 3) * 11 % 9) as f32 - 4.0).collect()
}

/// What `compute` returns, which has to be the same on vectors of one, 8 and 16 values.
fn on_all_widths<T: PartialEq>(compute: impl Fn() -> T) -> T {
    let on = |lanes| {
        MOST_LANES.set(lanes);
        let found = compute();
        MOST_LANES.set(16);
        found
    };
    let expected = on(1);
    for lanes in [8, 16] {
        assert!(on(lanes) == expected, "other results on vectors of {lanes} values");
    }
    expected
}

/// Convolutions whose tiles are whole and parted, of one vector, two and four.
fn convolutions() -> impl Iterator<Item = ConvSizes> {
    let params = |[height, width]: [usize; 2], c_in, c_out, [kernel, stride, padding]: [usize; 3]| ConvParams {
        height,
        width,
        c_in,
        c_out,
        kernel,
        stride,
        padding,
    };
    [
        params([1, 1], 1, 16, [1, 1, 0]),
        params([2, 9], 3, 16, [3, 1, 1]),
        params([3, 21], 3, 32, [3, 1, 1]),
        params([4, 5], 4, 64, [3, 2, 1]),
        params([2, 13], 8, 48, [1, 1, 0]),
        params([5, 4], 2, 24, [3, 3, 0]),
        params([3, 3], 16, 8, [2, 1, 1]),
        params([7, 8], 3, 16, [7, 2, 3]),
        params([2, 2], 5, 7, [2, 2, 0]),
        // In pairs of pixels on vectors of 16 values: one pair in a row, tiles of 1, 4, 8 and 16 pairs, and even kernels.
        params([3, 2], 3, 8, [3, 1, 1]),
        params([2, 58], 3, 8, [3, 1, 1]),
        params([4, 11], 2, 8, [2, 1, 0]),
        params([3, 12], 8, 16, [3, 1, 1]),
    ]
    .map(|params| ConvSizes::new(params).expect("sizes that can be computed"))
    .into_iter()
}

/// `[k, k, C_in, C_out]` → `[C_out / w, k, k, C_in, w]`.
fn panels(weights: &[f32], sizes: &ConvSizes) -> Vec<f32> {
    let c_out = sizes.params().c_out;
    let width = panel_width(c_out);
    let of_panel = |panel: usize| weights.chunks_exact(c_out).flat_map(move |row| &row[panel * width..][..width]);
    (0..c_out / width).flat_map(of_panel).copied().collect()
}

/// Calls `each` with the places in frame, output and weights `[k, k, C_in, C_out]` of every product of a convolution.
fn for_each_product(sizes: &ConvSizes, mut each: impl FnMut(usize, usize, usize)) {
    let ConvParams { c_in, c_out, kernel, stride, .. } = sizes.params();
    for out in 0..sizes.output_len() {
        let (pixel, o) = (out / c_out, out % c_out);
        let (oy, ox) = (pixel / sizes.out_width(), pixel % sizes.out_width());
        for place in 0..kernel * kernel * c_in {
            let (ky, kx, i) = (place / c_in / kernel, place / c_in % kernel, place % c_in);
            let frame = ((oy * stride + ky) * sizes.frame_width() + ox * stride + kx) * c_in + i;
            each(frame, out, place * c_out + o);
        }
    }
}

#[test]
fn convolutions_are_those_of_integers() {
    for sizes in convolutions() {
        let (frame, weights) = (integers(sizes.frame_len(), 1), integers(sizes.weights_len(), 2));
        let found = on_all_widths(|| {
            let mut out = vec![f32::NAN; sizes.output_len()];
            let weights = panels(&weights, &sizes);
            match in_pairs(&sizes) {
                true => convolve_frame_in_pairs(&frame, &sizes, &paired(&weights, &sizes), &mut out),
                false => convolve_frame(&frame, &sizes, &weights, &mut out),
            }
            out.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
        });
        let mut expected = vec![0i64; sizes.output_len()];
        for_each_product(&sizes, |at, out, weight| expected[out] += frame[at] as i64 * weights[weight] as i64);
        let expected: Vec<u32> = expected.iter().map(|sum| (*sum as f32).to_bits()).collect();
        // A sum of products of opposite zeros is +0 in both.
        assert_eq!(found, expected, "{sizes:?}");
    }
}

#[test]
fn gradients_of_weights_are_those_of_integers() {
    for sizes in convolutions() {
        let (frame, gradient) = (integers(sizes.frame_len(), 1), integers(sizes.output_len(), 2));
        let found = on_all_widths(|| {
            let mut weights = integers(sizes.weights_len(), 3);
            add_weight_gradient(&frame, &gradient, &sizes, &mut weights);
            weights
        });
        let mut expected: Vec<i64> = integers(sizes.weights_len(), 3).iter().map(|value| *value as i64).collect();
        for_each_product(&sizes, |at, out, weight| expected[weight] += frame[at] as i64 * gradient[out] as i64);
        let expected: Vec<f32> = expected.iter().map(|sum| *sum as f32).collect();
        assert_eq!(found, expected, "{sizes:?}");
    }
}

#[test]
fn gradients_of_images_are_those_of_integers() {
    for sizes in convolutions() {
        let ConvParams { height, width, c_in, kernel, padding, c_out, .. } = sizes.params();
        let (values, gradient) = (integers(sizes.weights_len(), 1), integers(sizes.output_len(), 2));
        let weights = Weights::new(&values, sizes, true);
        let found = on_all_widths(|| {
            let mut out = vec![f32::NAN; sizes.input_len()];
            Frames::default().input_gradient(&gradient, &weights, &mut out);
            out
        });
        let mut of_frame = vec![0i64; sizes.frame_len()];
        for_each_product(&sizes, |at, out, weight| {
            // `[k, k, C_in, C_out]` → `[C_out, C_in, k, k]`
            let (place, i, o) = (weight / c_out / c_in, weight / c_out % c_in, weight % c_out);
            of_frame[at] += gradient[out] as i64 * values[(o * c_in + i) * kernel * kernel + place] as i64;
        });
        let inner = |at: usize| {
            let (y, x, i) = (at / c_in / width, at / c_in % width, at % c_in);
            of_frame[((y + padding) * sizes.frame_width() + x + padding) * c_in + i] as f32
        };
        assert_eq!(found, Vec::from_iter((0..height * width * c_in).map(inner)), "{sizes:?}");
    }
}

/// Convolutions of whole vectors of channels, and numbers of images.
fn convolutions_together() -> impl Iterator<Item = (ConvSizes, usize)> {
    let params = |side: [usize; 2], channels: [usize; 2], [kernel, stride, padding]: [usize; 3], images: usize| {
        let ([height, width], [c_in, c_out]) = (side, channels);
        let sizes = ConvSizes::new(ConvParams { height, width, c_in, c_out, kernel, stride, padding });
        (sizes.expect("sizes that can be computed"), images)
    };
    [
        params([1, 1], [8, 32], [3, 1, 1], 13),
        params([2, 3], [16, 16], [3, 1, 1], 9),
        params([3, 2], [24, 64], [3, 2, 1], 5),
        params([4, 4], [32, 8], [1, 2, 0], 8),
        params([5, 7], [8, 24], [2, 3, 1], 3),
        params([6, 9], [8, 32], [5, 2, 2], 4),
        params([3, 9], [40, 32], [7, 1, 3], 2),
        params([4, 3], [16, 48], [3, 1, 0], 1),
    ]
    .into_iter()
}

#[test]
fn images_together_are_those_one_by_one() {
    for (sizes, images) in convolutions_together() {
        let what = format!("{images} images, {sizes:?}");
        let ConvParams { c_in, c_out, kernel, .. } = sizes.params();
        let (input, output) = (sizes.input_len(), sizes.output_len());
        let (pixels, of_output) = (integers(images * input, 1), integers(images * output, 2));
        let weights = Weights::new(&integers(sizes.weights_len(), 3), sizes, true);
        let mut frames = Frames::default();
        let one_by_one = |from: &[f32], len: usize, to_len: usize, compute: &mut dyn FnMut(&[f32], &mut [f32])| {
            let mut all = vec![f32::NAN; images * to_len];
            from.chunks_exact(len).zip(all.chunks_exact_mut(to_len)).for_each(|(from, to)| compute(from, to));
            all
        };
        let together = |len: usize, compute: &dyn Fn(&mut [f32])| {
            on_all_widths(|| {
                let mut out = vec![f32::NAN; len];
                compute(&mut out);
                out
            })
        };

        let expected = one_by_one(&pixels, input, output, &mut |image, out| {
            frames.convolve(image, Layout::Interleaved, &weights, out);
        });
        assert_eq!(together(images * output, &|out| convolve_images(&pixels, &weights, out)), expected, "{what}");

        let expected = one_by_one(&of_output, output, input, &mut |gradient, out| {
            frames.input_gradient(gradient, &weights, out);
        });
        assert_eq!(together(images * input, &|out| input_gradients(&of_output, &weights, out)), expected, "{what}");

        let mut expected = vec![0.0; sizes.weights_len()];
        for (image, gradient) in pixels.chunks_exact(input).zip(of_output.chunks_exact(output)) {
            frames.add_weight_gradient(image, Layout::Interleaved, gradient, &sizes, &mut expected);
        }
        let row = kernel * c_in * panel_width(c_out);
        let found = together(sizes.weights_len(), &|out| {
            for (at, row) in out.chunks_exact_mut(row).enumerate() {
                let part = [at / kernel * panel_width(c_out), at % kernel];
                weight_gradient_row(&pixels, &of_output, &sizes, part, row);
            }
        });
        assert_eq!(found, panels(&expected, &sizes), "{what}");
    }
}

/// Weights come back in the layout that they were given in, summed over parts.
#[test]
fn arrangements_of_weights_can_be_undone() {
    for sizes in convolutions() {
        let values = integers(sizes.weights_len(), 1);
        let weights = Weights::new(&values, sizes, false);
        let parts = [weights.forward(), weights.forward()].concat();
        let doubled: Vec<f32> = values.iter().map(|value| 2.0 * value).collect();
        let c_out = sizes.params().c_out;
        assert_eq!(pytorch_layout(&parts, &sizes, panel_width(c_out)), doubled, "{sizes:?}");
    }
}

#[test]
fn layouts_are_arrangements_of_one_image() {
    let sizes = convolutions().nth(1).expect("a convolution");
    let ConvParams { c_in, .. } = sizes.params();
    let planar = integers(sizes.input_len(), 1);
    let places = sizes.input_len() / c_in;
    let interleaved: Vec<f32> = (0..sizes.input_len()).map(|at| planar[at % c_in * places + at / c_in]).collect();
    let weights = Weights::new(&integers(sizes.weights_len(), 2), sizes, false);
    let convolve = |image: &[f32], layout| {
        let mut out = vec![f32::NAN; sizes.output_len()];
        Frames::default().convolve(image, layout, &weights, &mut out);
        out
    };
    assert_eq!(convolve(&planar, Layout::Planar), convolve(&interleaved, Layout::Interleaved));
}

#[test]
fn passes_over_maps_are_the_same_on_all_widths() {
    for (height, width, channels) in [(1, 1, 16), (3, 5, 32), (4, 4, 8), (5, 2, 48), (2, 3, 7)] {
        let len = height * width * channels;
        let (z, residual, gradient) = (integers(len, 1), integers(len, 2), integers(len, 3));
        let [mean, scale, shift] = [4, 5, 6].map(|seed| integers(channels, seed));
        let affine = Affine::new(&mean, &scale, &shift);

        // A slope that is a power of two is exact.
        let [activated, leaky] = [0.0, 0.25].map(|slope| {
            let activated = on_all_widths(|| {
                let mut out = vec![f32::NAN; len];
                activate(&z, affine, Some(&residual), Some(slope), &mut out);
                out
            });
            for (at, value) in activated.iter().enumerate() {
                let c = at % channels;
                let y = (z[at] - mean[c]) * scale[c] + shift[c] + residual[at];
                assert_eq!(*value, if y > 0.0 { y } else { slope * y });
            }
            activated
        });
        assert!(leaky.iter().zip(&activated).all(|(leaky, activated)| leaky <= activated));
        // Sums of a power of two of integers have exact means.
        if (height * width).is_power_of_two() {
            let found = on_all_widths(|| {
                let (mut mean, mut squares) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
                statistics(&z, &mut mean, &mut squares);
                let mut average = vec![f32::NAN; channels];
                global_average(&z, &mut average);
                assert_eq!(average, mean);
                (mean, squares)
            });
            let values = |c: usize| z.iter().skip(c).step_by(channels);
            let expected = |c: usize| values(c).sum::<f32>() / (height * width) as f32;
            assert_eq!(found.0, Vec::from_iter((0..channels).map(expected)));
        }
        if height > 1 && width > 1 {
            let pooled = on_all_widths(|| {
                let mut out = vec![f32::NAN; height / 2 * (width / 2) * channels];
                average_pool(&z, width, channels, &mut out);
                out
            });
            for (at, value) in pooled.iter().enumerate() {
                let (y, x, c) = (at / channels / (width / 2), at / channels % (width / 2), at % channels);
                let z = |dy, dx| z[((2 * y + dy) * width + 2 * x + dx) * channels + c];
                assert_eq!(*value, (z(0, 0) + z(0, 1) + z(1, 0) + z(1, 1)) / 4.0);
            }
        }
        for pool in [Pool::None, Pool::Halve, Pool::Average] {
            // An average that is no power of two rounds, and differently where multiplications and additions are fused.
            if pool == Pool::Average && !(height * width).is_power_of_two() {
                continue;
            }
            let len = match pool {
                Pool::None => len,
                Pool::Halve => height / 2 * (width / 2) * channels,
                Pool::Average => channels,
            };
            let masks = [ReluMask::All, ReluMask::Normalized(affine, 0.0), ReluMask::Normalized(affine, 0.25)];
            for mask in masks.into_iter().chain([ReluMask::Output(&activated)]) {
                on_all_widths(|| {
                    let g = ActivationGradient::new(&gradient[..len], pool, mask, &z, width, &mean);
                    let mut kept = vec![f32::NAN; z.len()];
                    let (mut sums, mut products) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
                    channel_sums(g, Some(&mut kept), &mut sums, &mut products);
                    let coefficients =
                        NormGradient { scale: scale.clone(), slope: shift.clone(), offset: mean.clone() };
                    let mut out = vec![f32::NAN; z.len()];
                    maps_gradient(g, &coefficients, &mut out);
                    assert!(out.iter().chain(&kept).all(|value| value.is_finite()), "{pool:?}: a value is not written");
                    (kept, sums, products, out)
                });
            }
        }
    }
}
