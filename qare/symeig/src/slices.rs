//! Slices in, slices out.

use crate::microkernel::WIDTH;
use crate::{Decomposition, EigenError, EigenParams, PackedSymmetric, in_pool};

/// The eigenvalues λ `[order]`, in ascending order, of the symmetric `matrix` `[order, order]`, of which the lower triangle is read.
///
/// # Errors
/// When an entry is NaN or infinite, an eigenvalue is beyond the range of f32, or the eigenvalues are not found.
///
/// # Panics
/// When there are not `order`² entries.
pub fn eigenvalues(matrix: &[f32], order: usize) -> Result<Vec<f32>, EigenError> {
    let mut values = vec![0.0; order];
    eigenvalues_into(matrix, &mut values, &EigenParams::default())?;
    Ok(values)
}

/// As [`eigenvalues`], into `values`, whose length is the order.
///
/// # Errors
/// As for [`eigenvalues`]; `values` are then unspecified.
///
/// # Panics
/// When `matrix` has not as many entries as `values` squared.
pub fn eigenvalues_into(matrix: &[f32], values: &mut [f32], params: &EigenParams) -> Result<(), EigenError> {
    let matrix = PackedSymmetric::from_lower(matrix, values.len());
    write_values(&Decomposition::new(&matrix, params)?, values)?;
    // Bisection may leave two that agree to rounding in the other order.
    values.sort_by(f32::total_cmp);
    Ok(())
}

/// Eigenvalues and eigenvectors of a symmetric matrix, A = U diag(λ) Uᵀ.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// λ `[n]` in ascending order.
    pub values: Vec<f32>,
    /// Uᵀ `[n, n]`: row j is the unit eigenvector of λ_j.
    pub vectors: Vec<f32>,
}

/// Eigenvalues and eigenvectors of the symmetric `matrix` `[order, order]`, of which the lower triangle is read.
///
/// # Errors
/// As for [`eigenvalues`].
///
/// # Panics
/// When there are not `order`² entries.
pub fn eigen(matrix: &[f32], order: usize) -> Result<Eigen, EigenError> {
    let mut eigen = Eigen { values: vec![0.0; order], vectors: vec![0.0; order * order] };
    eigen_into(matrix, &mut eigen.values, &mut eigen.vectors, &EigenParams::default())?;
    Ok(eigen)
}

/// As [`eigen()`], into `values` `[n]` and `vectors` `[n, n]`.
///
/// # Errors
/// As for [`eigenvalues`]; `values` and `vectors` are then unspecified.
///
/// # Panics
/// When `matrix` or `vectors` has not as many entries as `values` squared.
pub fn eigen_into(
    matrix: &[f32],
    values: &mut [f32],
    vectors: &mut [f32],
    params: &EigenParams,
) -> Result<(), EigenError> {
    let order = values.len();
    assert_eq!(vectors.len(), order * order, "entries of {order} eigenvectors");
    let matrix = PackedSymmetric::from_lower(matrix, order);
    let (decomposition, panels) = in_pool(order, || {
        let decomposition = Decomposition::with_basis(&matrix, params)?;
        let panels = decomposition.basis(&(0..order).collect::<Vec<_>>())?;
        Ok::<_, EigenError>((decomposition, panels))
    })?;
    for (panel, ranks) in &panels {
        for (column, rank) in ranks.iter().enumerate() {
            let entries = panel[column..].iter().step_by(WIDTH);
            vectors[rank * order..][..order].iter_mut().zip(entries).for_each(|(x, entry)| *x = *entry);
        }
    }
    write_values(&decomposition, values)
}

fn write_values(decomposition: &Decomposition, values: &mut [f32]) -> Result<(), EigenError> {
    for (target, value) in values.iter_mut().zip(decomposition.values()) {
        *target = *value as f32;
        if target.is_infinite() {
            return Err(EigenError::Overflow { value: *value });
        }
    }
    Ok(())
}
