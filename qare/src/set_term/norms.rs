//! m(A_k) m(A_l) / (B(B−1)) of symmetric matrices A_k, with m a norm or a mean, as a function of the m and of the matrices. On a device
//! nothing is read back.

use burn::tensor::{Tensor, backend::Backend};
use qare_host::computes_on_host;

use crate::ObjectiveError;
use crate::gradient::with_large_gradient;
use crate::inspection::in_range;
use crate::range::Scale;
use crate::views::diagonal;

/// How large the entries of matrices may be.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Entries {
    /// As those of similarities of embeddings, or of their Gram matrices: their squares and sums of them are in range.
    OfCosines,
    /// Of any finite size.
    Any,
}

/// A function m of each of K matrices A_k `[K, N, N]` of B images each, off the graph: their Frobenius norms, unless named otherwise.
pub(super) struct Norms<B: Backend> {
    /// m(A_k) / B `[K, 1, 1]`.
    pub lengths: Tensor<B, 3>,
    /// ∂m/∂A_k `[K, N, N]`: A_k / ‖A_k‖_F, and 0 where that is 0/0.
    pub directions: Tensor<B, 3>,
}

impl<B: Backend> Norms<B> {
    /// Of the matrices of B = `images` images each.
    pub fn of(matrices: Tensor<B, 3>, entries: Entries, images: usize) -> Self {
        let matrices = matrices.detach();
        let scale = (entries == Entries::Any)
            .then(|| Scale::of(matrices.clone().abs().max_dim(2).max_dim(1), matrices.dtype()).scale);
        let scaled = match &scale {
            Some(scale) => matrices * scale.clone(),
            None => matrices,
        };
        let norms = (scaled.clone() * scaled.clone()).sum_dim(2).sum_dim(1).sqrt();
        // NaN is not filled in: it stays.
        let divisors = norms.clone().mask_fill(norms.clone().equal_elem(0.0), 1.0);
        let lengths = norms / images as f64;
        let lengths = match scale {
            Some(scale) => lengths / scale,
            None => lengths,
        };
        Self { lengths, directions: scaled / divisors }
    }
}

/// The mean of m(A_k) m(A_l) / (B(B−1)) over all pairs of K matrices of B = `images` images each, on the graph of `at`. `gradient` makes
/// the derivative with respect to `at`, `[K, …]`, of that with respect to the matrices.
pub(super) fn product_of_norms<B: Backend, const D: usize>(
    norms: Norms<B>,
    images: usize,
    at: Tensor<B, D>,
    gradient: impl FnOnce(Tensor<B, 3>) -> Tensor<B, D>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let Norms { lengths, directions } = norms;
    let device = lengths.device();
    let [sets, ..] = lengths.dims();
    let row = lengths.clone().reshape([1, sets]).expand([sets, sets]);
    // Sums over the others, not differences to the sum over all: one set may dwarf the rest.
    let others = row.mask_fill(diagonal::<B>(sets, &device), 0.0).sum_dim(1);
    let pairs = (sets * (sets - 1) / 2) as f64;
    let slopes = others * (images as f64 / ((images - 1) as f64 * pairs)); // B p_k: [K, 1]
    let value = (lengths.reshape([sets, 1]) * slopes.clone()).sum() / 2.0;
    if computes_on_host::<B>(&device) {
        in_range(&value, "the product of the norms of the view sets")?;
    }
    if !B::ad_enabled(&device) {
        return Ok(value);
    }
    let slopes = slopes.reshape([sets, 1, 1]) / images as f64;
    Ok(with_large_gradient(value, at, gradient(directions * slopes)))
}

/// The same of the matrices X_k X_kᵀ of factors X_k `[K, B, W]`, with the gradient at their last columns, which `at` `[K, B, D]` is; the
/// factors are off the graph.
///
/// X Xᵀ and Xᵀ X have one norm, and the smaller is made. With w = p/‖X Xᵀ‖, the gradient is 2 w X (Xᵀ X) or 2 w (X Xᵀ) X: for B > W the
/// cost is linear in B.
pub(super) fn product_of_factors<B: Backend>(
    factors: Tensor<B, 3>,
    at: Tensor<B, 3>,
) -> Result<Tensor<B, 1>, ObjectiveError> {
    let factors = factors.detach();
    let [_, images, width] = factors.dims();
    let dim = at.dims()[2];
    let transposed = factors.clone().transpose();
    let last = |wide: Tensor<B, 3>| wide.narrow(2, width - dim, dim);
    if images > width {
        let gradient = |weights: Tensor<B, 3>| factors.clone().matmul(last(weights)) * 2.0;
        let norms = Norms::of(transposed.matmul(factors.clone()), Entries::OfCosines, images);
        return product_of_norms(norms, images, at, gradient);
    }
    let gradient = |weights: Tensor<B, 3>| weights.matmul(last(factors.clone())) * 2.0;
    let norms = Norms::of(factors.clone().matmul(transposed), Entries::OfCosines, images);
    product_of_norms(norms, images, at, gradient)
}
