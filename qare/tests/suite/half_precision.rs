//! Embeddings of f16 and bf16: the objectives are those of the rounded embeddings in f32, and as far from the golden values as rounding
//! the embeddings takes them.

use burn::backend::Autodiff;
use burn::tensor::{FloatDType, Tensor, TensorData};
use burn_flex::Flex;
use qare::{ContrastiveObjective, Qare, Similarity, SparseClrConfig, Views};

use crate::golden::{GoldenLoss, golden_losses, relative_error};

type B = Autodiff<Flex>;

/// With which gradients are made: those of f16 would be cut off at 6e-8.
const SCALE: f64 = 1024.0;

/// Value and gradient of an objective, and whether their types are f32 and the embeddings'.
fn of(
    objective: &ContrastiveObjective,
    generic: bool,
    embeddings: &Tensor<B, 2>,
    views: Views,
) -> (Vec<f64>, Vec<f64>) {
    let embeddings = embeddings.clone().detach().require_grad();
    let output = match generic {
        true => objective.forward_generic(embeddings.clone(), views),
        false => objective.forward(embeddings.clone(), views),
    };
    let loss = output.unwrap().loss;
    assert_eq!(FloatDType::from(loss.dtype()), FloatDType::F32);
    let gradient = embeddings.grad(&(loss.clone() * SCALE).backward()).unwrap();
    assert_eq!(gradient.dtype(), embeddings.dtype());
    (numbers(loss, 1.0), numbers(gradient, 1.0 / SCALE))
}

fn numbers<Backend: burn::tensor::backend::Backend, const D: usize>(
    tensor: Tensor<Backend, D>,
    factor: f64,
) -> Vec<f64> {
    tensor.into_data().iter::<f64>().map(|x| x * factor).collect()
}

/// Rounding errors of a type, relative: half the distance of two numbers.
const ROUNDINGS: [(FloatDType, f64); 2] = [(FloatDType::F16, 4.9e-4), (FloatDType::BF16, 3.9e-3)];

#[test]
fn golden_losses_are_met_as_far_as_rounded_embeddings_allow() {
    for (dtype, rounding) in ROUNDINGS {
        let (mut largest, mut steepest) = (0.0f64, 0.0f64);
        for GoldenLoss { name, objective, views, embeddings, shape, loss, gradient } in golden_losses() {
            let embeddings = Tensor::<B, 2>::from_data(TensorData::new(embeddings, shape), &Default::default());
            let embeddings = embeddings.cast(dtype);
            let (value, found) = of(&objective, false, &embeddings, views);
            let error = (value[0] - loss).abs() / loss.abs();
            let of_gradient = relative_error(&found, &gradient);
            println!("{dtype:?} {name}: value {error:.1e}, gradient {of_gradient:.1e}");
            (largest, steepest) = (largest.max(error), steepest.max(of_gradient));
        }
        println!(
            "{dtype:?}: value {largest:.1e} ({:.2} roundings), gradient {steepest:.1e} ({:.2})",
            largest / rounding,
            steepest / rounding
        );
        assert!(largest <= VALUE_ROUNDINGS * rounding, "{dtype:?}: a value is off by {largest:.1e}");
        assert!(steepest <= GRADIENT_ROUNDINGS * rounding, "{dtype:?}: a gradient is off by {steepest:.1e}");
    }
}

/// How many roundings of an embedding a value and a gradient (by its norm) may be off. The golden losses come to 0.21 and 7.9: near-parallel
/// embeddings have small gradients, the differences of large ones.
const VALUE_ROUNDINGS: f64 = 0.5;
const GRADIENT_ROUNDINGS: f64 = 10.0;

#[test]
fn losses_are_those_of_the_rounded_embeddings_in_f32() {
    for (dtype, _) in ROUNDINGS {
        for GoldenLoss { name, objective, views, embeddings, shape, .. } in golden_losses() {
            let embeddings = Tensor::<B, 2>::from_data(TensorData::new(embeddings, shape), &Default::default());
            let rounded = embeddings.cast(dtype);
            for generic in [false, true] {
                let (value, gradient) = of(&objective, generic, &rounded, views);
                let (expected, exact) = of(&objective, generic, &rounded.clone().cast(FloatDType::F32), views);
                assert_eq!(value, expected, "{name}");
                let exact: Vec<f64> = exact.iter().map(|x| x * SCALE).collect();
                let exact = TensorData::new(exact, rounded.dims());
                let exact = Tensor::<Flex, 2>::from_data(exact, &Default::default()).cast(dtype);
                assert_eq!(gradient, numbers(exact, 1.0 / SCALE), "{name}");
            }
        }
    }
}

#[test]
fn terms_by_themselves_are_f32_too() {
    let rows: Vec<f32> = (0..48).map(|i| ((i * 37 % 29) as f32 - 14.0) / 7.0).collect();
    let embeddings = Tensor::<B, 2>::from_data(TensorData::new(rows, [12, 4]), &Default::default());
    for (dtype, _) in ROUNDINGS {
        let half = embeddings.clone().cast(dtype);
        let single = half.clone().cast(FloatDType::F32);
        let same = |found: Tensor<B, 1>, expected: Tensor<B, 1>| {
            assert_eq!(FloatDType::from(found.dtype()), FloatDType::F32);
            assert_eq!(numbers(found, 1.0), numbers(expected, 1.0));
        };
        let sparse = SparseClrConfig::new().init();
        same(sparse.forward(half.clone(), Views::PAIR).unwrap(), sparse.forward(single.clone(), Views::PAIR).unwrap());
        let qare = Qare::default();
        same(qare.forward(half.clone(), Views::PAIR).unwrap(), qare.forward(single.clone(), Views::PAIR).unwrap());
        let similarities = Similarity::FlooredCosine.matrix(Views::PAIR.sets(single).unwrap()).cast(dtype);
        let expected = qare.forward_similarities(similarities.clone().cast(FloatDType::F32)).unwrap();
        same(qare.forward_similarities(similarities).unwrap(), expected);
    }
}
