//! Batches, and values and gradients of objectives on them: on any backend, in a type that is named, by either path.

use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Element, Tensor, TensorData};
use qare::{ContrastiveObjective, ObjectiveError, Views};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::oracle::Rows;

pub type Flex = burn::backend::Autodiff<burn_flex::Flex>;
pub type NdArray = burn::backend::Autodiff<burn_ndarray::NdArray>;
pub type NdArray64 = burn::backend::Autodiff<burn_ndarray::NdArray<f64>>;

/// Rows as a tensor of the backend's own float, said explicitly: Burn settles the default type of a device once in a process, and
/// `NdArray<f32>` and `NdArray<f64>` have the same device.
pub fn tensor<B: Backend>(rows: &Rows) -> Tensor<B, 2> {
    of_type(rows, <B::FloatElem as Element>::dtype())
}

/// Rows as a tensor of this type.
pub fn of_type<B: Backend>(rows: &Rows, dtype: DType) -> Tensor<B, 2> {
    let data = TensorData::new(rows.concat(), [rows.len(), rows[0].len()]);
    let tensor = Tensor::from_data(data, (&Default::default(), dtype));
    assert_eq!(tensor.dtype(), dtype);
    tensor
}

/// The rows as they are in single precision.
pub fn rounded(rows: &Rows) -> Rows {
    rows.iter().map(|row| row.iter().map(|x| f64::from(*x as f32)).collect()).collect()
}

pub fn random_rows(rows: usize, dim: usize, seed: u64) -> Rows {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..rows).map(|_| (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect()).collect()
}

/// Each row times its factor.
pub fn scaled(rows: &Rows, factor: impl Fn(usize) -> f64) -> Rows {
    rows.iter().enumerate().map(|(i, row)| row.iter().map(|x| x * factor(i)).collect()).collect()
}

pub fn number<B: Backend>(value: Tensor<B, 1>) -> f64 {
    value.into_data().iter::<f64>().next().unwrap()
}

/// How an objective is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Path {
    /// By whatever `forward` takes.
    Chosen,
    /// In tensor operations.
    Tensors,
}

/// Value and gradient.
pub type Outcome = (f64, Vec<f64>);

pub fn evaluate<B: AutodiffBackend>(
    objective: &ContrastiveObjective,
    rows: &Rows,
    k: usize,
    dtype: DType,
    path: Path,
) -> Result<Outcome, ObjectiveError> {
    let z = of_type::<B>(rows, dtype).require_grad();
    let views = Views::new(k).unwrap();
    let loss = match path {
        Path::Tensors => objective.forward_generic(z.clone(), views),
        Path::Chosen => objective.forward(z.clone(), views),
    }?
    .loss;
    let gradient = z.grad(&loss.backward()).unwrap();
    assert_eq!(gradient.dtype(), dtype);
    Ok((number(loss), gradient.into_data().iter::<f64>().collect()))
}

/// ‖a − b‖ / ‖b‖, of numbers of any size.
pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let largest = b.iter().fold(1e-300f64, |largest, x| largest.max(x.abs()));
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| (x / largest).powi(2)).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut b.iter().copied()).max(1e-30)
}
