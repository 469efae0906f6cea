//! The terms in kernels are those of tensor operations in f64 on the CPU.

use burn::backend::Autodiff;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor, TensorData};
use burn_ndarray::NdArray;
use qare::{
    NtXentConfig, NtXentReduction, ObjectiveError, PairwiseTerm, Qare, QareConfig, SetTerm, Similarity,
    SparseClrConfig, Views,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Plain;

/// Images, views, dimensions. Fewer and more rows than the units of a cube; a width that is no multiple of anything.
const SIZES: [(usize, usize, usize); 3] = [(2, 2, 3), (13, 4, 7), (130, 3, 33)];

/// A term of an objective.
pub enum Term {
    Pairwise(PairwiseTerm),
    Set(Qare),
}

impl Term {
    fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        match self {
            Term::Pairwise(term) => term.forward(embeddings, views),
            Term::Set(term) => term.forward(embeddings, views),
        }
    }
}

/// Terms by name, with the largest factor between a similarity and an exponent or entry.
fn terms() -> Vec<(String, Term, f64)> {
    let mut terms = Vec::new();
    for similarity in [Similarity::Cosine, Similarity::FlooredCosine] {
        for (temperature, reduction) in [
            (0.03, NtXentReduction::LogOfMean),
            (0.5, NtXentReduction::LogOfMean),
            (0.03, NtXentReduction::MeanOfLogs),
            (4.0, NtXentReduction::MeanOfLogs),
        ] {
            let config = NtXentConfig::new().with_temperature(temperature).with_reduction(reduction);
            let term = PairwiseTerm::NtXent(config.with_similarity(similarity).init().unwrap());
            let name = format!("NT-Xent, {similarity:?}, t = {temperature}, {reduction:?}");
            terms.push((name, Term::Pairwise(term), 1.0 / temperature));
        }
        for margin in [0.0, 3.0] {
            let config = SparseClrConfig::new().with_margin(margin).with_similarity(similarity);
            let term = PairwiseTerm::SparseClr(config.init().unwrap());
            terms.push((format!("SparseCLR, {similarity:?}, margin {margin}"), Term::Pairwise(term), 1.0));
        }
    }
    let term = QareConfig::new().with_set_term(SetTerm::Frobenius).init();
    terms.push(("the product of Frobenius norms".to_string(), Term::Set(term), 1.0));
    terms
}

/// Rows of all directions whose lengths spread over so many powers of ten around 10^`middle`.
fn rows(count: usize, dim: usize, middle: f64, spread: f64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64((count * dim) as u64);
    let row = |_| {
        let length = 10f64.powf(middle + rng.random_range(-spread..=spread));
        (0..dim).map(|_| length * rng.random_range(-1.0..1.0)).collect::<Vec<f64>>()
    };
    (0..count).flat_map(row).map(|value| f64::from(value as f32)).collect()
}

type Found = Result<(f64, Vec<f64>), ObjectiveError>;

/// The value of a term, and the gradient, which is computed times `scale`.
pub fn value_and_gradient<B: AutodiffBackend>(
    term: &Term,
    rows: &[f64],
    [dim, views]: [usize; 2],
    dtype: DType,
    scale: f64,
) -> Found {
    let data = TensorData::new(rows.to_vec(), [rows.len() / dim, dim]);
    let z = Tensor::<B, 2>::from_data(data, (&Default::default(), dtype)).require_grad();
    let loss = term.forward(z.clone(), Views::new(views)?)?;
    let gradient = z.grad(&(loss.clone() * scale).backward()).unwrap();
    let loss = loss.into_data().iter::<f64>().next().unwrap();
    Ok((loss, gradient.into_data().iter::<f64>().map(|slope| slope / scale).collect()))
}

/// The largest of errors; NaN if one is.
fn largest(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, |most, error| if most.is_nan() || error <= most { most } else { error })
}

/// What is off, if anything. Gradients are compared row by row, times the length of the row: each in the units of its own direction.
fn difference(found: &Found, expected: &Found, rows: &[f64], dim: usize, factor: f64) -> Option<String> {
    // In f32 the errors found are up to 4e-6. On CUDA, products in TF32 may cut each factor of a cosine off after 11 bits.
    let tolerance = if cfg!(feature = "cuda") { 2f64.powi(-8) * factor.max(1.0) } else { 2e-5 };
    let ((found, slope), (expected, of)) = (found.as_ref().unwrap(), expected.as_ref().unwrap());
    let scaled = |gradient: &[f64]| -> Vec<f64> {
        let rows = rows.chunks(dim).zip(gradient.chunks(dim));
        rows.flat_map(|(row, slope)| {
            let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
            slope.iter().map(move |slope| slope * length)
        })
        .collect()
    };
    let (slope, of) = (scaled(slope), scaled(of));
    let most = largest(slope.iter().zip(&of).map(|(found, expected)| (found - expected).abs()));
    let largest = largest(of.iter().map(|value| value.abs()));
    let agrees = (found - expected).abs() <= tolerance * expected.abs().max(1.0) && most <= tolerance * largest;
    (!agrees).then(|| format!("{found} for {expected}, gradient off by {most:e}, its largest entry is {largest:e}"))
}

#[test]
fn kernels_agree_with_tensor_operations() {
    qare_models::use_kernels::<Plain>();
    let mut off = Vec::new();
    for (images, views, dim) in SIZES {
        // Ordinary rows, huge ones, rows of which some pairs are below the floor of the product of norms, and some below that of norms.
        for (middle, spread) in [(0.0, 1.0), (15.0, 15.0), (-4.0, 2.0), (-12.0, 2.0)] {
            let rows = rows(images * views, dim, middle, spread);
            for (name, term, factor) in terms() {
                let what = format!("{images} × {views} × {dim}, lengths 1e{middle} ± {spread}, {name}");
                let expected =
                    value_and_gradient::<Autodiff<NdArray<f64>>>(&term, &rows, [dim, views], DType::F64, 1.0);
                if expected.is_err() {
                    continue; // Short rows may leave no denominator.
                }
                let found = value_and_gradient::<Autodiff<Plain>>(&term, &rows, [dim, views], DType::F32, 1.0);
                off.extend(difference(&found, &expected, &rows, dim, factor).map(|told| format!("{what}: {told}")));
            }
        }
    }
    assert!(off.is_empty(), "{}", off.join("\n"));
}

#[test]
fn a_row_that_is_no_number_makes_the_loss_none() {
    qare_models::use_kernels::<Plain>();
    for bad in [f64::NAN, f64::INFINITY] {
        let mut rows = rows(12, 5, 0.0, 1.0);
        rows[17] = bad;
        for (name, term, _) in terms() {
            let (loss, _) = value_and_gradient::<Autodiff<Plain>>(&term, &rows, [5, 2], DType::F32, 1.0).unwrap();
            assert!(!loss.is_finite(), "{name}, {bad}: {loss}");
        }
    }
}

/// Rows shorter and longer than a cube has units: spread, nearly alike, far from zero, and with entries that are never in the support.
#[test]
fn sparsemax_agrees_with_the_cpu() {
    qare_models::use_kernels::<Plain>();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (count, width) in [(1, 1), (3, 5), (7, 130), (33, 1025)] {
        for (spread, middle) in [(1.0, 0.0), (20.0, 0.0), (1e-3, 0.0), (1.0, 300.0), (1.0, -1e4)] {
            let mut rows: Vec<f64> =
                (0..count * width).map(|_| f64::from((middle + rng.random_range(-spread..=spread)) as f32)).collect();
            // All but one of a row, at most.
            for row in rows.chunks_mut(width) {
                for _ in 0..width / 3 {
                    row[rng.random_range(1..width)] = f64::NEG_INFINITY;
                }
            }
            let data = TensorData::new(rows, [count, width]);
            let of = |values: TensorData| values.iter::<f64>().collect::<Vec<_>>();
            let expected = Tensor::<NdArray<f64>, 2>::from_data(data.clone(), (&Default::default(), DType::F64));
            let expected = of(qare::sparsemax(expected).into_data());
            let found = Tensor::<Plain, 2>::from_data(data, (&Default::default(), DType::F32));
            let found = of(qare::sparsemax(found).into_data());
            let most = largest(found.iter().zip(&expected).map(|(f, e)| (f - e).abs()));
            // An entry is the difference of two numbers that are within 1 of each other, and so is known to the last bit of an f32.
            assert!(most <= 4e-6, "{count} × {width}, {middle} ± {spread}: off by {most:e}");
        }
    }
}
