//! Values and gradients of pytorch-metric-learning, on any backend: see `tests/make_metric_golden.py`.

use std::path::{Path, PathBuf};

use burn::module::Param;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Int, Tensor, TensorData};
use qare::metric::*;
use qare::{ObjectiveError, SparseClrConfig};
use safetensors::{Dtype, SafeTensors};

/// Every loss of the files, by its name there; those with proxies have them from the file.
pub fn losses(identities: usize, dim: usize) -> Vec<(&'static str, MetricLossConfig)> {
    use MetricLossConfig as Of;
    let triplet = |margin, triplets| Of::TripletMargin(TripletMarginConfig { margin, triplets });
    vec![
        ("triplet_all", Of::TripletMargin(TripletMarginConfig::new())),
        ("triplet_wide", triplet(0.5, Triplets::All)),
        ("triplet_hard", triplet(0.2, Triplets::Hard)),
        ("triplet_semihard", triplet(0.2, Triplets::SemiHard)),
        ("contrastive", Of::Contrastive(ContrastiveConfig::new())),
        ("contrastive_margins", Of::Contrastive(ContrastiveConfig { pos_margin: 0.3, neg_margin: 1.2 })),
        ("info_nce", Of::InfoNce(InfoNceConfig::new())),
        ("info_nce_warm", Of::InfoNce(InfoNceConfig { temperature: 0.5 })),
        ("sup_con", Of::SupCon(SupConConfig::new())),
        ("nt_logistic", Of::NtLogistic(NtLogisticConfig::new())),
        ("multi_similarity", Of::MultiSimilarity(MultiSimilarityConfig::new())),
        ("multi_similarity_other", Of::MultiSimilarity(MultiSimilarityConfig { alpha: 3.0, beta: 20.0, base: 0.2 })),
        ("sparse_clr", Of::SparseClr(SparseClrConfig::new())),
        ("sparse_clr_narrow", Of::SparseClr(SparseClrConfig::new().with_margin(0.3))),
        ("proxy_anchor", Of::ProxyAnchor(ProxyAnchorConfig::new(identities, dim))),
        (
            "proxy_anchor_soft",
            Of::ProxyAnchor(ProxyAnchorConfig::new(identities, dim).with_margin(0.2).with_alpha(4.0)),
        ),
        ("normalized_softmax", Of::NormalizedSoftmax(NormalizedSoftmaxConfig::new(identities, dim))),
        ("arc_face", Of::ArcFace(ArcFaceConfig::new(identities, dim))),
        ("arc_face_wide", Of::ArcFace(ArcFaceConfig::new(identities, dim).with_margin_degrees(80.0).with_scale(8.0))),
    ]
}

/// The proxies of a loss that learns them.
pub fn proxies<B: AutodiffBackend>(loss: &mut MetricLoss<B>) -> Option<&mut Param<Tensor<B, 2>>> {
    match loss {
        MetricLoss::ProxyAnchor(loss) => Some(&mut loss.proxies),
        MetricLoss::NormalizedSoftmax(loss) => Some(&mut loss.proxies),
        MetricLoss::ArcFace(loss) => Some(&mut loss.proxies),
        _ => None,
    }
}

/// The loss of embeddings that are compared with references.
pub fn with_references<B: AutodiffBackend>(
    loss: &MetricLoss<B>,
    z: Tensor<B, 2>,
    labels: Tensor<B, 1, Int>,
    references: Tensor<B, 2>,
    of_references: Tensor<B, 1, Int>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    match loss {
        MetricLoss::TripletMargin(loss) => loss.forward_references(z, labels, references, of_references),
        MetricLoss::Contrastive(loss) => loss.forward_references(z, labels, references, of_references),
        MetricLoss::InfoNce(loss) => loss.forward_references(z, labels, references, of_references),
        MetricLoss::SupCon(loss) => loss.forward_references(z, labels, references, of_references),
        MetricLoss::NtLogistic(loss) => loss.forward_references(z, labels, references, of_references),
        MetricLoss::MultiSimilarity(loss) => loss.forward_references(z, labels, references, of_references),
        MetricLoss::SparseClr(loss) => loss.forward_references(z, labels, references, of_references),
        _ => panic!("a loss over proxies has no references"),
    }
}

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl File {
    fn all() -> Vec<Self> {
        let folder = std::env::var_os("QARE_GOLDEN_METRIC_DIR").map_or_else(folder_beside, PathBuf::from);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        assert!(paths.len() >= 15);
        paths.into_iter().map(|path| Self { bytes: std::fs::read(&path).unwrap(), path }).collect()
    }

    /// Numbers and shape, if there is such a tensor.
    fn find(&self, name: &str) -> Option<(Vec<f64>, Vec<usize>)> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap_or_else(|e| panic!("{}: {e}", self.path.display()));
        let view = file.tensor(name).ok()?;
        let bytes = view.data();
        let numbers = match view.dtype() {
            Dtype::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
            Dtype::F64 => bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => bytes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{}: {name} is {other:?}", self.path.display()),
        };
        Some((numbers, view.shape().to_vec()))
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.find(name).unwrap_or_else(|| panic!("{}: no {name}", self.path.display())).0
    }

    fn rows<B: AutodiffBackend>(&self, name: &str, dtype: DType) -> Option<Tensor<B, 2>> {
        let (numbers, shape) = self.find(name)?;
        Some(Tensor::from_data(TensorData::new(numbers, shape), (&Default::default(), dtype)).require_grad())
    }

    fn labels<B: AutodiffBackend>(&self, name: &str) -> Option<Tensor<B, 1, Int>> {
        let (numbers, shape) = self.find(name)?;
        let labels: Vec<i64> = numbers.into_iter().map(|label| label as i64).collect();
        Some(Tensor::from_data(TensorData::new(labels, shape), &Default::default()))
    }
}

/// The committed files. The program's tests include this file of code, and may run where it was not compiled.
fn folder_beside() -> PathBuf {
    let beside = ["tests/golden_metric", "../../qare/tests/golden_metric"]
        .map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    beside.into_iter().find(|folder| folder.is_dir()).expect("the golden files are committed")
}

/// ‖found − expected‖ relative to ‖expected‖, or to `least` where that is larger.
fn error(found: &[f64], expected: &[f64], least: f64) -> f64 {
    assert_eq!(found.len(), expected.len());
    let norm = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&mut found.iter().zip(expected).map(|(a, b)| a - b));
    off / norm(&mut expected.iter().copied()).max(least)
}

/// What may differ from pytorch-metric-learning in f64, relative.
pub struct Tolerance {
    pub value: f64,
    pub gradient: f64,
    /// Numbers smaller than this are differences of larger ones, and have no relative error.
    pub least: f64,
}

/// All losses of all files, or of the one of this name, in this type. Prints the largest errors.
pub fn check<B: AutodiffBackend>(dtype: DType, tolerance: &Tolerance, only: Option<&str>) {
    let mut files = File::all();
    files.retain(|file| only.is_none_or(|name| file.path.file_stem().is_some_and(|stem| stem == name)));
    let (mut worst_value, mut worst_gradient, mut count) = ((0.0, String::new()), (0.0, String::new()), 0);
    let mut failures = Vec::new();
    for file in files {
        let of_proxies = file.find("proxies").map_or([1, 1], |(_, shape)| [shape[0], shape[1]]);
        for (name, config) in losses(of_proxies[0], of_proxies[1]) {
            let Some((value, _)) = file.find(&format!("{name}.value")) else { continue };
            let mut loss = config.init::<B>(&Default::default()).unwrap();
            let z = file.rows::<B>("embeddings", dtype).unwrap();
            let labels = file.labels("labels").unwrap();
            let mut leaves = vec![("embeddings", z.clone())];
            if let Some(proxies) = proxies(&mut loss) {
                let given = file.rows("proxies", dtype).unwrap();
                *proxies = Param::from_tensor(given);
                leaves.push(("proxies", proxies.val()));
            }
            let found = match file.rows::<B>("references", dtype) {
                Some(references) => {
                    leaves.push(("references", references.clone()));
                    let of_references = file.labels("reference_labels").unwrap();
                    with_references(&loss, z, labels, references, of_references)
                }
                None => loss.forward(z, labels),
            };
            let what = format!("{name} of {}", file.path.file_stem().unwrap().to_string_lossy());
            let found = match found {
                // By itself SparseCLR tells a batch without a positive.
                Err(ObjectiveError::NoPositives) if name.starts_with("sparse_clr") && value[0] == 0.0 => continue,
                found => found.unwrap_or_else(|e| panic!("{what}: {e}")),
            };
            count += 1;
            let of_value: Vec<f64> = found.to_data().iter::<f64>().collect();
            let off = error(&of_value, &value, tolerance.least);
            worst_value = if off > worst_value.0 { (off, what.clone()) } else { worst_value };
            let agrees = off <= tolerance.value; // Not where it is NaN.
            if !agrees {
                failures.push(format!("{what}: value {of_value:?}, expected {value:?}: off by {off:.1e}"));
            }
            let gradients = found.backward();
            for (leaf, tensor) in leaves {
                let gradient = tensor.grad(&gradients).unwrap_or_else(|| panic!("{what}: no gradient of {leaf}"));
                let gradient: Vec<f64> = gradient.into_data().iter::<f64>().collect();
                let off = error(&gradient, &file.numbers(&format!("{name}.{leaf}")), tolerance.least);
                worst_gradient = if off > worst_gradient.0 { (off, format!("{what}, {leaf}")) } else { worst_gradient };
                let agrees = off <= tolerance.gradient;
                if !agrees {
                    failures.push(format!("{what}: the gradient of {leaf} is off by {off:.1e}"));
                }
            }
        }
    }
    println!(
        "{count} losses in {dtype:?}: value {:.1e} ({}), gradient {:.1e} ({})",
        worst_value.0, worst_value.1, worst_gradient.0, worst_gradient.1
    );
    assert!(failures.is_empty(), "in {dtype:?}:\n{}", failures.join("\n"));
    assert!(count >= if only.is_some() { 10 } else { 250 });
}
