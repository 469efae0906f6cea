//! The oracle's gradients against central differences of its own forward pass, so that two wrong formulas cannot agree.

use std::collections::BTreeSet;

use crate::approx::Approx;
use crate::cases::{Case, Inputs, small};
use crate::oracle::{self, Forward, Gradients};

/// images, weights, γ, β, residual
type Point = [Vec<f64>; 5];

/// Everything on the way to the output, in f64.
struct Pass {
    maps: Vec<f64>,
    mean: Vec<f64>,
    variance: Vec<f64>,
    activated: Vec<f64>,
    output: Vec<f64>,
}

fn values(of: Vec<Approx>) -> Vec<f64> {
    of.into_iter().map(|of| of.value).collect()
}

fn pass(case: &Case, [images, weights, gamma, beta, residual]: &Point) -> Pass {
    let maps = values(oracle::convolve(case, images, weights));
    let [mean, variance] = oracle::statistics(case, &maps).map(values);
    let residual = case.residual.then_some(&residual[..]);
    let activated = oracle::activate(case, &maps, [&mean, &variance, gamma, beta], residual);
    let output = values(oracle::pool(case, &activated));
    Pass { maps, mean, variance, activated: values(activated), output }
}

fn formula(case: &Case, point: &Point, of_output: &[f64]) -> [Vec<f64>; 5] {
    let Pass { maps, mean, variance, activated, .. } = pass(case, point);
    let [images, weights, gamma, beta, _] = point;
    let forward = Forward {
        images,
        weights,
        gamma,
        beta,
        maps: &maps,
        mean: &mean,
        variance: &variance,
        activated: Some(&activated),
    };
    let Gradients { images, weights, gamma, beta, residual } = oracle::gradients(case, &forward, of_output);
    [images, weights, gamma, beta, if case.residual { residual } else { Vec::new() }].map(values)
}

/// Step of the differences.
const H: f64 = 1e-4;

#[test]
fn gradients_by_formula_are_those_of_the_forward_pass() {
    let (mut checked, mut at_kinks) = (0, 0);
    let mut epilogues = BTreeSet::new();
    for (seed, case) in small().iter().enumerate().filter(|(_, case)| case.values_per_channel() < 100).step_by(3) {
        epilogues.insert((format!("{:?}", case.pool), case.relu, case.residual));
        let given = Inputs::new(case, seed as u64);
        let f64s = |values: &[f32]| -> Vec<f64> { values.iter().map(|value| f64::from(*value)).collect() };
        let residual = given.residual.as_deref().unwrap_or_default();
        let mut point = [&given.images, &given.weights, &given.gamma, &given.beta, residual].map(f64s);
        let of_output = f64s(&given.of_output);
        let gradients = formula(case, &point, &of_output);
        let magnitude: f64 = pass(case, &point).output.iter().zip(&of_output).map(|(o, w)| (o * w).abs()).sum();

        for array in 0..point.len() {
            assert_eq!(gradients[array].len(), point[array].len());
            // Some places of each array, spread over it.
            let step = point[array].len().div_ceil(3).max(1);
            for at in (0..point[array].len()).step_by(step) {
                let value = point[array][at];
                let mut passes = [-2.0, -1.0, 1.0, 2.0].map(|steps| {
                    point[array][at] = value + steps * H;
                    pass(case, &point)
                });
                point[array][at] = value;
                let mask = |pass: &Pass| -> Vec<bool> { pass.activated.iter().map(|value| *value > 0.0).collect() };
                let masks = passes.each_ref().map(mask);
                if case.relu && masks.iter().any(|mask| *mask != masks[0]) {
                    at_kinks += 1;
                    continue;
                }
                checked += 1;
                let [far_below, below, above, far_above] =
                    passes.each_mut().map(|pass| pass.output.iter().zip(&of_output).map(|(o, w)| o * w).sum::<f64>());
                let (near, far) = ((above - below) / (2.0 * H), (far_above - far_below) / (4.0 * H));
                // The error of a difference grows as H²: that of `far` is four times that of `near`, and so their distance three
                // times. Rounding adds the error of a sum in f64.
                let tolerance = (near - far).abs() + 1e-13 * (magnitude + 1.0) / H;
                let found = gradients[array][at];
                assert!(
                    (found - near).abs() <= tolerance,
                    "{case:?}: array {array}, value {at}: {found} by formula, {near} by differences, tolerance {tolerance:e}"
                );
            }
        }
    }
    assert!(checked > 500 && at_kinks < checked / 10, "{checked} values checked, {at_kinks} at kinks");
    // Three kinds of pooling, with and without ReLU and residual.
    assert_eq!(epilogues.len(), 12, "{epilogues:?}");
}
