//! All set terms, with and without a floor, are those of tensor operations in f64 on the CPU.

use burn::backend::Autodiff;
use burn::tensor::{DType, FloatDType, TensorData};
use burn_ndarray::NdArray;
use qare::{QareConfig, SetTerm, SimilarityFloor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Plain;
use super::golden::{ROUNDINGS, relative_error};
use super::reference::half_precisions;
use super::terms::{Term, value_and_gradient};

type Double = Autodiff<NdArray<f64>>;
type Single = Autodiff<Plain>;

fn configs() -> impl Iterator<Item = QareConfig> {
    let floors = [SimilarityFloor::Epsilon, SimilarityFloor::None];
    let config = |term, floor| QareConfig::new().with_set_term(term).with_similarity_floor(floor);
    SetTerm::ALL.into_iter().flat_map(move |term| floors.map(|floor| config(term, floor)))
}

/// A batch `[images · views, dim]`, image by image.
struct Batch {
    name: String,
    rows: Vec<f64>,
    dim: usize,
    views: usize,
    /// Whether the gradient is what rounding leaves: where it is 0, and where a set has collapsed, whose centred matrix is 0.
    rounding_alone: bool,
}

/// The row of an image and a view, given one of this image that all views have in common.
type RowOf<'a> = dyn Fn(usize, usize, &[f64]) -> Vec<f64> + 'a;

/// Fewer, as many and more images than dimensions, 2 to 8 views; and batches at the edges.
fn batches() -> Vec<Batch> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut random = |count: usize| (0..count).map(|_| f64::from(rng.random_range(-1.0f32..1.0))).collect::<Vec<_>>();
    let mut batches = Vec::new();
    for (images, views, dim) in [(2, 2, 3), (9, 3, 16), (5, 8, 5), (40, 2, 33)] {
        let rows = random(images * views * dim);
        batches.push(Batch { name: format!("{images} × {views} × {dim}"), rows, dim, views, rounding_alone: false });
    }
    let (images, views, dim) = (9, 2, 6);
    let image = random(images * dim);
    let mut add = |name: &str, rounding_alone, row: &RowOf| {
        let rows = (0..images * views).flat_map(|at| row(at / views, at % views, &image[at / views * dim..][..dim]));
        batches.push(Batch { name: name.to_string(), rows: rows.collect(), dim, views, rounding_alone });
    };
    let times = |row: &[f64], factor: f64| row.iter().map(|x| factor * x).collect::<Vec<f64>>();
    let first = image[..dim].to_vec();
    add("identical sets", false, &|_, _, row| row.to_vec());
    add("opposite sets", false, &|_, view, row| times(row, 1.0 - 2.0 * view as f64));
    add("two opposite clusters", true, &|image, _, _| times(&first, 1.0 - 2.0 * (image % 2) as f64));
    add("a zero row", false, &|image, view, row| if (image, view) == (1, 0) { vec![0.0; dim] } else { row.to_vec() });
    add("one set collapsed", true, &|_, view, row| if view == 0 { first.clone() } else { row.to_vec() });
    add("all alike", true, &|_, _, _| first.clone());
    add("nothing but zeros", true, &|_, _, _| vec![0.0; dim]);
    batches
}

/// A type of embeddings.
struct Type {
    dtype: DType,
    /// How much further gradients may be off than those of f32.
    rounding: f64,
    /// What the loss is multiplied by, as in training.
    scale: f64,
    /// The largest number.
    largest: f64,
}

fn compare(Type { dtype, rounding, scale, largest }: Type) {
    qare_models::use_kernels::<Plain>();
    // In f32 the errors found are up to 1e-6. On CUDA, products in TF32 may cut each factor of a cosine off after 11 bits.
    let (single, least) = if cfg!(feature = "cuda") { (2f64.powi(-8), 1.0) } else { (2e-5, 0.1) };
    let mut off = Vec::new();
    for mut batch in batches() {
        // What both start from.
        let rounded = TensorData::new(batch.rows.clone(), [batch.rows.len()]).convert_dtype(dtype);
        batch.rows = rounded.iter::<f64>().collect();
        for config in configs() {
            let (term, sizes) = (Term::Set(config.init()), [batch.dim, batch.views]);
            let (expected, slope) = value_and_gradient::<Double>(&term, &batch.rows, sizes, DType::F64, 1.0).unwrap();
            let (value, gradient) = value_and_gradient::<Single>(&term, &batch.rows, sizes, dtype, scale).unwrap();
            assert!(slope.iter().all(|slope| slope.is_finite()), "{}, {config}", batch.name);
            // In f16 the gradient by a row of zeros, 1e8 times as large as by others, is beyond the range.
            let in_range = gradient.iter().zip(slope).filter(|(_, slope)| (slope * scale).abs() < largest);
            let (gradient, slope): (Vec<f64>, Vec<f64>) = in_range.unzip();
            let of_value = (value - expected).abs() / expected.abs().max(least);
            let of_gradient = relative_error(&gradient, &slope);
            // Uniformity is of exp(4s).
            let single = if config.set_term == SetTerm::Uniformity { 4.0 * single } else { single };
            let what = format!("{dtype:?}, {}, {config}", batch.name);
            println!("{what}: value off by {of_value:.1e}, gradient by {of_gradient:.1e}");
            let agrees = of_value <= single
                && (batch.rounding_alone || of_gradient <= single + rounding)
                && gradient.iter().all(|slope| slope.is_finite());
            if !agrees {
                off.push(format!("{what}: {value} for {expected}, gradient off by {of_gradient:.1e}"));
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}

#[test]
fn set_terms_agree_with_the_cpu() {
    compare(Type { dtype: DType::F32, rounding: 0.0, scale: 1.0, largest: f64::MAX });
}

/// The term computes in f32, whatever the type of the embeddings; the gradient is rounded to it.
#[test]
fn set_terms_of_half_precision_agree_with_the_cpu() {
    for dtype in half_precisions() {
        let (_, rounding) = ROUNDINGS.into_iter().find(|(of, _)| *of == dtype).expect("f16 or bf16");
        let largest = if dtype == FloatDType::F16 { 65_504.0 } else { 3e38 };
        compare(Type { dtype: dtype.into(), rounding, scale: 1024.0, largest });
    }
}
