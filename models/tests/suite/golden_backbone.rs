//! Backbones against the reference's PyTorch implementation: outputs and gradients in the golden
//! files `backbone_NAME.safetensors`, with the weights of `backbone_NAME.pt` or, where those would be large, with the
//! weights that a seed makes here.
//!
//! The files are those of `QARE_GOLDEN_DIR`, else of `tests/golden`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::module::AutodiffModule;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use qare_models::{Backbone, BackboneName, load_pytorch, parameter_count};
use safetensors::SafeTensors;

const OUTPUT_TOLERANCE: f64 = 1e-4;
const GRADIENT_TOLERANCE: f64 = 1e-3;

pub struct Golden {
    pub label: String,
    pub weights: Weights,
    pub name: BackboneName,
    pub parameters: usize,
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

pub enum Weights {
    /// A file of the reference.
    File(PathBuf),
    /// The weights of this seed, which the reference has loaded for its values.
    Seed(u64),
}

impl Golden {
    pub fn read(path: &Path) -> Self {
        let label = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(path).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let text = header.metadata().as_ref().expect("metadata");
        assert_eq!(text["kind"], "backbone", "{label}: kind");

        let tensors = SafeTensors::deserialize(&bytes)
            .unwrap()
            .iter()
            .map(|(name, view)| {
                assert_eq!(view.dtype(), safetensors::Dtype::F32, "{label}: {name}");
                let (chunks, _) = view.data().as_chunks::<4>();
                let values = chunks.iter().copied().map(f32::from_le_bytes).collect();
                (name.to_owned(), (view.shape().to_vec(), values))
            })
            .collect();
        Self {
            weights: match text.get("weights") {
                Some(name) => Weights::File(path.with_file_name(name)),
                None => Weights::Seed(text["seed"].parse().unwrap()),
            },
            name: text["backbone"].parse().unwrap(),
            parameters: text["params"].parse().unwrap(),
            tensors,
            label,
        }
    }

    pub fn values(&self, name: &str) -> &[f32] {
        &self.tensors[name].1
    }

    /// The backbone with the weights that the values are of.
    pub fn backbone<B: Backend>(&self) -> Backbone<B> {
        let device = Default::default();
        match &self.weights {
            Weights::File(path) => load_pytorch(self.name.init(0, &device), path, Some("backbone")).unwrap(),
            Weights::Seed(seed) => self.name.init(*seed, &device),
        }
    }

    pub fn input<B: Backend>(&self, device: &B::Device) -> Tensor<B, 4> {
        let (shape, values) = &self.tensors["input"];
        Tensor::from_data(TensorData::new(values.clone(), shape.clone()), device)
    }
}

/// The backbone files of the golden folder. A file of no known kind is an error: it would be one
/// that nothing tests.
pub fn golden_files() -> Vec<Golden> {
    let folder = std::env::var_os("QARE_GOLDEN_DIR").map_or_else(folder_beside, PathBuf::from);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();

    let mut golden = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy();
        match (name.split('_').next().unwrap(), path.extension()) {
            ("backbone", Some(end)) if end == "safetensors" => golden.push(Golden::read(&path)),
            ("backbone", Some(end)) if end == "pt" => {
                let of = path.with_extension("safetensors");
                assert!(of.exists(), "{}: weights of no golden file", path.display());
            }
            ("augment" | "heads" | "loss" | "qare", Some(end)) if end == "safetensors" => {}
            _ => panic!("{}: a golden file of unknown kind", path.display()),
        }
    }
    assert!(!golden.is_empty(), "{}: no backbone_*.safetensors", folder.display());
    golden
}

/// The committed files. The program's tests include this file of code, and may run where it was not compiled.
fn folder_beside() -> PathBuf {
    let beside =
        ["tests/golden", "../../models/tests/golden"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    beside.into_iter().find(|folder| folder.is_dir()).expect("the golden files are committed")
}

pub fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().unwrap()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}

/// ‖found − expected‖ / ‖expected‖
pub fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let difference = found.iter().zip(expected);
    norm(difference.map(|(f, e)| f64::from(*f) - f64::from(*e))) / norm(expected.iter().map(|e| f64::from(*e)))
}

/// The largest difference of two elements, in units of the largest expected value where that is
/// above 1: untrained deep networks have features in the ten thousands in evaluation, where an
/// f32's last bit is 4e-3.
fn largest_difference(found: &[f32], expected: &[f32]) -> f64 {
    let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let pairs = found.iter().zip(expected);
    largest(&mut pairs.map(|(f, e)| (f64::from(*f) - f64::from(*e)).abs()))
        / largest(&mut expected.iter().map(|e| f64::from(e.abs()))).max(1.0)
}

/// Fails if any of the strings tells of something. Every file is compared before: one run tells all, and all kernels are compiled.
fn assert_none(told: &[String]) {
    assert!(told.is_empty(), "{}", told.join("\n"));
}

pub fn check<B: AutodiffBackend>(backend: &str) {
    let device = Default::default();
    let mut off = Vec::new();
    for golden in golden_files() {
        let backbone: Backbone<B> = golden.backbone();
        assert_eq!(parameter_count(&backbone), golden.parameters, "{}: parameters", golden.label);

        let images = golden.input::<B::InnerBackend>(&device);
        let eval = values(backbone.valid().forward(images));

        let train = train_step(&backbone, golden.input(&device)).output;

        println!("{backend} {}", golden.label);
        for (name, found) in [("output_eval", &eval), ("output_train", &train)] {
            let expected = golden.values(name);
            let relative = relative_error(found, expected);
            let largest = largest_difference(found, expected);
            println!("  {name}: norm {relative:.1e}, largest {largest:.1e}");
            // Not where an error is NaN.
            let agrees = relative <= OUTPUT_TOLERANCE && largest <= OUTPUT_TOLERANCE;
            if !agrees {
                let label = &golden.label;
                off.push(format!("{backend} {label}: {name} is off by {relative:e} (norm), {largest:e} (largest)"));
            }
        }
        off.extend(compare_gradients(backend, &golden, &backbone).err());
    }
    assert_none(&off);
}

/// Where a ReLU's input is within rounding of zero, the gradient jumps by that unit's share, and which side a
/// computation lands on is its own rounding (the deepest network's gradients differ by 6e-3 between f32 and f64). So
/// they have to agree at the input itself or at one that differs by less than its last bits, all at the same one.
pub fn compare_gradients<B: AutodiffBackend>(
    backend: &str,
    golden: &Golden,
    backbone: &Backbone<B>,
) -> Result<(), String> {
    let mut tried = Vec::new();
    for by in [0.0, 2e-7, -2e-7, 5e-7, -5e-7, 1e-6, -1e-6] {
        let images = golden.input::<B>(&Default::default()) * (1.0 + by);
        let gradients = train_step(backbone, images).gradients;
        let errors: Vec<_> =
            gradients.iter().map(|(name, found)| (*name, relative_error(found, golden.values(name)))).collect();
        let told: Vec<String> = errors.iter().map(|(name, error)| format!("{name} {error:.1e}")).collect();
        let told = format!("at an input changed by {by:e}: {}", told.join(", "));
        println!("  gradients {told}");
        if errors.iter().all(|(_, error)| *error <= GRADIENT_TOLERANCE) {
            return Ok(());
        }
        tried.push(told);
    }
    Err(format!("{backend} {}: gradients are off: {}", golden.label, tried.join("; ")))
}

pub struct Trained {
    pub output: Vec<f32>,
    pub gradients: [(&'static str, Vec<f32>); 2],
}

/// Output in training and the gradients of mean(output²).
pub fn train_step<B: AutodiffBackend>(backbone: &Backbone<B>, images: Tensor<B, 4>) -> Trained {
    let images = images.detach().require_grad();
    let output = backbone.forward(images.clone());
    let gradients = output.clone().powi_scalar(2).mean().backward();
    Trained {
        output: values(output),
        gradients: [
            ("grad_first_conv", values(first_conv(backbone).grad(&gradients).unwrap())),
            ("grad_input", values(images.grad(&gradients).unwrap())),
        ],
    }
}

/// Keeps gradients of f16 from being cut off at 6e-8.
pub const SCALE: f64 = 65_536.0;

/// The rounding error r to expect of many numbers, relative to their norm: the root of a twelfth of the distance between two numbers squared
/// over the mean square of a number. From m = 1 to 2 numbers are 2⁻¹⁰ (bf16: 2⁻⁷) apart; with the logarithm of m uniform, the mean of m²
/// is 3/(2 log 2).
pub fn expected_rounding(dtype: FloatDType) -> f64 {
    let apart = if dtype == FloatDType::BF16 { 2f64.powi(-7) } else { 2f64.powi(-10) };
    apart / (12.0 * 1.5 / std::f64::consts::LN_2).sqrt()
}

/// The number of ReLUs in a row.
pub fn relus(name: BackboneName) -> f64 {
    match name {
        BackboneName::Conv4 => 4.0,
        BackboneName::Resnet18 => 17.0,
        BackboneName::Resnet34 => 33.0,
        BackboneName::Resnet50 => 49.0,
        other => other.as_str().strip_prefix("resnet").unwrap().parse::<f64>().unwrap() - 1.0,
    }
}

/// Output in training, and the gradients of mean(output²), of images as `forward` rounds them, with the loss times `scale` on the way back.
pub fn trained<B: AutodiffBackend>(
    backbone: &Backbone<B>,
    images: Tensor<B, 4>,
    scale: f64,
    forward: impl Fn(Tensor<B, 4>) -> Tensor<B, 4>,
) -> (Tensor<B, 2>, [Vec<f32>; 2]) {
    let images = images.detach().require_grad();
    let output = backbone.forward(forward(images.clone()));
    let gradients = (output.clone().cast(FloatDType::F32).powi_scalar(2).mean() * scale).backward();
    let found = [first_conv(backbone).grad(&gradients).unwrap(), images.grad(&gradients).unwrap()];
    assert!(found.iter().all(|gradient| gradient.dtype() == DType::F32));
    (output, found.map(|gradient| values(gradient / scale)))
}

/// How many times as far off as expected values may be: twice the largest of 40 seeds of weights and images. Measured on conv4, resnet8,
/// resnet32 and resnet18 in f16 and bf16: outputs 0.4 to 0.8 in evaluation, 0.7 to 1.4 in training, gradients 1.4 to 2.9; outputs of
/// resnet18 in training 6.1, whose last layers have eight values of a channel to normalise.
fn most(name: BackboneName) -> [f64; 4] {
    let training = if name == BackboneName::Resnet18 { 12.2 } else { 2.8 };
    [1.65, training, 5.9, 5.9]
}

/// How far a backbone on images of half precision, or with products of such precision, is from given values.
pub struct HalfPrecisionErrors {
    /// Relative error of the output in evaluation, and in training.
    pub outputs: [f64; 2],
    /// Relative error of the gradients by the first convolution and by the images.
    pub gradients: [f64; 2],
}

/// Measures a backbone on images cast to a type against outputs and gradients in f32.
pub fn half_precision_errors<B: AutodiffBackend>(
    backbone: &Backbone<B>,
    images: Tensor<B, 4>,
    dtype: FloatDType,
    outputs: [&[f32]; 2],
    gradients: [&[f32]; 2],
) -> HalfPrecisionErrors {
    let eval_found = backbone.valid().forward(images.clone().inner().cast(dtype));
    let (output, found) = trained(backbone, images, SCALE, |images| images.cast(dtype));
    assert_eq!([eval_found.dtype(), output.dtype()], [DType::from(dtype); 2]);
    let [eval, train] = outputs;
    HalfPrecisionErrors {
        outputs: [relative_error(&values(eval_found), eval), relative_error(&values(output), train)],
        gradients: [0, 1].map(|at| relative_error(&found[at], gradients[at])),
    }
}

/// The golden backbones on images of half precision; see [`HalfPrecisionErrors::compare`].
pub fn check_half_precision<B: AutodiffBackend>(dtype: FloatDType, slack: f64) {
    let mut off = Vec::new();
    for golden in golden_files() {
        let backbone: Backbone<B> = golden.backbone();
        let outputs = ["output_eval", "output_train"].map(|name| golden.values(name));
        let gradients = ["grad_first_conv", "grad_input"].map(|name| golden.values(name));
        let images = golden.input(&Default::default());
        let errors = half_precision_errors(&backbone, images, dtype, outputs, gradients);
        let case = format!("{dtype:?} {}", golden.label);
        off.extend(errors.compare(&case, dtype, golden.name, slack));
    }
    assert_none(&off);
}

/// How many times as far off as in f16 TF32 may be: its units may cut digits off where f16 is rounded to nearest.
const SLACK_OF_TF32: f64 = 2.0;

/// The golden backbones in f32 whose convolutions and products are computed in TF32: both factors of a product are rounded to the 11
/// digits of f16, and sums are in f32. In a layer, weights and images are rounded once each, and so are the gradients on the way back,
/// as in f16, where results are rounded besides. So the bounds of f16 hold. TF32 has the exponents of f32: nothing underflows.
pub fn check_tf32<B: AutodiffBackend>(backend: &str) {
    let mut off = Vec::new();
    for golden in golden_files() {
        let backbone: Backbone<B> = golden.backbone();
        assert_eq!(parameter_count(&backbone), golden.parameters, "{}: parameters", golden.label);
        let outputs = ["output_eval", "output_train"].map(|name| golden.values(name));
        let gradients = ["grad_first_conv", "grad_input"].map(|name| golden.values(name));
        let images = golden.input(&Default::default());
        let errors = half_precision_errors(&backbone, images, FloatDType::F32, outputs, gradients);
        let case = format!("{backend} {}", golden.label);
        off.extend(errors.compare(&case, FloatDType::F16, golden.name, SLACK_OF_TF32));
    }
    assert_none(&off);
}

impl HalfPrecisionErrors {
    /// What rounding is expected to lead to.
    ///
    /// A layer rounds its weights, the output of its convolution and its own output, each by r of its norm. Batch normalisation keeps the
    /// proportion of errors and signal, so after l layers ε_l = √(3l)·r is expected.
    ///
    /// A ReLU passes gradients of numbers above 0. Of a normal number and the same with an error of ε, a part ε/π are on two sides of 0.
    /// Half of all units pass, so of a gradient's squares a part 2ε/π is added or lost in each layer, besides its own rounding, which is
    /// less. Over L layers a gradient is off by the root of (2/π) Σ_l ε_l.
    fn expected(dtype: FloatDType, name: BackboneName) -> [f64; 4] {
        let after = |layer: f64| (3.0 * layer).sqrt() * expected_rounding(dtype);
        let layers = relus(name);
        let flipped: f64 = (1..=layers as usize).map(|layer| after(layer as f64)).sum();
        let (output, gradient) = (after(layers), (2.0 / std::f64::consts::PI * flipped).sqrt());
        [output, output, gradient, gradient]
    }

    fn found(&self) -> [f64; 4] {
        let ([eval, train], [first, input]) = (self.outputs, self.gradients);
        [eval, train, first, input]
    }

    /// The errors over what rounding is expected to lead to.
    pub fn over_expected(&self, dtype: FloatDType, name: BackboneName) -> [f64; 4] {
        let (found, expected) = (self.found(), Self::expected(dtype, name));
        [0, 1, 2, 3].map(|at| found[at] / expected[at])
    }

    /// The errors that are beyond the bounds. Outputs may be `slack` times as far off as those of flex; gradients by its root,
    /// for so many more units are switched, and their errors add up in squares. No error may come near 1, which is that of zeros, unless
    /// it is expected to: a deep network in bf16 switches so many units that its gradient tells little. The gradients of `open_relus.rs`
    /// tell more.
    pub fn compare(&self, case: &str, dtype: FloatDType, name: BackboneName, slack: f64) -> Vec<String> {
        println!("{case}: {:.2?} times what is expected", self.over_expected(dtype, name));
        let (found, expected) = (self.found(), Self::expected(dtype, name));
        let slacks = [slack, slack, slack.sqrt(), slack.sqrt()];
        let names = ["output_eval", "output_train", "grad_first_conv", "grad_input"];
        let off = names.into_iter().enumerate().filter_map(|(at, what)| {
            let most = slacks[at] * most(name)[at] * expected[at];
            let most = most.min(f64::max(0.9, MOST_SEEN * expected[at]));
            let agrees = found[at] <= most; // Not where it is NaN.
            (!agrees).then(|| format!("{case}: {what} is off by {:.1e}, more than {most:.1e}", found[at]))
        });
        off.collect()
    }
}

/// How many times what is expected the largest error of a gradient was, of 40 seeds of each network.
const MOST_SEEN: f64 = 2.9;

/// The weight of the first convolution: the first tensor that a visitor meets.
pub fn first_conv<B: Backend>(backbone: &Backbone<B>) -> Tensor<B, 4> {
    use burn::module::{Module, ModuleVisitor, Param};

    struct First<B: Backend>(Option<Tensor<B, 4>>);
    impl<B: Backend> ModuleVisitor<B> for First<B> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            if self.0.is_none() {
                assert_eq!(D, 4, "the first parameter is a convolution's weight");
                self.0 = Some(Tensor::from_primitive(param.val().into_primitive()));
            }
        }
    }
    let mut first = First(None);
    backbone.visit(&mut first);
    first.0.unwrap()
}
