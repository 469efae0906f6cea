//! ‖S_1‖_F ‖S_2‖_F / (B(B−1)).

use burn::tensor::{Tensor, backend::Backend};

use super::norms::{Entries, Norms, product_of_factors, product_of_norms};
use crate::similarity::unit_embeddings;
use crate::{ObjectiveError, Views};

/// Of similarities without a floor, S_k = 1 + Ẑ_k Ẑ_kᵀ = F_k F_kᵀ with F_k = [1, Ẑ_k] `[B, D + 1]`, of embeddings `[K·B, D]`.
pub(crate) fn frobenius<B: Backend>(embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
    let sets = unit_embeddings(views.sets(embeddings)?); // [K, B, D]
    let [count, images, _] = sets.dims();
    let ones = Tensor::ones([count, images, 1], (&sets.device(), sets.dtype()));
    product_of_factors(Tensor::cat(vec![ones, sets.clone().detach()], 2), sets)
}

/// Of matrices S `[K, B, B]`.
pub(crate) fn frobenius_of_matrices<B: Backend>(
    matrices: Tensor<B, 3>,
    entries: Entries,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let [_, images, _] = matrices.dims();
    product_of_norms(Norms::of(matrices.clone(), entries, images), images, matrices, |gradient| gradient)
}
