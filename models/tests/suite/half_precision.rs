//! Networks on input of f16 and bf16: how far they are from f32, and what stays f32.

use burn::backend::Autodiff;
use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, FloatDType, Tensor};
use burn_flex::Flex;
use qare_models::{
    Backbone, BackboneName, BatchNorm, DiscriminatorsConfig, LinearClassifierConfig, ProjectionHeadConfig,
    RelationHeadConfig, named_tensors,
};

use crate::golden_backbone::{first_conv, golden_files, relative_error, values};
use crate::numbers::{noise, tensor};

type B = Autodiff<Flex>;
type Images = Tensor<B, 4>;

const HALVES: [FloatDType; 2] = [FloatDType::F16, FloatDType::BF16];

/// Keeps gradients of f16 from being cut off at 6e-8.
const SCALE: f64 = 65_536.0;

/// What outputs in evaluation and in training may be off the reference's f32, relative, by the norm. Measured: f16 7.8e-4 and 6.3e-4, bf16
/// 6.2e-3 and 4.5e-3; 5.5e-3 and 4.4e-2 in the training of resnet18, whose last layers have eight values of a channel to normalise.
fn tolerances(dtype: FloatDType, deep: bool) -> [f64; 2] {
    let training = if deep { 8e-3 } else { 1e-3 };
    let eight = if dtype == FloatDType::BF16 { 8.0 } else { 1.0 };
    [1e-3 * eight, training * eight]
}

/// How many times as far off as by rounding the images alone, all else being f32, gradients may be. Measured: 2.3 at most.
///
/// That rounding takes them 0.05 to 0.06 off in f16, and 0.12 to 0.18 in bf16: a ReLU whose input is rounded to the other side of zero
/// switches gradients on or off, whatever they are computed in.
const GRADIENT_FACTOR: f64 = 3.0;

/// Output in training, and the gradients of mean(output²).
fn trained(
    backbone: &Backbone<B>,
    images: Images,
    forward: impl Fn(Images) -> Images,
) -> (Tensor<B, 2>, [Vec<f32>; 2]) {
    let images = images.detach().require_grad();
    let output = backbone.forward(forward(images.clone()));
    let gradients = (output.clone().cast(FloatDType::F32).powi_scalar(2).mean() * SCALE).backward();
    let found = [first_conv(backbone).grad(&gradients).unwrap(), images.grad(&gradients).unwrap()];
    assert!(found.iter().all(|gradient| gradient.dtype() == DType::F32));
    (output, found.map(|gradient| values(gradient / SCALE)))
}

#[test]
fn golden_backbones_are_met_to_the_digits_of_the_type() {
    for golden in golden_files() {
        for dtype in HALVES {
            let backbone: Backbone<B> = golden.backbone();
            let images: Tensor<Flex, 4> = golden.input(&Default::default());
            let eval = backbone.valid().forward(images.cast(dtype));
            let images: Images = golden.input(&Default::default());
            let (output, gradients) = trained(&backbone, images.clone(), |images| images.cast(dtype));
            assert_eq!([eval.dtype(), output.dtype()], [DType::from(dtype); 2]);

            let case = format!("{dtype:?} {}", golden.label);
            let tolerances = tolerances(dtype, golden.label.contains("resnet18"));
            let outputs = [("output_eval", values(eval)), ("output_train", values(output))];
            for ((name, found), tolerance) in outputs.into_iter().zip(tolerances) {
                let error = relative_error(&found, golden.values(name));
                println!("{case} {name}: {error:.1e}");
                assert!(error <= tolerance, "{case}: {name} is off by {error:.1e}");
            }
            let rounded = |images: Images| images.cast(dtype).cast(FloatDType::F32);
            let (_, of_rounded) = trained(&backbone, images, rounded);
            for (at, name) in ["grad_first_conv", "grad_input"].into_iter().enumerate() {
                let [error, allowed] =
                    [&gradients, &of_rounded].map(|gradients| relative_error(&gradients[at], golden.values(name)));
                println!("{case} {name}: {error:.1e}, and {allowed:.1e} of rounded images");
                assert!(error <= GRADIENT_FACTOR * allowed, "{case}: {name} is off by {error:.1e}, not {allowed:.1e}");
            }
        }
    }
}

#[test]
fn batch_norm_is_that_of_the_rounded_input_in_f32() {
    let (shape, count) = ([6, 3, 5, 4], 6 * 3 * 5 * 4);
    // A mean far from 0, on which a variance in half precision would have no digit left.
    let x: Vec<f64> = noise(count, 1).iter().map(|x| 100.0 + x).collect();
    let weights: Images = tensor(&noise(count, 2), shape);
    for dtype in HALVES {
        let rounded = tensor::<B, 4>(&x, shape).cast(dtype);
        let step = |input: Images| {
            let input = input.detach().require_grad();
            let layer = BatchNorm::<B>::new(3, &Default::default());
            let output = layer.forward(input.clone());
            assert_eq!(output.dtype(), input.dtype());
            // What comes out is rounded either way.
            let output = output.cast(dtype);
            let gradients = (output.clone().cast(FloatDType::F32) * weights.clone()).sum().backward();
            let parameters = [&layer.weight, &layer.bias].map(|param| values(param.val().grad(&gradients).unwrap()));
            let of_input = values(input.grad(&gradients).unwrap().cast(dtype));
            let valid = layer.valid();
            let state = [valid.running_mean.value(), valid.running_var.value()].map(values);
            let evaluated = values(valid.forward(input.inner()).cast(dtype));
            (values(output), parameters, of_input, state, evaluated)
        };
        assert_eq!(step(rounded.clone()), step(rounded.cast(FloatDType::F32)), "{dtype:?}");
    }
}

/// The types of all gradients of a module's parameters.
struct GradientTypes<'a, A: AutodiffBackend>(&'a A::Gradients, Vec<DType>);

impl<A: AutodiffBackend> ModuleVisitor<A> for GradientTypes<'_, A> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<A, D>>) {
        self.1.extend(param.val().grad(self.0).map(|gradient| gradient.dtype()));
    }
}

/// A module's output follows its input, and its gradients do not; and it is near what f32 makes of the same: measured, 9.4e-4 off in f16
/// and 1.1e-2 in bf16 at most, and 3.4e-3 and 2.8e-2 for resnet18.
fn follows<M: AutodiffModule<B>, const I: usize, const D: usize>(
    module: &M,
    input: Tensor<B, I>,
    forward: impl Fn(&M, Tensor<B, I>) -> Tensor<B, D>,
    what: &str,
) {
    let expected = values(forward(module, input.clone()));
    for dtype in HALVES {
        let output = forward(module, input.clone().cast(dtype));
        assert_eq!(output.dtype(), DType::from(dtype), "{what}");
        let error = relative_error(&values(output.clone()), &expected);
        let tolerance = if dtype == FloatDType::F16 { 8e-3 } else { 6e-2 };
        assert!(error <= tolerance, "{dtype:?} {what} is off by {error:.1e}");
        let gradients = output.cast(FloatDType::F32).sum().backward();
        let mut types = GradientTypes::<B>(&gradients, Vec::new());
        module.visit(&mut types);
        assert!(!types.1.is_empty() && types.1.iter().all(|dtype| *dtype == DType::F32), "{what}: {:?}", types.1);
    }
    let state = named_tensors(&module.valid(), "");
    assert!(state.iter().all(|tensor| tensor.values.iter().all(|value| value.is_finite())), "{what}");
}

#[test]
fn every_network_follows_the_type_of_its_input() {
    let device = Default::default();
    let images = || tensor::<B, 4>(&noise(4 * 3 * 64 * 64, 1), [4, 3, 64, 64]);
    for name in [BackboneName::Conv4, BackboneName::Resnet8, BackboneName::Resnet18] {
        let backbone = name.init::<B>(1, &device);
        follows(&backbone, images(), |net, images| net.forward(images), name.as_str());
        follows(&backbone, images(), |net, images| net.forward_with_maps(images).0, &format!("maps of {name}"));
    }
    let rows = || tensor::<B, 2>(&noise(16 * 24, 2), [16, 24]);
    follows(&ProjectionHeadConfig::new(24).init(1, &device), rows(), |net, rows| net.forward(rows), "head");
    follows(&RelationHeadConfig::new(24).init(1, &device), rows(), |net, rows| net.forward(rows), "relation head");
    follows(&LinearClassifierConfig::new(24, 5).init(1, &device), rows(), |net, rows| net.forward(rows), "classifier");

    let discriminators = DiscriminatorsConfig::new(24, 8).with_global(true).init::<B>(1, &device);
    let maps = tensor::<B, 4>(&noise(16 * 8 * 20 * 20, 3), [16, 8, 20, 20]);
    let local = |net: &qare_models::Discriminators<B>, rows: Tensor<B, 2>| {
        net.local_d.as_ref().unwrap().forward(rows.clone(), maps.clone().cast(rows.dtype()))
    };
    let global = |net: &qare_models::Discriminators<B>, rows: Tensor<B, 2>| {
        net.global_d.as_ref().unwrap().forward(rows.clone(), maps.clone().cast(rows.dtype()))
    };
    let prior = |net: &qare_models::Discriminators<B>, rows: Tensor<B, 2>| net.prior_d.as_ref().unwrap().logits(rows);
    follows(&discriminators, rows(), local, "local discriminator");
    follows(&discriminators, rows(), global, "global discriminator");
    follows(&discriminators, rows(), prior, "prior discriminator");
}
