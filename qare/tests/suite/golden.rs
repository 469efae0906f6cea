//! Values and gradients of the reference implementation, in f32, on any backend.
//!
//! Reads the folder named by `QARE_GOLDEN_DIR`, else the small set committed beside this file.

use std::path::{Path, PathBuf};

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use qare::{ContrastiveObjective, ContrastiveObjectiveConfig, Qare, Views};
use safetensors::{Dtype, SafeTensors};

const VALUE_TOLERANCE: f64 = 1e-4;
const GRADIENT_TOLERANCE: f64 = 1e-3;

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

fn assert_value(file: &Golden, found: f64, expected: f64) {
    let error = (found - expected).abs() / expected.abs().max(1e-12);
    assert!(
        error <= VALUE_TOLERANCE,
        "{}: value {found}, expected {expected}: off by {error:.1e}",
        file.path.display()
    );
}

/// ‖found − expected‖ / ‖expected‖
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    // Where the exact gradient is zero the reference has rounding noise of f64, to which no relative error applies.
    let scale = norm(&mut expected.iter().copied()).max(1e-9);
    norm(&mut found.iter().zip(expected).map(|(a, b)| a - b)) / scale
}

fn assert_gradient(file: &Golden, name: &str, found: TensorData, expected: &[f64]) {
    let found: Vec<f64> = found.iter::<f64>().collect();
    let error = relative_error(&found, expected);
    if std::env::var_os("QARE_GOLDEN_REPORT").is_some() {
        println!("{} {name}: {error:.1e}", file.path.display());
    }
    assert!(error <= GRADIENT_TOLERANCE, "{}: {name} is off by {error:.1e}", file.path.display());
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

pub fn losses<B: AutodiffBackend>() {
    let device = Default::default();
    for file in golden("loss") {
        let GoldenLoss { objective, views, embeddings, shape, loss: expected, gradient: slope, .. } =
            GoldenLoss::of(&file);
        let embeddings = single::<B, 2>(embeddings, &shape, &device).require_grad();
        let loss = objective.forward(embeddings.clone(), views).unwrap().loss;
        assert_value(&file, loss.to_data().iter::<f64>().next().unwrap(), expected);
        let gradient = embeddings.grad(&loss.backward()).unwrap();
        assert_gradient(&file, "grad", gradient.into_data(), &slope);
    }
}

/// Unit roundoffs: half the distance of two numbers, relative. Of 11 and of 8 digits in base two, 2⁻¹¹ and 2⁻⁸.
pub const ROUNDINGS: [(FloatDType, f64); 2] = [(FloatDType::F16, 1.0 / 2048.0), (FloatDType::BF16, 1.0 / 256.0)];

/// How many roundings of an embedding a value and a gradient (by its norm) may be off. What is rounded is the embeddings, all else being f32,
/// so it can be told in f64 from the inputs alone, whatever the processor: the golden values move by at most 0.24, here and at eight other
/// scales of the same embeddings, the golden gradients by at most 7.9. (Those of near-parallel embeddings are small differences of
/// large numbers, and at other scales move by up to 51.) The rest of each bound is for f32.
const VALUE_ROUNDINGS: f64 = 0.5;
const GRADIENT_ROUNDINGS: f64 = 10.0;

/// Keeps gradients of f16 from being cut off at 6e-8.
const SCALE: f64 = 1024.0;

/// Of embeddings in half precision.
pub fn losses_in_half_precision<B: AutodiffBackend>(dtype: FloatDType) {
    let device = Default::default();
    let (_, rounding) = ROUNDINGS.into_iter().find(|(of, _)| *of == dtype).expect("f16 or bf16");
    for GoldenLoss { name, objective, views, embeddings, shape, loss: expected, gradient: slope } in golden_losses() {
        let embeddings = single::<B, 2>(embeddings, &shape, &device).cast(dtype);
        let embeddings = embeddings.detach().require_grad();
        let loss = objective.forward(embeddings.clone(), views).unwrap().loss;
        let gradient = embeddings.grad(&(loss.clone() * SCALE).backward()).unwrap().into_data();
        let gradient: Vec<f64> = gradient.iter::<f64>().map(|value| value / SCALE).collect();
        let error = (loss.to_data().iter::<f64>().next().unwrap() - expected).abs() / expected.abs();
        let of_gradient = relative_error(&gradient, &slope);
        println!("{dtype:?} {name}: value {error:.1e}, gradient {of_gradient:.1e}");
        assert!(error <= VALUE_ROUNDINGS * rounding, "{dtype:?} {name}: the value is off by {error:.1e}");
        assert!(
            of_gradient <= GRADIENT_ROUNDINGS * rounding,
            "{dtype:?} {name}: the gradient is off by {of_gradient:.1e}"
        );
    }
}

pub fn set_terms<B: AutodiffBackend>() {
    let device = Default::default();
    for file in golden("qare") {
        let (mut values, shape) = file.tensor("s1");
        values.extend(file.tensor("s2").0);
        let shape = [2, shape[0], shape[1]];
        let similarities = single::<B, 3>(values, &shape, &device).require_grad();
        let value = Qare::default().forward_similarities(similarities.clone()).unwrap();
        assert_value(&file, value.to_data().iter::<f64>().next().unwrap(), file.tensor("qare").0[0]);
        let gradient = similarities.grad(&value.backward()).unwrap();
        for (set, name) in ["grad_s1", "grad_s2"].into_iter().enumerate() {
            assert_gradient(&file, name, gradient.clone().narrow(0, set, 1).into_data(), &file.tensor(name).0);
        }
    }
}
