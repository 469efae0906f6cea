//! m(S_1) m(S_2) / (B(B−1)), with m(S) = 1ᵀ S 1 / B.

use burn::tensor::{Tensor, backend::Backend};

use super::norms::{Norms, product_of_norms};
use crate::similarity::unit_embeddings;
use crate::{ObjectiveError, Views};

/// Of similarities without a floor, m(S_k) = B (1 + ‖μ_k‖²) with μ_k the mean of the unit embeddings of the set, of embeddings
/// `[K·B, D]`.
pub(crate) fn mean<B: Backend>(embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
    let sets = unit_embeddings(views.sets(embeddings)?); // [K, B, D]
    let [_, images, _] = sets.dims();
    let means = sets.clone().detach().mean_dim(1); // [K, 1, D]
    let lengths = (means.clone() * means.clone()).sum_dim(2) + 1.0;
    // ∂m/∂ẑ = 2 μ.
    let directions = (means * 2.0).expand(sets.dims());
    product_of_norms(Norms { lengths, directions }, images, sets, |gradient| gradient)
}

/// Of matrices S `[K, B, B]`.
pub(crate) fn mean_of_matrices<B: Backend>(matrices: Tensor<B, 3>) -> Result<Tensor<B, 1>, ObjectiveError> {
    let [_, images, _] = matrices.dims();
    // Divided before they are summed, so that no sum is larger than the largest entry.
    let lengths = (matrices.clone().detach() / images as f64).sum_dim(2).sum_dim(1) / images as f64;
    let directions = Tensor::full_like(&matrices, 1.0 / images as f64);
    product_of_norms(Norms { lengths, directions }, images, matrices, |gradient| gradient)
}
