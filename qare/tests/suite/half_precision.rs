//! Embeddings of f16 and bf16: the objectives are those of the rounded embeddings in f32, to the last bit.

use burn::backend::Autodiff;
use burn::tensor::{FloatDType, Tensor, TensorData};
use burn_flex::Flex;
use qare::{ContrastiveObjective, Qare, Similarity, SparseClrConfig, Views, sparsemax, sparsemax_support};

use crate::golden::{self, GoldenLoss, ROUNDINGS, golden_losses};

type B = Autodiff<Flex>;

/// With which gradients are made: those of f16 would be cut off at 6e-8.
const SCALE: f64 = 1024.0;

/// Value and gradient of an objective, and whether their types are f32 and the embeddings'.
pub fn of(
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

#[test]
fn golden_losses_are_met_but_for_the_rounding_of_embeddings() {
    for (dtype, _) in ROUNDINGS {
        golden::losses_in_half_precision::<B>(dtype, golden::SINGLE);
    }
}

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
        let sparse = SparseClrConfig::new().init().unwrap();
        same(sparse.forward(half.clone(), Views::PAIR).unwrap(), sparse.forward(single.clone(), Views::PAIR).unwrap());
        let qare = Qare::default();
        same(qare.forward(half.clone(), Views::PAIR).unwrap(), qare.forward(single.clone(), Views::PAIR).unwrap());
        let similarities = Similarity::FlooredCosine.matrix(Views::PAIR.sets(single).unwrap()).cast(dtype);
        let expected = qare.forward_similarities(similarities.clone().cast(FloatDType::F32)).unwrap();
        same(qare.forward_similarities(similarities).unwrap(), expected);
    }
}

#[test]
fn parts_of_objectives_are_computed_in_f32_and_given_back_as_they_came() {
    for (dtype, rounding) in ROUNDINGS {
        let mut rows: Vec<f32> = (0..400).map(|i| 0.5 + ((i * 37 % 29) as f32) * 1e-3).collect();
        rows[4..8].fill(0.0);
        let rows = Tensor::<Flex, 2>::from_data(TensorData::new(rows, [100, 4]), &Default::default()).cast(dtype);
        for similarity in [Similarity::Cosine, Similarity::FlooredCosine] {
            let matrix = similarity.matrix(rows.clone().unsqueeze());
            let exact = similarity.matrix(rows.clone().cast(FloatDType::F32).unsqueeze());
            assert_eq!(matrix.dtype(), rows.dtype());
            let off =
                numbers(matrix, 1.0).iter().zip(numbers(exact, 1.0)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off <= rounding, "{dtype:?}, {similarity:?}: off by {off}");
        }
        // Each probability is rounded, not the sum of hundreds of them.
        let long = rows.reshape([1, 400]);
        let sum: f64 = numbers(sparsemax(long.clone()), 1.0).iter().sum();
        assert!((sum - 1.0).abs() <= rounding, "{dtype:?}: {sum}");
        let support = sparsemax_support(long.clone());
        assert_eq!(support.dtype(), long.dtype());
        assert_eq!(numbers(support, 1.0), numbers(sparsemax_support(long.cast(FloatDType::F32)), 1.0));
    }
}
