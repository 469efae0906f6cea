//! Values and gradients of the reference implementation, in f32, on any backend.
//!
//! Reads the folder named by `QARE_GOLDEN_DIR`, else the small set committed beside this file.

use std::path::{Path, PathBuf};

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use qare::{ContrastiveObjective, ContrastiveObjectiveConfig, Qare, Views};
use safetensors::{Dtype, SafeTensors};

/// Relative errors of a value and of a gradient that may be.
#[derive(Clone, Copy)]
pub struct Tolerances {
    pub value: f64,
    pub gradient: f64,
}

/// Those of arithmetic in f32.
pub const SINGLE: Tolerances = Tolerances { value: 1e-4, gradient: 1e-3 };

struct Golden {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Golden {
    fn tensor(&self, name: &str) -> (Vec<f64>, Vec<usize>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{}: {name}: {e}", self.path.display()));
        let values = match view.dtype() {
            Dtype::F32 => {
                view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect()
            }
            Dtype::F64 => view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            other => panic!("{}: {name} is {other:?}", self.path.display()),
        };
        (values, view.shape().to_vec())
    }

    fn text(&self, key: &str) -> String {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).unwrap();
        let metadata = header.metadata().as_ref().and_then(|m| m.get(key).cloned());
        metadata.unwrap_or_else(|| panic!("{}: no metadata `{key}`", self.path.display()))
    }

    fn number(&self, key: &str) -> f64 {
        self.text(key).parse().unwrap_or_else(|_| panic!("{}: `{key}` is no number", self.path.display()))
    }
}

/// The files of `kind`, having made sure that every file of the folder is of a known one.
fn golden(kind: &str) -> Vec<Golden> {
    let folder = std::env::var_os("QARE_GOLDEN_DIR").map_or_else(folder_beside, PathBuf::from);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let known =
            ["loss_", "qare_", "backbone_", "augment_", "heads_"].iter().find(|prefix| name.starts_with(**prefix));
        let known = known.unwrap_or_else(|| panic!("{}: a golden file of unknown kind", path.display()));
        if known.trim_end_matches('_') == kind {
            files.push(Golden { bytes: std::fs::read(&path).unwrap(), path });
        }
    }
    assert!(!files.is_empty(), "{} holds no {kind}_* file", folder.display());
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// The committed files. The program's tests include this file of code, and may run where it was not compiled.
fn folder_beside() -> PathBuf {
    let beside =
        ["tests/golden", "../../qare/tests/golden"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    beside.into_iter().find(|folder| folder.is_dir()).expect("the golden files are committed")
}

/// Fails if any of the strings tells of something. Every file is compared before: one run tells all, and all kernels are compiled.
fn assert_none(told: &[String]) {
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// What is told unless numbers agree, as they do not where an error is NaN.
fn unless(agree: bool, told: String) -> Option<String> {
    (!agree).then_some(told)
}

fn compare_value(file: &Golden, found: f64, expected: f64, tolerance: f64) -> Option<String> {
    let error = (found - expected).abs() / expected.abs().max(1e-12);
    let told = format!("{}: value {found}, expected {expected}: off by {error:.1e}", file.path.display());
    unless(error <= tolerance, told)
}

fn compare_gradient(file: &Golden, name: &str, found: TensorData, expected: &[f64], tolerance: f64) -> Option<String> {
    let found: Vec<f64> = found.iter::<f64>().collect();
    let error = relative_error(&found, expected);
    if std::env::var_os("QARE_GOLDEN_REPORT").is_some() {
        println!("{} {name}: {error:.1e}", file.path.display());
    }
    unless(error <= tolerance, format!("{}: {name} is off by {error:.1e}", file.path.display()))
}

/// ‖found − expected‖ / ‖expected‖
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let off: Vec<f64> = found.iter().zip(expected).map(|(a, b)| a - b).collect();
    // Where the exact gradient is zero the reference has rounding noise of f64, to which no relative error applies.
    norm(&off) / norm(expected).max(1e-9)
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// A golden loss: objective, embeddings, and what the reference makes of them.
pub struct GoldenLoss {
    pub name: String,
    pub objective: ContrastiveObjective,
    pub views: Views,
    pub embeddings: Vec<f64>,
    pub shape: Vec<usize>,
    pub loss: f64,
    pub gradient: Vec<f64>,
}

impl GoldenLoss {
    fn of(file: &Golden) -> Self {
        let (alpha, beta) = (file.number("alpha"), file.number("beta"));
        let objective = match file.text("method").as_str() {
            "simclr" => ContrastiveObjectiveConfig::simclr(),
            "sparseclr" => ContrastiveObjectiveConfig::sparseclr(),
            "simclr_qare" => ContrastiveObjectiveConfig::simclr_qare(alpha, beta),
            "sparseclr_qare" => ContrastiveObjectiveConfig::sparseclr_qare(alpha, beta),
            other => panic!("{}: unknown method {other}", file.path.display()),
        };
        assert_eq!((file.number("temperature"), file.number("margin")), (0.5, 1.0), "{}", file.path.display());
        let (embeddings, shape) = file.tensor("embeddings");
        Self {
            name: file.path.file_name().unwrap().to_string_lossy().into_owned(),
            objective: objective.init().unwrap(),
            views: Views::new(file.number("views") as usize).unwrap(),
            embeddings,
            shape,
            loss: file.tensor("loss").0[0],
            gradient: file.tensor("grad").0,
        }
    }
}

/// All golden losses there are.
pub fn golden_losses() -> impl Iterator<Item = GoldenLoss> {
    golden("loss").into_iter().map(|file| GoldenLoss::of(&file))
}

/// A tensor of f32, whatever the device's default type has come to be in this process.
fn single<B: AutodiffBackend, const D: usize>(values: Vec<f64>, shape: &[usize], device: &B::Device) -> Tensor<B, D> {
    let tensor = Tensor::<B, D>::from_data(TensorData::new(values, shape.to_vec()), (device, DType::F32));
    assert_eq!(tensor.dtype(), DType::F32);
    tensor
}

pub fn losses<B: AutodiffBackend>(tolerances: Tolerances) {
    let device = Default::default();
    let mut off = Vec::new();
    for file in golden("loss") {
        let GoldenLoss { objective, views, embeddings, shape, loss: expected, gradient: slope, .. } =
            GoldenLoss::of(&file);
        let embeddings = single::<B, 2>(embeddings, &shape, &device).require_grad();
        let loss = objective.forward(embeddings.clone(), views).unwrap().loss;
        let found = loss.to_data().iter::<f64>().next().unwrap();
        off.extend(compare_value(&file, found, expected, tolerances.value));
        let gradient = embeddings.grad(&loss.backward()).unwrap();
        off.extend(compare_gradient(&file, "grad", gradient.into_data(), &slope, tolerances.gradient));
    }
    assert_none(&off);
}

/// Unit roundoffs: half the distance of two numbers, relative. Of 11 and of 8 digits in base two, 2⁻¹¹ and 2⁻⁸.
pub const ROUNDINGS: [(FloatDType, f64); 2] = [(FloatDType::F16, 1.0 / 2048.0), (FloatDType::BF16, 1.0 / 256.0)];

/// Half of the smallest positive number of a type: how far a gradient next to zero is off, in absolute terms.
pub fn underflow(dtype: FloatDType) -> f64 {
    if dtype == FloatDType::F16 { 2f64.powi(-25) } else { 2f64.powi(-134) }
}

/// A loss of embeddings in half precision, differentiated as training differentiates it.
pub struct Scaled {
    pub loss: f64,
    /// Divided by the scale.
    pub gradient: Vec<f64>,
    pub scale: f64,
}

/// The loss is multiplied by 65,536, which is halved until no gradient overflows. Unscaled, a gradient of f16 has an absolute error of
/// [`underflow`].
pub fn with_loss_scale<B: AutodiffBackend>(
    embeddings: &Tensor<B, 2>,
    forward: impl Fn(Tensor<B, 2>) -> Tensor<B, 1>,
) -> Scaled {
    let mut scale = 65_536.0;
    loop {
        let embeddings = embeddings.clone().detach().require_grad();
        let loss = forward(embeddings.clone());
        let gradient = embeddings.grad(&(loss.clone() * scale).backward()).unwrap();
        assert_eq!((loss.dtype(), gradient.dtype()), (DType::F32, embeddings.dtype()));
        let gradient: Vec<f64> = gradient.into_data().iter::<f64>().map(|value| value / scale).collect();
        if gradient.iter().all(|value| value.is_finite()) {
            return Scaled { loss: loss.into_data().iter::<f64>().next().unwrap(), gradient, scale };
        }
        assert!(scale > 1.0, "gradients are not finite");
        scale /= 2.0;
    }
}

/// Golden losses of embeddings in half precision.
///
/// Objectives compute in f32. So value and gradient are those of the rounded embeddings z + δ in f32, and the gradient is rounded once
/// more. How far they are from the golden ones, which are of z, depends on z alone. A gradient has no bound in units of its own norm: near
/// collapse it is what the tangential part of nearly equal rows leaves, of which rounding may leave no digit; a similarity near the floor is
/// switched on or off; eigenvectors of close eigenvalues turn. So a gradient is compared with that of z + δ in f32. A value has to be the
/// golden one plus the integral of the gradient from z to z + δ, which is ½⟨g(z) + g(z + δ), δ⟩, except for at most
/// ½ Σ |g(z + δ) − g(z)|·|δ| where the gradient is monotonic in between.
pub fn losses_in_half_precision<B: AutodiffBackend>(dtype: FloatDType, tolerances: Tolerances) {
    let device = Default::default();
    let mut off = Vec::new();
    let (_, rounding) = ROUNDINGS.into_iter().find(|(of, _)| *of == dtype).expect("f16 or bf16");
    for GoldenLoss { name, objective, views, embeddings, shape, loss: golden, gradient: slope } in golden_losses() {
        let half = single::<B, 2>(embeddings.clone(), &shape, &device).cast(dtype);
        let forward = |embeddings: Tensor<B, 2>| objective.forward(embeddings, views).unwrap().loss;
        let Scaled { loss, gradient, scale } = with_loss_scale(&half, forward);
        let exact = with_loss_scale(&half.clone().cast(FloatDType::F32), forward).gradient;

        let moved: Vec<f64> = half.into_data().iter::<f64>().zip(&embeddings).map(|(to, from)| to - from).collect();
        let (mut expected, mut curvature) = (golden, 0.0);
        for ((by, before), after) in moved.iter().zip(&slope).zip(&gradient) {
            expected += 0.5 * (before + after) * by;
            curvature += 0.5 * ((after - before) * by).abs();
        }
        let (error, most) = ((loss - expected).abs(), tolerances.value * golden.abs() + curvature);
        let of_gradient = relative_error(&gradient, &exact);
        let cut_off = underflow(dtype) / scale * (exact.len() as f64).sqrt() / norm(&exact).max(1e-9);
        println!(
            "{dtype:?} {name}: value {error:.1e} of {most:.1e}, gradient {of_gradient:.1e}, from the golden one {:.1e}",
            relative_error(&gradient, &slope)
        );
        let told = format!("{dtype:?} {name}: the value is off by {error:.1e}, more than {most:.1e}");
        off.extend(unless(error <= most, told));
        let told = format!("{dtype:?} {name}: the gradient is off that of the rounded embeddings by {of_gradient:.1e}");
        off.extend(unless(of_gradient <= rounding + cut_off + tolerances.gradient, told));
    }
    assert_none(&off);
}

/// The set term of given similarities. Its gradient is a product of eigenvectors on the backend's device.
pub fn set_terms<B: AutodiffBackend>(tolerances: Tolerances) {
    let device = Default::default();
    let mut off = Vec::new();
    for file in golden("qare") {
        let (mut values, shape) = file.tensor("s1");
        values.extend(file.tensor("s2").0);
        let shape = [2, shape[0], shape[1]];
        let similarities = single::<B, 3>(values, &shape, &device).require_grad();
        let value = Qare::default().forward_similarities(similarities.clone()).unwrap();
        let found = value.to_data().iter::<f64>().next().unwrap();
        off.extend(compare_value(&file, found, file.tensor("qare").0[0], tolerances.value));
        let gradient = similarities.grad(&value.backward()).unwrap();
        for (set, name) in ["grad_s1", "grad_s2"].into_iter().enumerate() {
            let found = gradient.clone().narrow(0, set, 1).into_data();
            off.extend(compare_gradient(&file, name, found, &file.tensor(name).0, tolerances.gradient));
        }
    }
    assert_none(&off);
}
