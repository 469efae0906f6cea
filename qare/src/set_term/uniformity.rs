//! log of the mean of exp(−2 ‖ẑ_i − ẑ_j‖²) over the pairs of a view set.

use burn::tensor::{Tensor, backend::Backend};
use qare_host::computes_on_host;

use crate::ObjectiveError;
use crate::gradient::with_large_gradient;
use crate::inspection::in_range;
use crate::views::diagonal;

/// Of matrices s `[K, B, B]`: ‖ẑ_i − ẑ_j‖² = 2 − 2 s_ij.
pub(crate) fn uniformity_of_matrices<B: Backend>(matrices: Tensor<B, 3>) -> Result<Tensor<B, 1>, ObjectiveError> {
    let device = matrices.device();
    let [sets, images, _] = matrices.dims();
    let others = diagonal::<B>(images, &device).unsqueeze::<3>().expand([sets, images, images]);
    let similarities = matrices.clone().detach().mask_fill(others, f64::NEG_INFINITY);
    // exp(4 s) is out of range for s > 22, so the largest is taken out.
    let largest = similarities.clone().max_dim(2).max_dim(1);
    let weights = ((similarities - largest.clone()) * 4.0).exp();
    let sums = weights.clone().sum_dim(2).sum_dim(1); // [K, 1, 1]
    let pairs = (images * (images - 1)) as f64;
    let values = (sums.clone() / pairs).log() + (largest - 1.0) * 4.0;
    let value = values.mean();
    if computes_on_host::<B>(&device) {
        in_range(&value, "the uniformity of the view sets")?;
    }
    if !B::ad_enabled(&device) {
        return Ok(value);
    }
    let gradient = weights * (sums.recip() * (4.0 / sets as f64));
    Ok(with_large_gradient(value, matrices, gradient))
}
