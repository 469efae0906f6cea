//! Gradients of batch normalisation in training against finite differences.
//!
//! A file of its own, because ndarray's element type is settled for a whole process by the first
//! tensor made: next to f32 tests, these would quietly be of f32 too.

use burn::backend::Autodiff;
use burn::module::Param;
use burn::tensor::{DType, Tensor};
use burn_ndarray::NdArray;
use qare_models::BatchNorm;

#[path = "suite/numbers.rs"]
mod numbers;

use numbers::{assert_close, noise, tensor, values};

type Wide = NdArray<f64>;

/// Loss Σ w·y of the layer in training, with a new state each time.
fn weighted_sum<const D: usize>(
    x: Tensor<Autodiff<Wide>, D>,
    gamma: Tensor<Autodiff<Wide>, 1>,
    beta: Tensor<Autodiff<Wide>, 1>,
    w: &[f64],
) -> Tensor<Autodiff<Wide>, 1> {
    let device = Default::default();
    let shape = x.dims();
    let mut layer = BatchNorm::<Autodiff<Wide>>::new(shape[1], &device);
    layer.weight = Param::initialized(burn::module::ParamId::new(), gamma);
    layer.bias = Param::initialized(burn::module::ParamId::new(), beta);
    (layer.forward(x) * tensor(w, shape)).sum()
}

fn gradients_match_finite_differences<const D: usize>(shape: [usize; D]) {
    let count = shape.iter().product();
    let c = shape[1];
    let x = noise(count, 1);
    let w = noise(count, 2);
    let gamma: Vec<f64> = noise(c, 3).iter().map(|v| 1.0 + 0.5 * v).collect();
    let beta = noise(c, 4);

    let leaf_x = tensor::<Autodiff<Wide>, D>(&x, shape).require_grad();
    let leaf_gamma = tensor::<Autodiff<Wide>, 1>(&gamma, [c]).require_grad();
    let leaf_beta = tensor::<Autodiff<Wide>, 1>(&beta, [c]).require_grad();
    let loss = weighted_sum(leaf_x.clone(), leaf_gamma.clone(), leaf_beta.clone(), &w);
    assert_eq!(loss.dtype(), DType::F64);
    let gradients = loss.backward();

    let at = |x: &[f64], gamma: &[f64], beta: &[f64]| {
        values(weighted_sum(tensor::<_, D>(x, shape), tensor(gamma, [c]), tensor(beta, [c]), &w))[0]
    };
    let step = 1e-5;
    let slope = |point: &[f64], value: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
        (0..point.len())
            .map(|i| {
                let moved = |by: f64| {
                    let mut point = point.to_vec();
                    point[i] += by;
                    value(&point)
                };
                (moved(step) - moved(-step)) / (2.0 * step)
            })
            .collect()
    };

    let expected = slope(&x, &|x| at(x, &gamma, &beta));
    assert_close(&values(leaf_x.grad(&gradients).unwrap()), &expected, 1e-7, "x");
    let expected = slope(&gamma, &|gamma| at(&x, gamma, &beta));
    assert_close(&values(leaf_gamma.grad(&gradients).unwrap()), &expected, 1e-7, "gamma");
    let expected = slope(&beta, &|beta| at(&x, &gamma, beta));
    assert_close(&values(leaf_beta.grad(&gradients).unwrap()), &expected, 1e-7, "beta");
}

#[test]
fn gradients_are_those_of_the_whole_expression() {
    gradients_match_finite_differences([3, 2, 2, 3]);
    gradients_match_finite_differences([6, 3]);
    gradients_match_finite_differences([2, 2, 1, 1]);
}
