//! Slices of wrong lengths panic before any kernel runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use qare_kernels::{ConvParams, ConvSizes, Layout, Normalization, Pool, Saved, Weights};

use crate::cases::{Case, Inputs};
use crate::oracle::EPSILON;

const CASE: Case = Case {
    params: ConvParams { height: 5, width: 4, c_in: 3, c_out: 16, kernel: 3, stride: 1, padding: 1 },
    layout: Layout::Interleaved,
    relu: true,
    pool: Pool::Halve,
    residual: true,
    images: 3,
};

/// Whether a call panics.
fn panics<T>(call: impl FnOnce() -> T) -> bool {
    catch_unwind(AssertUnwindSafe(call)).is_err()
}

#[test]
fn lengths_are_checked() {
    let given = Inputs::new(&CASE, 1);
    let (block, sizes) = (CASE.block(), CASE.sizes());
    let residual = given.residual.as_deref().expect("a residual");
    let weights = Weights::new(&given.weights, sizes, true);
    let one_less = |values: &[f32]| values[1..].to_vec();
    let whole = |values: &[f32], images: usize| values[..values.len() / 3 * images].to_vec();

    assert!(panics(|| Weights::new(&one_less(&given.weights), sizes, true)));
    assert!(panics(|| block.convolve(&one_less(&given.images), &weights)));
    let of_others = ConvSizes::new(ConvParams { height: 6, ..CASE.params }).expect("good sizes");
    let others = Weights::new(&given.weights, of_others, true);
    assert!(panics(|| block.convolve(&given.images, &others)));
    // A single value has no variance.
    assert!(panics(|| block.convolve(&[], &weights)));

    let (maps, found) = block.convolve(&given.images, &weights);
    let [mean, variance] = [found.mean, found.variance];
    let normalization = |channels: usize| {
        let of = |values: &[f32]| values[..channels].to_vec();
        Normalization::new(of(&mean), &of(&variance), EPSILON, &of(&given.gamma), &of(&given.beta))
    };
    assert!(panics(|| Normalization::new(mean.clone(), &variance[1..], EPSILON, &given.gamma, &given.beta)));
    assert!(panics(|| Normalization::new(mean.clone(), &variance, EPSILON, &given.gamma[1..], &given.beta)));
    assert!(panics(|| Normalization::new(mean.clone(), &variance, EPSILON, &given.gamma, &given.beta[1..])));
    assert!(panics(|| normalization(0)));
    let (right, narrow) = (normalization(16), normalization(8));

    assert!(panics(|| block.normalize(&one_less(&maps), &right, None)));
    assert!(panics(|| block.normalize(&maps, &narrow, None)));
    assert!(panics(|| block.normalize(&maps, &right, Some(&whole(residual, 2)))));
    assert!(panics(|| block.infer(&one_less(&given.images), &weights, &right, None)));
    assert!(panics(|| block.infer(&given.images, &others, &right, None)));
    assert!(panics(|| block.infer(&given.images, &weights, &narrow, None)));
    assert!(panics(|| block.infer(&given.images, &weights, &right, Some(&whole(residual, 2)))));

    let (_, activated) = block.normalize(&maps, &right, Some(residual));
    let activated = activated.expect("the output before pooling");
    let saved = Saved {
        images: &given.images,
        weights: &weights,
        maps: &maps,
        normalization: &right,
        activated: Some(&activated),
    };
    assert!(!panics(|| block.backward(&saved, &given.of_output, true)));
    assert!(!panics(|| block.backward_onto(&saved, &given.of_output, given.images.clone())));
    assert!(panics(|| block.backward_onto(&saved, &given.of_output, given.images.repeat(2))));
    let (two_images, two_maps) = (whole(&given.images, 2), whole(&maps, 2));
    assert!(panics(|| block.backward(&Saved { images: &two_images, ..saved }, &given.of_output, true)));
    assert!(panics(|| block.backward(&Saved { maps: &two_maps, ..saved }, &given.of_output, true)));
    assert!(panics(|| block.backward(&Saved { activated: Some(&two_maps), ..saved }, &given.of_output, true)));
    assert!(panics(|| block.backward(&Saved { weights: &others, ..saved }, &given.of_output, true)));
    assert!(panics(|| block.backward(&Saved { normalization: &narrow, ..saved }, &given.of_output, true)));
    assert!(panics(|| block.backward(&saved, &whole(&given.of_output, 2), true)));
    let forward_only = Weights::new(&given.weights, sizes, false);
    assert!(panics(|| block.backward(&Saved { weights: &forward_only, ..saved }, &given.of_output, true)));
    assert!(!panics(|| block.backward(&Saved { weights: &forward_only, ..saved }, &given.of_output, false)));
}

#[test]
fn no_images_have_no_output() {
    let given = Inputs::new(&CASE, 1);
    let weights = Weights::new(&given.weights, CASE.sizes(), false);
    let normalization = Normalization::new(vec![0.0; 16], &[1.0; 16], EPSILON, &given.gamma, &given.beta);
    assert!(CASE.block().infer(&[], &weights, &normalization, None).is_empty());
}
