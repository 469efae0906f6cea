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

#[derive(Clone, Copy, Debug)]
struct Case {
    name: BackboneName,
    images: usize,
    side: usize,
    /// Batch normalisation keeps its statistics, and layers are differentiated one by one.
    frozen: bool,
}

const fn case(name: BackboneName, images: usize, side: usize) -> Case {
    Case { name, images, side, frozen: false }
}

const CASES: [Case; 8] = [
    case(BackboneName::Conv4, 3, 13),
    case(BackboneName::Conv4, 1, 31),
    case(BackboneName::Resnet8, 5, 17),
    case(BackboneName::Resnet8, 1, 9),
    case(BackboneName::Resnet8, 1, 8),
    case(BackboneName::Resnet8, 2, 8),
    Case { frozen: true, ..case(BackboneName::Resnet8, 1, 9) },
    case(BackboneName::Resnet18, 2, 33),
];

fn trained<B: AutodiffBackend>(case: Case, pixels: &[f32]) -> Trained {
    let Case { name, images, side, frozen } = case;
    let device = Default::default();
    let backbone: Backbone<B> = name.init(7, &device);
    let backbone = if frozen { backbone.with_frozen_batch_norm() } else { backbone };
    train_step(&backbone, Tensor::from_data(TensorData::new(pixels.to_vec(), [images, 3, side, side]), &device))
}

#[test]
fn odd_sizes_agree_with_the_cpu() {
    qare_models::use_kernels::<Plain>();
    // As the golden values, and on CUDA those of products in TF32.
    let (of_output, of_gradients) = if cfg!(feature = "cuda") { (2e-2, 1e-1) } else { (1e-4, 1e-3) };
    let mut off = Vec::new();
    for case in CASES {
        let mut rng = ChaCha8Rng::seed_from_u64(case.side as u64);
        let what = format!("{case:?}");
        // Where a ReLU's input is within rounding of zero, a gradient jumps. Of a few inputs next to each other, one has no such place.
        let mut tried = Vec::new();
        let agrees = (0..5).any(|_| {
            let values = case.images * 3 * case.side * case.side;
            let pixels: Vec<f32> = (0..values).map(|_| rng.random_range(-2.0..2.0)).collect();
            let found = trained::<Autodiff<Plain>>(case, &pixels);
            let expected = trained::<Autodiff<NdArray<f64>>>(case, &pixels);
            let output = relative_error(&found.output, &expected.output);
            let pairs = found.gradients.iter().zip(&expected.gradients);
            let errors: Vec<f64> = pairs.map(|((_, found), (_, of))| relative_error(found, of)).collect();
            println!("{what}: output {output:.1e}, gradients {errors:?}");
            let agrees = output <= of_output && errors.iter().all(|error| *error <= of_gradients);
            tried.push((output, errors));
            agrees
        });
        // Outputs have no such places: each has to agree.
        if !agrees || !tried.iter().all(|(output, _)| *output <= of_output) {
            off.push(format!("{what}: output and gradients are off by {tried:?}"));
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}
