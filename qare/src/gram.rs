use burn::tensor::{Tensor, backend::Backend};

use crate::qare::spectral_bound;
use crate::similarity::unit_embeddings;
use crate::spectrum::eigen_of;
use crate::{ObjectiveError, Views};

/// The set term of similarities without a floor, S_k = 1 + Ẑ_k Ẑ_kᵀ, of embeddings `[K·B, D]`.
///
/// S_k = F_k F_kᵀ with F_k = [1, Ẑ_k] `[B, D + 1]`, so its eigenvalues are those of F_kᵀ F_k `[D + 1, D + 1]` and zeros: the smaller of
/// the two matrices is decomposed, and for B > D + 1 the cost is linear in B. With V and λ of the Gram matrices,
/// ∂q/∂F_1 = 2 F_1 V_1 diag(λ_2) V_1ᵀ / (B(B − 1)).
pub(crate) fn floorless<B: Backend>(embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
    let sets = unit_embeddings(views.sets(embeddings)?); // [K, B, D]
    let [count, images, dim] = sets.dims();
    let ones = Tensor::ones([count, images, 1], (&sets.device(), sets.dtype()));
    let factors = Tensor::cat(vec![ones, sets], 2); // F: [K, B, D + 1]
    let transposed = factors.clone().transpose();
    let matrices = match images > dim + 1 {
        true => transposed.matmul(factors),
        false => factors.matmul(transposed),
    };
    let eigen = eigen_of(matrices.clone(), "the Gram matrix of view set")?;
    spectral_bound(matrices, eigen, images)
}
