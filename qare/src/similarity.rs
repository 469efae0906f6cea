use burn::config::Config;
use burn::tensor::{Tensor, backend::Backend};

/// Least norm that an embedding is divided by.
pub const NORM_FLOOR: f64 = 1e-12;
/// Floor of [`Similarity::FlooredCosine`], and the least product of norms of [`Similarity::Cosine`].
pub const SIMILARITY_FLOOR: f64 = 1e-8;

/// How alike two embeddings are.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Similarity {
    /// s_ij = z_i·z_j / max(‖z_i‖‖z_j‖, 1e-8), in [−1, 1].
    Cosine,
    /// ẑ = z / max(‖z‖, 1e-12), s_ij = max(ẑ_i·ẑ_j, 1e-8), in (0, 1]. No gradient flows where the floor is active.
    FlooredCosine,
}

impl Similarity {
    /// All similarities within each of the S sets of `embeddings`: `[S, N, D]` → `[S, N, N]`.
    ///
    /// A zero row has similarity 0 (or the floor) to every row, itself included.
    pub fn matrix<B: Backend>(self, embeddings: Tensor<B, 3>) -> Tensor<B, 3> {
        let norms = row_norms(embeddings.clone()); // [S, N, 1]
        let unit = unit_rows(embeddings, norms.clone().detach());
        let similarity = unit.clone().matmul(unit.transpose());
        match self {
            Similarity::Cosine => {
                // ‖z_i‖‖z_j‖ / max(‖z_i‖‖z_j‖, 1e-8), which is 1 but for the shortest embeddings.
                let products = norms.clone().matmul(norms.transpose());
                similarity * (products / SIMILARITY_FLOOR).clamp_max(1.0)
            }
            Similarity::FlooredCosine => similarity.clamp_min(SIMILARITY_FLOOR),
        }
    }
}

/// ẑ = z / max(‖z‖, 1e-12), for each row: `[S, N, D]` → `[S, N, D]`.
pub(crate) fn unit_embeddings<B: Backend>(embeddings: Tensor<B, 3>) -> Tensor<B, 3> {
    let norms = row_norms(embeddings.clone()).detach();
    unit_rows(embeddings, norms)
}

/// max(‖z‖, 1e-12) of each row: `[S, N, D]` → `[S, N, 1]`. The floor stands under the root, where it also keeps
/// the gradient of a zero row from being 0/0.
fn row_norms<B: Backend>(embeddings: Tensor<B, 3>) -> Tensor<B, 3> {
    (embeddings.clone() * embeddings).sum_dim(2).clamp_min(NORM_FLOOR * NORM_FLOOR).sqrt()
}

/// ẑ = z / max(‖z‖, 1e-12), given the divisor off the graph.
///
/// The derivative, (I − ẑẑᵀ)/‖z‖ above the floor and 1/1e-12 below it, is put together from constants and products: the
/// gradients of near-parallel embeddings are all but radial, and dividing on the graph would leave them to noise.
fn unit_rows<B: Backend>(embeddings: Tensor<B, 3>, norms: Tensor<B, 3>) -> Tensor<B, 3> {
    let above = norms.clone().greater_elem(NORM_FLOOR).float().cast(norms.dtype());
    let direction = embeddings.clone().detach() / norms.clone();
    let scaled = embeddings * (Tensor::ones_like(&norms) / norms);
    let radial = (scaled.clone() * direction.clone()).sum_dim(2); // ẑ·ẑ
    let radial = radial.clone() - radial.detach();
    scaled - radial * (direction * above)
}
