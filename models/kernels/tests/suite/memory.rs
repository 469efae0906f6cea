//! Results do not depend on the memory that they are computed in. `memcheck.sh` runs these under valgrind: every value that a
//! kernel reads has to be there and to have been written.

use qare_kernels::{MaxPool, Normalization, Saved, Weights};
use rayon::ThreadPoolBuilder;

use crate::cases::{Case, Inputs, by_winograd, pointwise, small, together, wide};
use crate::linear_rows;
use crate::oracle::EPSILON;

/// All results of a block, on threads of its own: their memory is new.
fn results(case: &Case, threads: usize) -> Vec<Vec<f32>> {
    let given = Inputs::new(case, 1);
    let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    pool.install(|| {
        let block = case.block();
        let weights = Weights::new(&given.weights, case.sizes(), true);
        let (maps, statistics) = block.convolve(&given.images, &weights);
        let normalization =
            Normalization::new(statistics.mean, &statistics.variance, EPSILON, &given.gamma, &given.beta);
        let (output, kept) = block.normalize(&maps, &normalization, given.residual.as_deref());
        let inferred = block.infer(&given.images, &weights, &normalization, given.residual.as_deref());
        let activated = case.residual.then(|| kept.as_deref().unwrap_or(&output));
        let saved =
            Saved { images: &given.images, weights: &weights, maps: &maps, normalization: &normalization, activated };
        let gradients = block.backward(&saved, &given.of_output, true);
        let earlier: Vec<f32> = given.images.iter().rev().copied().collect();
        let onto = block.backward_onto(&saved, &given.of_output, earlier).images.unwrap_or_default();
        let (images, residual) = (gradients.images.unwrap_or_default(), gradients.residual.unwrap_or_default());
        vec![
            maps.to_vec(),
            output,
            inferred,
            images,
            onto,
            gradients.weights,
            gradients.gamma,
            gradients.beta,
            residual,
        ]
    })
}

fn assert_independent(case: &Case) {
    let found = results(case, 1);
    assert!(found.iter().flatten().all(|value| value.is_finite()), "{case:?}: a value that is not finite");
    assert!(found == results(case, 3), "{case:?}: other results in other memory");
}

#[test]
fn max_pooling() {
    for dims in [[1, 1, 3], [2, 5, 8], [3, 4, 16], [6, 6, 32], [5, 7, 1]] {
        let pool = MaxPool::new(dims);
        let images = vec![1.0; 3 * dims.iter().product::<usize>()];
        let (out, places) = pool.forward(&images);
        assert_eq!(out, vec![1.0; 3 * pool.out_dims().iter().product::<usize>()]);
        let total: f32 = pool.backward(&out, &places).iter().sum();
        assert_eq!(total, out.len() as f32);
    }
}

#[test]
fn linear_layers() {
    for case in linear_rows::CASES.into_iter().filter(|case| case[0] > 1 && case.iter().product::<usize>() < 1_000_000)
    {
        assert!(linear_rows::products(case, 1) == linear_rows::products(case, 3), "{case:?}");
        assert!(linear_rows::normalized(case, 1) == linear_rows::normalized(case, 3), "{case:?}");
    }
}

#[test]
fn pointwise_blocks() {
    pointwise().iter().for_each(assert_independent);
}

#[test]
fn small_images() {
    // Every fifth: the others would take minutes under valgrind.
    small().iter().step_by(5).for_each(assert_independent);
}

#[test]
fn images_together() {
    let few = |case: &&Case| case.sizes().weights_len() * case.values_per_channel() < 4_000_000;
    let cases = together();
    assert!(cases.iter().filter(few).count() > 20);
    cases.iter().filter(few).for_each(assert_independent);
}

#[test]
fn by_winograd_s_algorithm() {
    let few = |case: &&Case| case.sizes().weights_len() * case.values_per_channel() < 3_000_000;
    let cases = by_winograd();
    assert!(cases.iter().filter(few).count() > 10);
    cases.iter().filter(few).for_each(assert_independent);
}

#[test]
fn many_channels() {
    wide().iter().filter(|case| case.params.c_in * case.params.c_out <= 64 * 64).for_each(assert_independent);
}
