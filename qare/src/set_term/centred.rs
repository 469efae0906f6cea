//! ‖J S_1 J‖_F ‖J S_2 J‖_F / (B(B−1)), with J = I − 11ᵀ/B.

use burn::tensor::{Tensor, backend::Backend};

use super::norms::{Entries, Norms, product_of_factors, product_of_norms};
use crate::similarity::unit_embeddings;
use crate::{ObjectiveError, Views};

/// Of similarities without a floor, J S_k J = X_k X_kᵀ with X_k = Ẑ_k less the mean of its rows `[B, D]`, of embeddings `[K·B, D]`.
pub(crate) fn centred<B: Backend>(embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
    let sets = unit_embeddings(views.sets(embeddings)?); // [K, B, D]
    product_of_factors(less_mean(sets.clone().detach(), 1), sets)
}

/// Of matrices s `[K, B, B]`; J(1 + s)J = J s J.
pub(crate) fn centred_of_matrices<B: Backend>(
    matrices: Tensor<B, 3>,
    entries: Entries,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let [_, images, _] = matrices.dims();
    let centred = less_mean(less_mean(matrices.clone().detach(), 1), 2);
    // J is symmetric and J J = J, so the derivative of ‖J s J‖ by s is that by J s J.
    product_of_norms(Norms::of(centred, entries, images), images, matrices, |gradient| gradient)
}

/// `[K, N, M]` less its mean along a dimension. What is alike all along it becomes exactly 0.
fn less_mean<B: Backend>(x: Tensor<B, 3>, along: usize) -> Tensor<B, 3> {
    // Relative to the first: with numbers that are nearly alike, their mean would be off by as much as they differ.
    let first = x.clone().narrow(along, 0, 1);
    let relative = x - first;
    let mean = relative.clone().mean_dim(along);
    relative - mean
}
