use burn::tensor::{DType, Tensor, TensorData, backend::Backend};
#[cfg(feature = "host")]
use rayon::prelude::*;

use crate::ObjectiveError;
use crate::inspection::{numbers, overflow};
use crate::range::power_of_two;

/// Eigenvalues and eigenvectors of a stack of symmetric matrices, S_k = V_kᵀ diag(λ_k) V_k.
#[derive(Debug, Clone)]
pub struct SymmetricEigen<B: Backend> {
    /// λ_k in ascending order, one list for each matrix.
    pub values: Vec<Vec<f64>>,
    /// V `[K, N, N]`: row j of V_k is the unit eigenvector of λ_kj. Off the graph.
    pub vectors: Tensor<B, 3>,
}

/// Norms (the largest row's sum of magnitudes) with which a matrix is decomposed as it is. The solver knows two absolute
/// tolerances, of a few ε each: of differences of eigenvalues, and of differences of sums of 1 / (difference of eigenvalues).
/// Small matrices meet the first, large ones the second.
const UNSCALED: std::ops::Range<f64> = 0.5..4096.0;

/// Decomposes symmetric matrices `[K, N, N]` (their lower triangles are read), off the graph.
///
/// No backend of Burn has a symmetric eigensolver, so this runs on the host for all of them, the K matrices in
/// parallel. It computes in f64 whatever the backend's floats are, and so knows eigenvalues to about 1e-15 of the largest, whatever
/// that is: matrices of very small or very large entries are scaled by a power of two first.
///
/// The set term of f32 embeddings on the CPU does not come here: the crate `qare-symeig` decomposes its matrices in f32, which knows
/// eigenvalues to about 1e-7 of the largest. This is enough for the regulariser, in which the largest count for most.
///
/// # Errors
/// When the matrices are not square, an entry is NaN or infinite, an eigenvalue is more than an f64 can be, or the solver does not
/// converge.
pub fn symmetric_eigen<B: Backend>(matrices: Tensor<B, 3>) -> Result<SymmetricEigen<B>, ObjectiveError> {
    eigen_of(matrices, "matrix")
}

/// [`symmetric_eigen`] of matrices that messages call `name`.
pub(crate) fn eigen_of<B: Backend>(matrices: Tensor<B, 3>, name: &str) -> Result<SymmetricEigen<B>, ObjectiveError> {
    let (device, dtype) = (matrices.device(), matrices.dtype());
    let shape @ [count, size, width] = matrices.dims();
    if size != width {
        return Err(ObjectiveError::NotSquare { shape });
    }
    let data = matrices.detach().into_data().convert::<f64>();
    let entries = data.as_slice::<f64>().expect("the data has just been converted");
    let label = |k: usize| format!("{name} {} of {count}", k + 1);
    let decompose = |(k, matrix): (usize, &[f64])| {
        finite_matrix(matrix, size, || label(k))?;
        let [a, b] = scale(matrix, size).unwrap_or([1.0; 2]);
        let scaled: Vec<f64>;
        let matrix = if [a, b] == [1.0; 2] {
            matrix
        } else {
            scaled = matrix.iter().map(|x| x * a * b).collect();
            &scaled
        };
        let found = eigen(matrix, size).ok_or_else(|| ObjectiveError::NoConvergence { quantity: label(k), size });
        let (values, vectors) = found?;
        let values: Vec<f64> = values.iter().map(|value| value / a / b).collect();
        if !values.iter().all(|value| value.is_finite()) {
            return Err(overflow(format!("an eigenvalue of {}", label(k)), DType::F64));
        }
        Ok((values, vectors))
    };
    let matrices = (size * size).max(1);
    #[cfg(feature = "host")]
    let decomposed = entries.par_chunks_exact(matrices).enumerate().map(decompose).collect::<Result<Vec<_>, _>>()?;
    #[cfg(not(feature = "host"))]
    let decomposed = entries.chunks_exact(matrices).enumerate().map(decompose).collect::<Result<Vec<_>, _>>()?;

    let mut values = Vec::with_capacity(count);
    let mut vectors = Vec::with_capacity(count * size * size);
    for (spectrum, of_matrix) in decomposed {
        values.push(spectrum);
        vectors.extend(of_matrix);
    }
    let vectors = TensorData::new(vectors, [count, size, size]);
    Ok(SymmetricEigen { values, vectors: Tensor::from_data(vectors, (&device, dtype)) })
}

/// # Errors
/// When an entry of a matrix, row by row, is NaN or infinite.
fn finite_matrix(matrix: &[f64], size: usize, label: impl Fn() -> String) -> Result<(), ObjectiveError> {
    match matrix.iter().position(|x| !x.is_finite()) {
        Some(at) => {
            let quantity = format!("{} (row {}, column {}, counted from 0)", label(), at / size, at % size);
            Err(ObjectiveError::NonFinite { quantity })
        }
        None => Ok(()),
    }
}

/// # Errors
/// When an entry of the `matrices` `[K, N, N]` that messages call `name` is NaN or infinite. They are read back.
pub(crate) fn finite_matrices<B: Backend>(matrices: &Tensor<B, 3>, name: &str) -> Result<(), ObjectiveError> {
    let [count, size, _] = matrices.dims();
    let entries = numbers(matrices.clone());
    let mut matrices = entries.chunks_exact((size * size).max(1)).enumerate();
    matrices.try_for_each(|(k, matrix)| finite_matrix(matrix, size, || format!("{name} {} of {count}", k + 1)))
}

/// Eigenvalues in ascending order, and their unit eigenvectors one after the other; none if the solver does not converge.
#[cfg(feature = "host")]
fn eigen(matrix: &[f64], size: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    let eigen = faer::MatRef::from_row_major_slice(matrix, size, size).self_adjoint_eigen(faer::Side::Lower).ok()?;
    let values = eigen.S().column_vector().iter().copied().collect();
    let mut vectors = Vec::with_capacity(size * size);
    eigen.U().col_iter().for_each(|column| vectors.extend(column.iter()));
    Some((values, vectors))
}

#[cfg(not(feature = "host"))]
use crate::jacobi::eigen;

/// Two powers of two whose product brings a matrix's norm to about 1, or none where it needs no scaling.
fn scale(matrix: &[f64], size: usize) -> Option<[f64; 2]> {
    let largest = matrix.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
    if largest == 0.0 {
        return None;
    }
    // Over the largest entry: the sum itself may be more than a number can be.
    let sums = matrix.chunks_exact(size).map(|row| row.iter().map(|x| (x / largest).abs()).sum::<f64>());
    let sum = sums.fold(0.0, f64::max);
    if UNSCALED.contains(&(largest * sum)) {
        return None;
    }
    let exponent = -(largest.log2() + sum.log2()).floor() as i64;
    // That of a subnormal number is more than one power can be.
    Some([exponent / 2, exponent - exponent / 2].map(power_of_two))
}

/// What the matrix of a view set is called in errors.
pub(crate) const SET: &str = "the similarity matrix of view set";
