//! Batch normalisation against PyTorch's rule written out.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use burn_flex::Flex;
use burn_ndarray::NdArray;
use qare_models::{BackboneName, BatchNorm, named_tensors};

use crate::numbers::{assert_close, noise, tensor, values};

/// The values of channel `c` in `[N, C, P]` data.
fn channel(data: &[f64], [n, c_all, p]: [usize; 3], c: usize) -> Vec<f64> {
    (0..n).flat_map(|i| (0..p).map(move |j| (i, j))).map(|(i, j)| data[(i * c_all + c) * p + j]).collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

fn squares(x: &[f64]) -> f64 {
    let m = mean(x);
    x.iter().map(|v| (v - m) * (v - m)).sum()
}

/// Training output and running statistics over several batches of rank `D`, against the rule.
fn follows_the_rule<B: AutodiffBackend, const D: usize>(shape: [usize; D], offset: f64, spread: f64, tolerance: f64) {
    let device = Default::default();
    let [n, c_all] = [shape[0], shape[1]];
    let flat = [n, c_all, shape[2..].iter().product()];
    let mut layer = BatchNorm::<B>::new(c_all, &device);
    let gamma: Vec<f64> = (0..c_all).map(|c| 0.5 + c as f64).collect();
    let beta: Vec<f64> = (0..c_all).map(|c| c as f64 - 1.0).collect();
    layer.weight = Param::from_tensor(tensor(&gamma, [c_all]));
    layer.bias = Param::from_tensor(tensor(&beta, [c_all]));

    let mut running_mean = vec![0.0; c_all];
    let mut running_var = vec![1.0; c_all];
    for batch in 0..4 {
        let x: Vec<f64> = noise(shape.iter().product(), batch)
            .into_iter()
            .map(|v| offset + spread * v)
            // What the backend sees.
            .map(|v| f64::from(v as f32))
            .collect();
        let y = values(layer.forward(tensor::<B, D>(&x, shape)));

        for c in 0..c_all {
            let x = channel(&x, flat, c);
            let count = x.len() as f64;
            let std = (squares(&x) / count + 1e-5).sqrt();
            let expected: Vec<f64> = x.iter().map(|v| (v - mean(&x)) / std * gamma[c] + beta[c]).collect();
            assert_close(&channel(&y, flat, c), &expected, tolerance, "output");
            running_mean[c] = 0.9 * running_mean[c] + 0.1 * mean(&x);
            running_var[c] = 0.9 * running_var[c] + 0.1 * squares(&x) / (count - 1.0);
        }

        // Seen by a visitor at once, and the same in the evaluation copy.
        let state = named_tensors(&layer, "");
        assert_eq!(state, named_tensors(&layer.valid(), ""));
        let state = |name: &str| -> Vec<f64> {
            let found = state.iter().find(|t| t.name == name).unwrap();
            found.values.iter().map(|v| f64::from(*v)).collect()
        };
        assert_close(&state("running_mean"), &running_mean, tolerance, "mean");
        assert_close(&state("running_var"), &running_var, tolerance, "var");
        assert_eq!(state("num_batches_tracked"), [(batch + 1) as f64]);
    }

    let x = noise(shape.iter().product(), 9);
    let y = values(layer.valid().forward(tensor::<B::InnerBackend, D>(&x, shape)));
    for c in 0..c_all {
        let expected: Vec<f64> = channel(&x, flat, c)
            .iter()
            .map(|v| (v - running_mean[c]) / (running_var[c] + 1e-5).sqrt() * gamma[c] + beta[c])
            .collect();
        let scale = 1.0 + offset.abs();
        assert_close(&channel(&y, flat, c), &expected, tolerance * scale, "eval");
    }
}

#[test]
fn follows_pytorch_s_rule_on_images() {
    follows_the_rule::<Autodiff<Flex>, 4>([5, 3, 4, 6], 0.3, 2.0, 1e-5);
    follows_the_rule::<Autodiff<NdArray>, 4>([5, 3, 4, 6], 0.3, 2.0, 1e-5);
    follows_the_rule::<Autodiff<Flex>, 4>([2, 4, 1, 1], 0.3, 2.0, 1e-5);
}

#[test]
fn follows_pytorch_s_rule_on_vectors() {
    follows_the_rule::<Autodiff<Flex>, 2>([7, 5], -0.2, 1.5, 1e-5);
    follows_the_rule::<Autodiff<NdArray>, 2>([7, 5], -0.2, 1.5, 1e-5);
    follows_the_rule::<Autodiff<Flex>, 3>([4, 2, 9], -0.2, 1.5, 1e-5);
}

/// A mean far above the deviation must not drown it.
#[test]
fn a_large_mean_leaves_the_variance_intact() {
    follows_the_rule::<Autodiff<Flex>, 4>([16, 2, 16, 16], 100.0, 1.7, 2e-4);
    follows_the_rule::<Autodiff<NdArray>, 4>([16, 2, 16, 16], 100.0, 1.7, 2e-4);
}

#[test]
#[should_panic(expected = "more than one value per channel")]
fn one_value_has_no_variance() {
    let layer = BatchNorm::<Autodiff<Flex>>::new(3, &Default::default());
    layer.forward(tensor::<_, 2>(&[1.0, 2.0, 3.0], [1, 3]));
}

#[test]
#[should_panic(expected = "channels of the input")]
fn channels_must_match() {
    let layer = BatchNorm::<Flex>::new(3, &Default::default());
    layer.forward(tensor::<_, 2>(&[1.0, 2.0], [1, 2]));
}

#[test]
fn a_clone_shares_statistics_and_valid_does_not() {
    let layer = BatchNorm::<Autodiff<Flex>>::new(2, &Default::default());
    let evaluated = layer.valid();
    let before = named_tensors(&evaluated, "");
    layer.clone().forward(tensor::<_, 2>(&noise(8, 5), [4, 2]));
    assert_ne!(named_tensors(&layer, ""), before);
    assert_eq!(named_tensors(&evaluated, ""), before);
}

/// A frozen backbone computes in training what it computes in evaluation, keeps its statistics, and differentiates everything but batch
/// normalisation.
#[test]
fn a_frozen_backbone_trains_without_batch_normalisation() {
    type B = Autodiff<Flex>;
    for name in [BackboneName::Conv4, BackboneName::Resnet8, BackboneName::Resnet18] {
        let device = Default::default();
        let images = || tensor::<B, 4>(&noise(4 * 3 * 32 * 32, 1), [4, 3, 32, 32]);
        let backbone = name.init::<B>(3, &device);
        // Statistics other than the initial ones.
        backbone.forward(images());
        let expected = values(backbone.valid().forward(images().inner()));
        let frozen = backbone.clone().with_frozen_batch_norm();
        let before = named_tensors(&frozen, "");
        let features = frozen.forward(images());
        assert_close(&values(features.clone()), &expected, 1e-5, "features");
        assert_eq!(named_tensors(&frozen, ""), before, "{name}: statistics change");
        assert_close(&values(frozen.valid().forward(images().inner())), &expected, 1e-5, "features in evaluation");

        let gradients = GradientsParams::from_grads(features.powf_scalar(2.0).sum().backward(), &frozen);
        let mut counted = Counted { gradients: &gradients, of_vectors: 0, of_kernels: 0, kernels: 0 };
        frozen.visit(&mut counted);
        assert_eq!(counted.of_kernels, counted.kernels, "{name}: a convolution has no gradient");
        // The last layer of a CIFAR ResNet is linear, with a bias.
        assert_eq!(counted.of_vectors, usize::from(name == BackboneName::Resnet8), "{name}");
    }
}

/// Counts parameters with gradients: vectors, which are those of batch normalisation and biases, and kernels.
struct Counted<'a> {
    gradients: &'a GradientsParams,
    of_vectors: usize,
    of_kernels: usize,
    kernels: usize,
}

impl ModuleVisitor<Autodiff<Flex>> for Counted<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Autodiff<Flex>, D>>) {
        let has_gradient = self.gradients.get::<Flex, D>(param.id).is_some();
        match D {
            1 => self.of_vectors += usize::from(has_gradient),
            _ => {
                self.kernels += 1;
                self.of_kernels += usize::from(has_gradient);
            }
        }
    }
}
