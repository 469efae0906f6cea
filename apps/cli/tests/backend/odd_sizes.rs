//! Networks on images of odd sizes have the values of the CPU in f64: maps that no tile, cube or window divides, and single images.

use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Tensor, TensorData};
use burn_ndarray::NdArray;
use qare_models::{Backbone, BackboneName};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Plain;
use super::golden_backbone::{Trained, relative_error, train_step};

/// Backbones with the number of images and their side.
const CASES: [(BackboneName, usize, usize); 7] = [
    (BackboneName::Conv4, 3, 13),
    (BackboneName::Conv4, 1, 31),
    (BackboneName::Resnet8, 5, 17),
    (BackboneName::Resnet8, 1, 9),
    (BackboneName::Resnet8, 1, 8),
    (BackboneName::Resnet8, 2, 8),
    (BackboneName::Resnet18, 2, 33),
];

fn trained<B: AutodiffBackend>(name: BackboneName, pixels: &[f32], images: usize, side: usize) -> Trained {
    let device = Default::default();
    let backbone: Backbone<B> = name.init(7, &device);
    train_step(&backbone, Tensor::from_data(TensorData::new(pixels.to_vec(), [images, 3, side, side]), &device))
}

#[test]
fn odd_sizes_agree_with_the_cpu() {
    qare_models::use_kernels::<Plain>();
    // As the golden values, and on CUDA those of products in TF32.
    let (of_output, of_gradients) = if cfg!(feature = "cuda") { (2e-2, 1e-1) } else { (1e-4, 1e-3) };
    for (name, images, side) in CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(side as u64);
        let what = format!("{name}, {images} × {side} × {side}");
        // Where a ReLU's input is within rounding of zero, a gradient jumps. Of a few inputs next to each other, one has no such place.
        let mut tried = Vec::new();
        let agrees = (0..5).any(|_| {
            let pixels: Vec<f32> = (0..images * 3 * side * side).map(|_| rng.random_range(-2.0..2.0)).collect();
            let found = trained::<Autodiff<Plain>>(name, &pixels, images, side);
            let expected = trained::<Autodiff<NdArray<f64>>>(name, &pixels, images, side);
            let output = relative_error(&found.output, &expected.output);
            assert!(output <= of_output, "{what}: the output is off by {output:e}");
            let pairs = found.gradients.iter().zip(&expected.gradients);
            let errors: Vec<f64> = pairs.map(|((_, found), (_, of))| relative_error(found, of)).collect();
            println!("{what}: output {output:.1e}, gradients {errors:?}");
            let agrees = errors.iter().all(|error| *error <= of_gradients);
            tried.push(errors);
            agrees
        });
        assert!(agrees, "{what}: gradients are off by {tried:?}");
    }
}
