use burn::config::Config;
use burn::tensor::{Bool, Tensor, backend::Backend};

use crate::range::RowScale;
use crate::rounding::at_least_f32;

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

/// The similarities within sets of rows.
pub(crate) struct Similarities<B: Backend> {
    /// s `[S, N, N]`.
    pub matrix: Tensor<B, 3>,
    /// s_ii `[S, N, 1]`, off the graph: exactly 1 unless the row is short.
    pub own: Tensor<B, 3>,
    /// Which rows are too short for s_ii = 1 `[S, N, 1]`.
    pub short: Tensor<B, 3, Bool>,
}

impl Similarity {
    /// All similarities within each of the S sets of `embeddings`: `[S, N, D]` → `[S, N, N]`.
    ///
    /// Rows of any finite length are told apart, whatever the lengths of the others: nothing on the way to a similarity, or back
    /// to the gradient, leaves the range of the numbers unless the result does. A zero row has similarity 0 (or the floor) to
    /// every row, itself included. Computed in f32 at least; of the type of the embeddings.
    pub fn matrix<B: Backend>(self, embeddings: Tensor<B, 3>) -> Tensor<B, 3> {
        let dtype = embeddings.dtype();
        self.within(at_least_f32(embeddings)).matrix.cast(dtype)
    }

    /// The similarities of `rows` `[N, D]` with `others` `[M, D]`: `[N, M]`.
    pub(crate) fn between<B: Backend>(self, rows: Tensor<B, 2>, others: Tensor<B, 2>) -> Tensor<B, 2> {
        let (rows, others) = (rows.unsqueeze::<3>(), others.unsqueeze::<3>());
        let matrix = match self {
            Similarity::Cosine => {
                let [of_rows, of_others] = [&rows, &others].map(RowScale::of);
                let [a, b] = [&of_rows, &of_others].map(|lengths| roots_of(lengths).max_dim(1));
                let largest = a.max_pair(b);
                CosineRows::new(rows, of_rows, largest.clone()).with(&CosineRows::new(others, of_others, largest))
            }
            Similarity::FlooredCosine => {
                let [rows, others] = [rows, others].map(|of| UnitEmbeddings::floored(of).unit);
                rows.matmul(others.transpose()).clamp_min(SIMILARITY_FLOOR)
            }
        };
        matrix.squeeze_dim(0)
    }

    pub(crate) fn within<B: Backend>(self, embeddings: Tensor<B, 3>) -> Similarities<B> {
        let embeddings = in_order(embeddings);
        match self {
            Similarity::Cosine => cosine(embeddings),
            Similarity::FlooredCosine => floored_cosine(embeddings),
        }
    }
}

fn floored_cosine<B: Backend>(embeddings: Tensor<B, 3>) -> Similarities<B> {
    let rows = UnitEmbeddings::floored(embeddings);
    let matrix = rows.unit.clone().matmul(rows.unit.transpose()).clamp_min(SIMILARITY_FLOOR);
    let own = (rows.share.clone() * rows.share).clamp_min(SIMILARITY_FLOOR);
    Similarities { matrix, own, short: rows.short }
}

/// With n = max(‖z‖, μ) in place of the norms and u = z / n, s_ij = (u_i·u_j) min(n_i n_j / 1e-8, 1). That is the same for every
/// μ for which all pairs with a shorter row than μ have n_i n_j < 1e-8. A μ close to the largest such, 1e-8 / max(‖z‖_max, 1e-4),
/// keeps the factors of both the similarity and its gradient as near to 1 as can be.
struct CosineRows<B: Backend> {
    rows: UnitEmbeddings<B>,
    /// √(n / 1e-4), with its derivative `[S, N, 1]`.
    grown: Tensor<B, 3>,
    /// The same, off the graph.
    roots: Tensor<B, 3>,
}

/// √‖z‖ of each row `[S, N, 1]`, off the graph. It is in range wherever the length is that of a row.
fn roots_of<B: Backend>(lengths: &RowScale<B>) -> Tensor<B, 3> {
    lengths.norms.clone().sqrt() * lengths.root_unit.clone()
}

impl<B: Backend> CosineRows<B> {
    /// Given the largest √‖z‖ of all sets of rows that are compared `[S, 1, 1]`.
    fn new(embeddings: Tensor<B, 3>, lengths: RowScale<B>, largest: Tensor<B, 3>) -> Self {
        let root_floor = SIMILARITY_FLOOR.sqrt();
        let roots = roots_of(&lengths);
        let least = largest.clamp_min(root_floor.sqrt()).recip() * (0.99 * root_floor); // √μ: [S, 1, 1]
        let floor = least.clone() / lengths.root_unit.clone();
        let rows = UnitEmbeddings::new(embeddings, lengths, floor.clone() * floor);
        let roots = roots.max_pair(least.expand(rows.share.dims())) / root_floor.sqrt();
        // n grows with z as the radial part of u does, above μ.
        let grown = roots.clone() * (rows.radial.clone() * 0.5 + 1.0);
        Self { rows, grown, roots }
    }

    /// s `[S, N, M]` of these rows with others.
    fn with(&self, other: &Self) -> Tensor<B, 3> {
        let factors = self.grown.clone().matmul(other.grown.clone().transpose()).clamp_max(1.0); // √min(n_i n_j / 1e-8, 1)
        self.rows.unit.clone().matmul(other.rows.unit.clone().transpose()) * (factors.clone() * factors)
    }
}

fn cosine<B: Backend>(embeddings: Tensor<B, 3>) -> Similarities<B> {
    let lengths = RowScale::of(&embeddings);
    let largest = roots_of(&lengths).max_dim(1);
    let rows = CosineRows::new(embeddings, lengths, largest);
    let matrix = rows.with(&rows);
    let own = (rows.roots.clone() * rows.roots).clamp_max(1.0) * rows.rows.share;
    let short = own.clone().lower_elem(1.0);
    Similarities { matrix, own: own.clone() * own, short }
}

/// ẑ = z / max(‖z‖, 1e-12), for each row: `[S, N, D]` → `[S, N, D]`.
pub(crate) fn unit_embeddings<B: Backend>(embeddings: Tensor<B, 3>) -> Tensor<B, 3> {
    UnitEmbeddings::floored(in_order(embeddings)).unit
}

/// The same numbers, in memory in the order of their dimensions. What ndarray (of Burn 0.21) makes of a comparison of others with a
/// number is in the order of the memory instead.
fn in_order<B: Backend>(sets: Tensor<B, 3>) -> Tensor<B, 3> {
    let shape @ [count, ..] = sets.dims();
    if count == 1 { sets } else { sets.reshape([-1]).reshape(shape) }
}

/// u = z / n with n = max(‖z‖, floor).
///
/// The derivative, (I − uuᵀ)/n above the floor and 1/n below it, is put together from constants and products: the
/// gradients of near-parallel embeddings are all but radial, and dividing on the graph would leave them to noise.
struct UnitEmbeddings<B: Backend> {
    /// u `[S, N, D]`.
    unit: Tensor<B, 3>,
    /// 0 `[S, N, 1]`, with the derivative of log n, save that this is zero below the floor.
    radial: Tensor<B, 3>,
    /// ‖u‖ `[S, N, 1]`, off the graph: exactly 1 above the floor.
    share: Tensor<B, 3>,
    /// Which rows are not above the floor `[S, N, 1]`.
    short: Tensor<B, 3, Bool>,
}

impl<B: Backend> UnitEmbeddings<B> {
    fn floored(embeddings: Tensor<B, 3>) -> Self {
        let lengths = RowScale::of(&embeddings);
        let floor = lengths.scale.clone() * NORM_FLOOR;
        Self::new(embeddings, lengths, floor)
    }

    /// Given the floor `[S, N, 1]` in each row's own unit.
    fn new(embeddings: Tensor<B, 3>, lengths: RowScale<B>, floor: Tensor<B, 3>) -> Self {
        let RowScale { scale, norms, .. } = lengths;
        let short = norms.clone().lower_equal(floor.clone());
        let above = Tensor::ones_like(&norms).mask_fill(short.clone(), 0.0);
        let divisors = norms.clone().max_pair(floor);
        let embeddings = embeddings * scale;
        let direction = embeddings.clone().detach() / divisors.clone();
        let scaled = embeddings * (Tensor::ones_like(&divisors) / divisors.clone());
        let radial = (scaled.clone() * direction.clone()).sum_dim(2); // ẑ·ẑ
        let radial = (radial.clone() - radial.detach()) * above;
        let share = (norms / divisors).mask_fill(short.clone().bool_not(), 1.0);
        Self { unit: scaled - radial.clone() * direction, radial, share, short }
    }
}
