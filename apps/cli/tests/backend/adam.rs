//! Steps of Adam on the backend of this build. On a GPU kernels take them for many tensors at once.

use burn::backend::Autodiff;
use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, Tensor, TensorData};
use qare_lab::training::optimizer::{ModelOptimizer, Rule, with_stable_ids};

use super::Plain;

type Training = Autodiff<Plain>;

/// Vectors and a matrix, the first of which has gradients in some steps only.
#[derive(Module, Debug)]
struct Model<B: Backend> {
    vectors: Vec<Param<Tensor<B, 1>>>,
    matrix: Param<Tensor<B, 2>>,
}

const ROWS: usize = 5;
const RATE: f64 = 0.01;
const STEPS: usize = 6;
/// The tensor whose gradient is one number that is repeated.
const OF_ONE_NUMBER: usize = 5;

/// Lengths of the vectors: more tensors than a kernel takes, and one with more numbers than it has units.
fn lengths() -> Vec<usize> {
    (0..70).map(|index| 1 + (index * 37) % 91).chain([300_001]).collect()
}

/// Numbers that differ between tensors and steps, of sizes from 1e-4 to 1, and zero.
fn numbers(tensor: usize, step: usize, length: usize) -> Vec<f32> {
    let number = |at: usize| {
        let wave = ((at * 31 + tensor * 17 + step * 7) as f32 * 0.7).sin();
        if (at + step) % 11 == 3 { 0.0 } else { wave * 10f32.powi(-((at % 5) as i32)) }
    };
    (0..length).map(number).collect()
}

fn has_gradient(tensor: usize, step: usize) -> bool {
    tensor != 0 || step % 3 == 1
}

/// A tensor and its moments in f64.
struct Oracle {
    weights: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
    steps: i32,
}

impl Oracle {
    fn new(weights: Vec<f32>) -> Self {
        let zeros = vec![0.0; weights.len()];
        Self { weights: weights.into_iter().map(f64::from).collect(), mean: zeros.clone(), square: zeros, steps: 0 }
    }

    /// Adam as Kingma and Ba write it, with L2 regularisation.
    fn step(&mut self, gradient: &[f32], rate: f64, weight_decay: f64) {
        let (beta_1, beta_2) = (0.9f64, 0.999f64);
        self.steps += 1;
        for (at, gradient) in gradient.iter().enumerate() {
            let gradient = f64::from(*gradient) + weight_decay * self.weights[at];
            self.mean[at] = beta_1 * self.mean[at] + (1.0 - beta_1) * gradient;
            self.square[at] = beta_2 * self.square[at] + (1.0 - beta_2) * gradient * gradient;
            let mean = self.mean[at] / (1.0 - beta_1.powi(self.steps));
            let square = self.square[at] / (1.0 - beta_2.powi(self.steps));
            self.weights[at] -= rate * mean / (square.sqrt() + 1e-8);
        }
    }
}

/// The bias correction in f32 has errors of at most 512 units of 2⁻²⁴ (`bias_correction.rs`), 3.1e-5 of a step, and a step is at most three rates
/// long here. Each step also rounds the weights, by at most 2⁻²⁴ of numbers up to 1. So 1e-4 of a rate for each step is enough.
#[test]
fn steps_agree_with_f64() {
    #[cfg(feature = "gpu")]
    qare_models::use_kernels::<Plain>();
    let device = Default::default();
    let lengths = lengths();
    let cases: [(f32, &[usize]); 3] = [(0.0, &[]), (0.01, &[4]), (0.0, &[1, 2, 5, 6])];
    for (weight_decay, conditional) in cases {
        let rule = Rule::Adam { weight_decay };
        let vector = |(tensor, length): (usize, &usize)| {
            Param::from_data(TensorData::new(numbers(tensor, 0, *length), [*length]), &device)
        };
        let matrix = TensorData::new(numbers(lengths.len(), 0, ROWS * 3), [ROWS, 3]);
        let vectors = lengths.iter().enumerate().map(vector).collect();
        let mut model = with_stable_ids(Model::<Training> { vectors, matrix: Param::from_data(matrix, &device) });
        let all_lengths = || lengths.iter().copied().chain([ROWS * 3]).enumerate();
        let mut oracles: Vec<_> =
            all_lengths().map(|(tensor, length)| Oracle::new(numbers(tensor, 0, length))).collect();

        let mut optimizer = ModelOptimizer::new(rule);
        for step in 1..=STEPS {
            // What others hold of the state does not change with it.
            let kept = (step % 2 == 0).then(|| (optimizer.clone(), optimizer.to_bytes(&model)));
            // Two calls with a rate each, as for a backbone and a head.
            for (rate, odd) in [(RATE, false), (RATE / 2.0, true)] {
                let mut gradients = GradientsParams::new();
                let in_call = |tensor: usize| has_gradient(tensor, step) && (tensor % 2 == 1) == odd;
                for (tensor, length) in all_lengths().filter(|(tensor, _)| in_call(*tensor)) {
                    let mut numbers = numbers(tensor, step, length);
                    if tensor == OF_ONE_NUMBER {
                        numbers = vec![numbers[0]; length];
                    }
                    oracles[tensor].step(&numbers, rate, f64::from(weight_decay));
                    let data = |numbers: Vec<f32>| TensorData::new(numbers, [length]);
                    match model.vectors.get(tensor) {
                        Some(param) if tensor == OF_ONE_NUMBER => {
                            let gradient = Tensor::<Plain, 1>::from_floats([numbers[0]], &device);
                            gradients.register(param.id, gradient.expand([length]));
                        }
                        Some(param) => {
                            gradients.register(param.id, Tensor::<Plain, 1>::from_data(data(numbers), &device));
                        }
                        None => {
                            // A gradient that does not lie row by row.
                            let columns = (0..length).map(|at| numbers[(at % ROWS) * 3 + at / ROWS]).collect();
                            let gradient = Tensor::<Plain, 1>::from_data(data(columns), &device).reshape([3, ROWS]);
                            gradients.register(model.matrix.id, gradient.transpose());
                        }
                    }
                }
                // The state moves between both kinds of steps.
                model = if conditional.contains(&step) {
                    let finite =
                        |finite: bool| Tensor::<Plain, 1, Bool>::from_bool(TensorData::from([finite]), &device);
                    // After the first step only, so that it is taken as in most runs.
                    if step > 1 {
                        let mut bad = GradientsParams::new();
                        for param in &model.vectors {
                            bad.register(param.id, Tensor::<Plain, 1>::full([param.dims()[0]], f32::NAN, &device));
                        }
                        model = optimizer.step_if(&finite(false), rate, model, bad);
                    }
                    optimizer.step_if(&finite(true), rate, model, gradients)
                } else {
                    optimizer.step(rate, model, gradients)
                };
            }
            if let Some((kept, bytes)) = kept {
                assert!(bytes == kept.to_bytes(&model), "step {step} changed a state that something else holds");
            }
            if step == 3 {
                let bytes = optimizer.to_bytes(&model);
                optimizer = ModelOptimizer::new(rule).with_bytes(&bytes, &model, &device).expect("its own state");
                assert!(bytes == optimizer.to_bytes(&model), "a state that is loaded is the one that was saved");
            }
        }
        let values = |data: TensorData| data.to_vec::<f32>().expect("weights are of f32");
        let vectors = model.vectors.iter().map(|param| values(param.to_data()));
        let found: Vec<_> = vectors.chain([values(model.matrix.to_data())]).collect();
        assert!(model.matrix.is_require_grad() && model.vectors[0].is_require_grad());
        let mut worst = 0.0f64;
        for (tensor, (found, oracle)) in found.iter().zip(&oracles).enumerate() {
            for (at, (found, expected)) in found.iter().zip(&oracle.weights).enumerate() {
                let error = (f64::from(*found) - expected).abs();
                worst = worst.max(error);
                let allowed = STEPS as f64 * RATE * 1e-4;
                assert!(error <= allowed, "tensor {tensor}, number {at}: {found} instead of {expected}");
            }
        }
        println!("weight decay {weight_decay}, conditional steps {conditional:?}: off by at most {worst:.1e}");
    }
}
