//! Heads that the CPU backends compute by kernels, against their layers one by one.

use burn::backend::Autodiff;
use burn::module::AutodiffModule;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{ProjectionHeadConfig, RelationHeadConfig};

use crate::cpu_blocks::{ByLayers, Figures, assert_same, running_statistics, with_gradients};
use crate::numbers::{noise, tensor, values};

/// So few rows have no kernel in evaluation, where there is no checkpointing strategy to choose the layers by.
const FEW: usize = 15;
const ALL: usize = usize::MAX;

/// Output, gradients of Σ output·weights, running statistics, and the output in evaluation of so many rows `at_a_time`.
fn step<B: AutodiffBackend, M: AutodiffModule<B>>(
    head: &M,
    forward: impl Fn(&M, Tensor<B, 2>) -> Tensor<B, 2>,
    evaluate: impl Fn(&M::InnerModule, Tensor<B::InnerBackend, 2>) -> Tensor<B::InnerBackend, 2>,
    shape: [usize; 2],
    (tracked, at_a_time): (bool, usize),
) -> Figures {
    let rows: Tensor<B, 2> = tensor(&noise(shape[0] * shape[1], 7), shape);
    let rows = if tracked { rows.require_grad() } else { rows };
    let out = forward(head, rows.clone());
    let weights: Tensor<B, 2> = tensor(&noise(out.shape().num_elements(), 8), out.dims());
    let gradients = (out.clone() * weights).sum().backward();
    let mut figures = with_gradients(vec![("output".into(), values(out))], head, &gradients);
    assert_eq!(rows.grad(&gradients).is_some(), tracked);
    figures.extend(rows.grad(&gradients).map(|gradient| ("gradient of the rows".into(), values(gradient))));
    let valid = head.valid();
    figures.extend(running_statistics(&valid));
    let rows: Tensor<B::InnerBackend, 2> = tensor(&noise(shape[0] * shape[1], 9), shape);
    let parts = rows.split(at_a_time, 0).into_iter();
    let outputs = parts.flat_map(|rows| values(evaluate(&valid, rows)));
    figures.push(("output in evaluation".into(), outputs.collect()));
    figures
}

fn projection<B: AutodiffBackend>(count: usize, sizes: [usize; 3], how: (bool, usize)) -> Figures {
    let [input, hidden, output] = sizes;
    let head =
        ProjectionHeadConfig::new(input).with_hidden(hidden).with_output(output).init::<B>(3, &Default::default());
    step(&head, |head, rows| head.forward(rows), |head, rows| head.forward(rows), [count, input], how)
}

fn relation<B: AutodiffBackend>(count: usize, [input, hidden]: [usize; 2], at_a_time: usize) -> Figures {
    let head = RelationHeadConfig::new(input).with_hidden(hidden).init::<B>(3, &Default::default());
    step(&head, |head, rows| head.forward(rows), |head, rows| head.forward(rows), [count, input], (true, at_a_time))
}

/// The gradient of a bias before batch normalisation is zero but for rounding: only its size is compared.
fn without_first_bias(figures: Figures) -> Figures {
    let (first, others): (Figures, Figures) = figures.into_iter().partition(|(name, _)| name == "gradient 2");
    let [(_, bias)] = &first[..] else { panic!("the gradient of a bias") };
    assert!(bias.iter().all(|gradient| gradient.abs() < 1e-4), "the gradient of the first bias");
    others
}

fn compare<B: AutodiffBackend>(backend: &str) {
    // Few rows, whole and part groups of rows, and sizes that are no whole vectors in one place or another.
    for count in [2, 15, 16, 100, 257] {
        for sizes in [[64, 256, 64], [8, 16, 24], [512, 64, 16], [20, 64, 64], [64, 30, 64], [64, 64, 10]] {
            let what = format!("{backend}, {count} rows, projection head of {sizes:?}");
            let expected = without_first_bias(projection::<ByLayers>(count, sizes, (true, FEW)));
            let found = without_first_bias(projection::<B>(count, sizes, (true, ALL)));
            // Two rows are normalised to about ±1, whatever the digits of their difference.
            let tolerance = if count == 2 { 5e-3 } else { 2e-5 };
            assert_same(&found, &expected, tolerance, &what);

            let untracked = without_first_bias(projection::<B>(count, sizes, (false, ALL)));
            let found = found.into_iter().filter(|(name, _)| name != "gradient of the rows").collect();
            assert_same(&untracked, &found, 0.0, &format!("{what}: rows without gradients"));
        }
        let what = format!("{backend}, {count} rows, relation head");
        let expected = without_first_bias(relation::<ByLayers>(count, [128, 256], FEW));
        let tolerance = if count == 2 { 5e-3 } else { 2e-5 };
        assert_same(&without_first_bias(relation::<B>(count, [128, 256], ALL)), &expected, tolerance, &what);
    }
}

#[test]
fn flex_computes_what_the_layers_do() {
    compare::<Autodiff<Flex>>("flex");
}

#[test]
fn ndarray_computes_what_the_layers_do() {
    compare::<Autodiff<NdArray>>("ndarray");
}
