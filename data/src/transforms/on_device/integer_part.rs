//! Integer parts of tensors.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The integer part of values from 0 up with at most 23 fractional bits.
///
/// A value must be the result of an addition, or of a multiplication that is exact: where the remainder contracts with a product, it is
/// that of the exact product.
pub(super) fn dyadic_integer_part<B: Backend, const D: usize>(values: Tensor<B, D>) -> Tensor<B, D> {
    values.clone() - values.remainder_scalar(1.0)
}

/// The integer part of values from 0 up, as [`dyadic_integer_part`], with any number of fractional bits.
pub(super) fn integer_part<B: Backend, const D: usize>(values: Tensor<B, D>) -> Tensor<B, D> {
    // Only values below 1 have more than 23 fractional bits. CPU backends add 1 to a remainder and take it away again, which loses the
    // last of them.
    let below = values.clone().lower_elem(1.0);
    dyadic_integer_part(values).mask_fill(below, 0.0)
}

/// The integer part of quotients of integers from 0 up, with dividends below 2¹⁸, divisors from 1 to 510, and quotients up to 255, on
/// devices whose division has a relative error up to 2⁻²⁰.
pub(super) fn quotient<B: Backend, const D: usize>(dividends: Tensor<B, D>, divisors: Tensor<B, D>) -> Tensor<B, D> {
    // An integer may come out up to 2⁻¹² too small, and a quotient just below one is at least 1/510 short of it.
    integer_part(dividends / divisors + 1.0 / 1024.0)
}
