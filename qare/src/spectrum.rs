use burn::tensor::{Tensor, TensorData, backend::Backend};
use faer::{MatRef, Side};
use rayon::prelude::*;

use crate::ObjectiveError;

/// Eigenvalues and eigenvectors of a stack of symmetric matrices, S_k = V_kᵀ diag(λ_k) V_k.
#[derive(Debug, Clone)]
pub struct SymmetricEigen<B: Backend> {
    /// λ_k in ascending order, one list for each matrix.
    pub values: Vec<Vec<f64>>,
    /// V `[K, N, N]`: row j of V_k is the unit eigenvector of λ_kj. Off the graph.
    pub vectors: Tensor<B, 3>,
}

/// Decomposes symmetric matrices `[K, N, N]` (their lower triangles are read), off the graph.
///
/// No backend of Burn has a symmetric eigensolver, so this runs on the host for all of them, the K matrices in
/// parallel. It computes in f64 whatever the backend's floats are: similarity matrices of clustered embeddings have
/// eigenvalues far closer together than an f32 solver's error, which is relative to the largest of them.
///
/// # Errors
/// When an entry is NaN or infinite, or the solver does not converge. `name` says in the message what the matrices are.
pub fn symmetric_eigen<B: Backend>(matrices: Tensor<B, 3>, name: &str) -> Result<SymmetricEigen<B>, ObjectiveError> {
    let (device, dtype) = (matrices.device(), matrices.dtype());
    let [count, size, width] = matrices.dims();
    assert_eq!(size, width, "eigendecomposition of {size}×{width} matrices");
    let data = matrices.detach().into_data().convert::<f64>();
    let entries = data.as_slice::<f64>().expect("the data has just been converted");
    let label = |k: usize| format!("{name} {} of {count}", k + 1);
    let decomposed = entries
        .par_chunks_exact(size * size)
        .enumerate()
        .map(|(k, matrix)| {
            if !matrix.iter().all(|x| x.is_finite()) {
                return Err(ObjectiveError::NonFinite { quantity: label(k) });
            }
            MatRef::from_row_major_slice(matrix, size, size)
                .self_adjoint_eigen(Side::Lower)
                .map_err(|_| ObjectiveError::NoConvergence { quantity: label(k), size })
        })
        .collect::<Result<Vec<_>, _>>()?;

    let mut values = Vec::with_capacity(count);
    let mut vectors = Vec::with_capacity(count * size * size);
    for eigen in &decomposed {
        values.push(eigen.S().column_vector().iter().copied().collect());
        for column in eigen.U().col_iter() {
            vectors.extend(column.iter().copied());
        }
    }
    let vectors = TensorData::new(vectors, [count, size, size]);
    Ok(SymmetricEigen { values, vectors: Tensor::from_data(vectors, (&device, dtype)) })
}

/// What the matrix of a view set is called in errors.
pub(crate) const SET: &str = "the similarity matrix of view set";

/// The name of view set `set`'s matrix, of `sets`.
pub(crate) fn set_label(set: usize, sets: usize) -> String {
    format!("{SET} {} of {sets}", set + 1)
}
