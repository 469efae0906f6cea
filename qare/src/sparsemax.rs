use burn::tensor::{Bool, ElementConversion, Tensor, backend::Backend};

/// The support of sparsemax of each row: 1 where sparsemax(z) > 0, else 0. `[N, M]` → `[N, M]`.
///
/// Found without sorting, by Michelot's fixed point: from S = {z > max z − 1}, repeat τ = (Σ_S z − 1)/|S|,
/// S ← S ∩ {z > τ} until S stands still, which it does exactly and in a few rounds. (The probabilities sum to one,
/// so nothing at max z − 1 or below is ever in the support.) Entries of −∞ are never in it. Constant with respect to `z`.
///
/// Source: Michelot, "A finite algorithm for finding the projection of a point onto the canonical simplex of Rⁿ" (1986);
/// Martins and Astudillo, "From Softmax to Sparsemax" (2016).
pub fn sparsemax_support<B: Backend>(z: Tensor<B, 2>) -> Tensor<B, 2> {
    let z = z.detach();
    let [_, width] = z.dims();
    let dtype = z.dtype();
    let size = |outside: &Tensor<B, 2, Bool>| outside.clone().bool_not().float().cast(dtype).sum_dim(1); // [N, 1]
    let mut outside = z.clone().lower_equal(z.clone().max_dim(1) - 1.0);
    let mut count = size(&outside);
    // |S| falls in every round that changes anything, so `width` rounds are always enough.
    for _ in 0..width {
        let sum = z.clone().mask_fill(outside.clone(), 0.0).sum_dim(1);
        let tau = (sum - 1.0) / count.clone(); // [N, 1]
        outside = outside.bool_or(z.clone().lower_equal(tau));
        let smaller = size(&outside);
        let change: f64 = (count - smaller.clone()).max().into_scalar().elem();
        count = smaller;
        // NaN compares false everywhere, so it ends the loop too.
        if change.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
            break;
        }
    }
    outside.bool_not().float().cast(dtype)
}

/// sparsemax(z) = argmin over the simplex of ‖p − z‖²: p_j = max(z_j − τ, 0). `[N, M]` → `[N, M]`, rows summing to 1.
///
/// Source: Martins and Astudillo, "From Softmax to Sparsemax" (2016), eq. 2.
pub fn sparsemax<B: Backend>(z: Tensor<B, 2>) -> Tensor<B, 2> {
    let support = sparsemax_support(z.clone());
    let count = support.clone().sum_dim(1);
    let outside = support.clone().equal_elem(0.0);
    let inside = z.mask_fill(outside, 0.0);
    let tau = (inside.clone().sum_dim(1) - 1.0) / count;
    inside - support * tau
}
