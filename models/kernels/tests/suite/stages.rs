//! Each stage of a block against the oracle's, given what the stages before it have made: so the bounds are those of one stage.

use qare_kernels::{Normalization, Pool, Saved, Weights};

use crate::approx::assert_within;
use crate::cases::{Case, Inputs, by_winograd, pointwise, small, together, wide};
use crate::oracle::{self, EPSILON, Forward};

fn f64s(values: &[f32]) -> Vec<f64> {
    values.iter().map(|value| f64::from(*value)).collect()
}

fn check(case: &Case, seed: u64) {
    let what = |stage: &str| format!("{stage} of {case:?}");
    let given = Inputs::new(case, seed);
    let block = case.block();
    let weights = Weights::new(&given.weights, case.sizes(), true);
    let (images64, weights64) = (f64s(&given.images), f64s(&given.weights));
    let (gamma64, beta64) = (f64s(&given.gamma), f64s(&given.beta));
    let residual64 = given.residual.as_deref().map(f64s);

    let (maps, found) = block.convolve(&given.images, &weights);
    assert_within(&maps, &oracle::convolve(case, &images64, &weights64), &what("convolution"));
    let maps64 = f64s(&maps);
    let [mean, variance] = oracle::statistics(case, &maps64);
    assert_within(&found.mean, &mean, &what("mean"));
    assert_within(&found.variance, &variance, &what("variance"));
    assert_eq!(found.count, case.values_per_channel(), "{}", what("number of values"));

    let (mean64, variance64) = (f64s(&found.mean), f64s(&found.variance));
    let channels = [&mean64[..], &variance64, &gamma64, &beta64];
    let normalization = Normalization::new(found.mean, &found.variance, EPSILON, &given.gamma, &given.beta);
    let (output, kept) = block.normalize(&maps, &normalization, given.residual.as_deref());
    let activated = oracle::activate(case, &maps64, channels, residual64.as_deref());
    assert_within(&output, &oracle::pool(case, &activated), &what("output"));
    assert_eq!(kept.is_some(), case.residual && case.pool != Pool::None, "{}", what("output before pooling"));
    if let Some(kept) = &kept {
        assert_within(kept, &activated, &what("output before pooling"));
    }
    // Evaluation is the same computation.
    let inferred = block.infer(&given.images, &weights, &normalization, given.residual.as_deref());
    assert_eq!(inferred, output, "{}", what("output in evaluation"));

    let activated = case.residual.then(|| kept.as_deref().unwrap_or(&output));
    let saved =
        Saved { images: &given.images, weights: &weights, maps: &maps, normalization: &normalization, activated };
    let found = block.backward(&saved, &given.of_output, true);
    let activated64 = activated.map(f64s);
    let forward = Forward {
        images: &images64,
        weights: &weights64,
        gamma: &gamma64,
        beta: &beta64,
        maps: &maps64,
        mean: &mean64,
        variance: &variance64,
        activated: activated64.as_deref(),
    };
    let expected = oracle::gradients(case, &forward, &f64s(&given.of_output));
    assert_within(&found.beta, &expected.beta, &what("gradient of β"));
    assert_within(&found.gamma, &expected.gamma, &what("gradient of γ"));
    assert_eq!(found.residual.is_some(), case.residual, "{}", what("gradient of the residual"));
    if let Some(found) = &found.residual {
        assert_within(found, &expected.residual, &what("gradient of the residual"));
    }
    assert_within(&found.weights, &expected.weights, &what("gradient of the weights"));
    let images = found.images.unwrap_or_else(|| panic!("{}", what("no gradient of the images")));
    assert_within(&images, &expected.images, &what("gradient of the images"));

    let earlier: Vec<f32> = given.images.iter().rev().copied().collect();
    let sums: Vec<f32> = images.iter().zip(&earlier).map(|(x, y)| x + y).collect();
    let onto = block.backward_onto(&saved, &given.of_output, earlier);
    assert_eq!(onto.images, Some(sums), "{}", what("sum with an earlier gradient"));
    assert_eq!(onto.weights, found.weights, "{}", what("gradient of the weights beside a sum"));

    // Nobody asks for the gradient of the first images: the others stay the same.
    let without = block.backward(&saved, &given.of_output, false);
    assert!(without.images.is_none());
    assert_eq!(without.weights, found.weights, "{}", what("gradient of the weights alone"));
}

#[test]
fn small_images_of_any_sizes() {
    small().iter().enumerate().for_each(|(seed, case)| check(case, seed as u64));
}

#[test]
fn pointwise_blocks() {
    pointwise().iter().enumerate().for_each(|(seed, case)| check(case, seed as u64));
}

#[test]
fn many_channels() {
    wide().iter().enumerate().for_each(|(seed, case)| check(case, seed as u64));
}

#[test]
fn images_together() {
    together().iter().enumerate().for_each(|(seed, case)| check(case, seed as u64));
}

#[test]
fn by_winograd_s_algorithm() {
    let cases = by_winograd();
    assert!(cases.iter().all(|case| case.block().by_winograd()));
    cases.iter().enumerate().for_each(|(seed, case)| check(case, seed as u64));
}

#[test]
fn many_seeds() {
    for case in small().iter().step_by(37) {
        (100..120).for_each(|seed| check(case, seed));
    }
}
