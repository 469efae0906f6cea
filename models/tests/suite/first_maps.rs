//! The maps for Deep InfoMax: the first convolution, batch normalisation and ReLU written out.

use burn::tensor::Tensor;
use burn_flex::Flex;
use qare_models::{BackboneName, named_tensors};

use crate::numbers::{assert_close, noise, tensor, values};

/// k×k convolution of `[N, C, H, W]` with zero padding, then what an untrained batch normalisation does in evaluation,
/// then ReLU.
fn literal_maps(
    x: &[f64],
    [n, c, h, w]: [usize; 4],
    weight: &[f32],
    [c_out, _, k, _]: [usize; 4],
    stride: usize,
) -> (Vec<f64>, [usize; 4]) {
    let pad = k / 2;
    let side = |length: usize| (length + 2 * pad - k) / stride + 1;
    let (h_out, w_out) = (side(h), side(w));
    let mut maps = Vec::new();
    for (image, out, i, j) in (0..n)
        .flat_map(|a| (0..c_out).map(move |b| (a, b)))
        .flat_map(|(a, b)| (0..h_out).flat_map(move |i| (0..w_out).map(move |j| (a, b, i, j))))
    {
        let mut sum = 0.0;
        for (channel, di, dj) in (0..c).flat_map(|c| (0..k * k).map(move |at| (c, at / k, at % k))) {
            let (row, column) = (i * stride + di, j * stride + dj);
            if (pad..h + pad).contains(&row) && (pad..w + pad).contains(&column) {
                sum += x[((image * c + channel) * h + row - pad) * w + column - pad]
                    * f64::from(weight[((out * c + channel) * k + di) * k + dj]);
            }
        }
        maps.push((sum / (1.0 + 1e-5f64).sqrt()).max(0.0));
    }
    (maps, [n, c_out, h_out, w_out])
}

#[test]
fn first_maps_are_those_after_the_first_relu() {
    let device = Default::default();
    let shape = [2, 3, 11, 14];
    let x = noise(shape.iter().product(), 1);
    for (name, stride) in [(BackboneName::Conv4, 1), (BackboneName::Resnet8, 1), (BackboneName::Resnet18, 2)] {
        let backbone = name.init::<Flex>(1, &device);
        let first = &named_tensors(&backbone, "")[0];
        let (expected, dims) = literal_maps(&x, shape, &first.values, first.shape.clone().try_into().unwrap(), stride);

        let images: Tensor<Flex, 4> = tensor(&x, shape);
        let (maps, features) = backbone.forward_with_maps(images.clone());
        assert_eq!(maps.dims(), dims, "{name}");
        assert_eq!(maps.dims()[1], name.map_channels(), "{name}");
        assert_close(&values(maps), &expected, 1e-4, name.as_str());
        assert_close(&values(features), &values(backbone.forward(images)), 1e-6, name.as_str());
    }
}
