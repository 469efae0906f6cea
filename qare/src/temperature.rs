//! The temperature of a loss.

use burn::tensor::DType;

use crate::ObjectiveError;
use crate::inspection::overflow;

/// # Errors
/// When the temperature, called `parameter`, is not a positive number.
pub(crate) fn check(parameter: &'static str, temperature: f64) -> Result<f64, ObjectiveError> {
    match temperature > 0.0 && temperature.is_finite() {
        true => Ok(temperature),
        false => {
            Err(ObjectiveError::InvalidParameter { parameter, value: temperature, expected: "positive and finite" })
        }
    }
}

/// # Errors
/// When similarities over the temperature of `loss` leave the range of `dtype`.
pub(crate) fn fits(loss: &str, temperature: f64, dtype: DType) -> Result<(), ObjectiveError> {
    let largest = if dtype == DType::F64 { f64::MAX } else { f32::MAX.into() };
    match 2.0 / temperature <= largest {
        true => Ok(()),
        false => Err(overflow(format!("2/t at {loss}'s temperature t = {temperature:e}"), dtype)),
    }
}
