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

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, TensorData};
    use burn_flex::{Flex, FlexDevice};

    use super::*;

    fn tensor(values: Vec<f32>) -> Tensor<Flex, 1> {
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), (&FlexDevice, DType::F32))
    }

    #[test]
    fn integer_parts_are_exact() {
        // Every integer with the values next to it, and values that need all bits below 1.
        let mut values: Vec<f32> = (0..=256u32).map(|value| value as f32).collect();
        values.extend((1..=256u32).flat_map(|value| [(value as f32).next_down(), (value as f32).next_up()]));
        values.extend((1..5000).map(|place| 1.0 - place as f32 * 2f32.powi(-24)));
        values.extend((0..5000).map(|place| place as f32 * 0.051_237));
        let expected: Vec<f32> = values.iter().map(|value| value.trunc()).collect();
        let found: Vec<f32> = integer_part(tensor(values.clone())).into_data().iter().collect();
        assert_eq!(found, expected);
        let dyadic: Vec<f32> = values.iter().map(|value| (value * 65536.0).round() / 65536.0).collect();
        let expected: Vec<f32> = dyadic.iter().map(|value| value.trunc()).collect();
        let found: Vec<f32> = dyadic_integer_part(tensor(dyadic)).into_data().iter().collect();
        assert_eq!(found, expected);
    }

    /// All quotients of the conversion to hue and saturation, and what an inexact division may make of them.
    #[test]
    fn quotients_have_room_for_an_inexact_division() {
        for divisor in 1..=510u32 {
            let dividends: Vec<u32> = (0..=255 * divisor).collect();
            let values = dividends.iter().map(|dividend| *dividend as f32).collect();
            let found = quotient(tensor(values), tensor(vec![divisor as f32; dividends.len()]));
            for (dividend, found) in dividends.into_iter().zip(found.into_data().iter::<f32>()) {
                assert_eq!(found, (dividend / divisor) as f32, "{dividend} / {divisor}");
                for error in [-1.0, 1.0] {
                    let inexact = f64::from(dividend) / f64::from(divisor) * (1.0 + error * 2f64.powi(-20));
                    assert_eq!((inexact as f32 + 1.0 / 1024.0).trunc(), found, "{dividend} / {divisor}");
                }
            }
        }
    }
}
