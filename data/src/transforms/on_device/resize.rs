//! Crop, resize and flip: one pass for each axis, with gathered neighbours.
//!
//! The crop of a view never shrinks, so each position has two neighbours. Products with a matrix of weights would do as well for any
//! number of them, but matrix units of GPUs round to TF32, and of the sums of a matrix nearly all terms are zero.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

use super::integer_part::dyadic_integer_part;
use super::table::{Axis, HALF_BITS, WEIGHTS};

/// Resamples an axis of views `[B, K, 3, H, W]`, and rounds to 8 bits.
///
/// `first` holds the first neighbour of each position, `[B, K, 1, 1, W]` for columns and `[B, K, 1, H, 1]` for rows; the second is
/// the next one. `weights` are the halves of the weights in the order of the table, of the same shape.
pub(super) fn resample<B: Backend>(
    views: Tensor<B, 5>,
    axis: Axis,
    first: Tensor<B, 5, Int>,
    weights: [Tensor<B, 5>; WEIGHTS],
) -> Tensor<B, 5> {
    let shape = views.dims();
    let dim = match axis {
        Axis::Rows => 3,
        Axis::Columns => 4,
    };
    // Past the border, the weight is 0.
    let second = first.clone().add_scalar(1).clamp_max(shape[dim] as i64 - 1);
    let first = views.clone().gather(dim, first.expand(shape));
    let second = views.gather(dim, second.expand(shape));
    // The sum of pixels of 8 bits times weights of 22 bits has more bits than an `f32`. Each half of it has fewer, and with halves
    // h and l of n bits, ⌊(h·2ⁿ + l + 2²ⁿ⁻¹) / 2²ⁿ⌋ = ⌊(h + ⌊l / 2ⁿ⌋ + 2ⁿ⁻¹) / 2ⁿ⌋.
    let [first_high, first_low, second_high, second_low] = weights;
    let low = first.clone() * first_low + second.clone() * second_low;
    let high = first * first_high + second * second_high;
    let unit = 1.0 / f64::from(1 << HALF_BITS);
    let carried = dyadic_integer_part(low * unit);
    dyadic_integer_part((high + carried + f64::from(1 << (HALF_BITS - 1))) * unit)
}
