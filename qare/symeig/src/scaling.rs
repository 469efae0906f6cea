//! Scaling by a power of two, where entries are too small or too large for squares and tolerances in f32.

use std::ops::Range;

/// Largest magnitudes of an entry with which a matrix is reduced as it is.
///
/// The deflation tolerance of divide and conquer is relative to max(‖T‖, |z|) with |z| ≤ 1, so ‖T‖ must not be much less than 1.
/// The squares of entries below 2¹² sum up to less than f32's largest number for every order that fits into memory.
const UNSCALED: Range<f32> = 0.5..4096.0;

/// The power of two that brings the largest magnitude of an entry to 1 or up to 2.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaling {
    /// Factors of the entries: subnormal entries need more than one f32 can be.
    pub factors: [f32; 2],
    /// What an eigenvalue of the scaled matrix is to be multiplied by.
    pub unit: f64,
}

impl Scaling {
    /// For a matrix whose largest magnitude is `largest`; none where it needs no scaling.
    pub fn of(largest: f32) -> Option<Self> {
        if largest == 0.0 || UNSCALED.contains(&largest) {
            return None;
        }
        // Every f32 other than 0 is a normal f64.
        let exponent = (f64::from(largest).to_bits() >> 52) as i64 - 1023;
        let power = |exponent: i64| f64::from_bits(((1023 + exponent) as u64) << 52);
        let half = -exponent / 2;
        Some(Self { factors: [power(half) as f32, power(-exponent - half) as f32], unit: power(exponent) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_entry_is_scaled_to_between_1_and_2() {
        for largest in [f32::MAX, 1e30, 4096.0, 0.4999, 1e-30, f32::MIN_POSITIVE, 1e-40, f32::from_bits(1)] {
            let Scaling { factors, unit } = Scaling::of(largest).unwrap();
            let scaled = largest * factors[0] * factors[1];
            assert!((1.0..2.0).contains(&scaled), "{largest:e} became {scaled}");
            assert_eq!(f64::from(scaled) * unit, f64::from(largest));
        }
    }

    #[test]
    fn entries_of_usual_size_are_left_alone() {
        for largest in [0.0, 0.5, 1.0, 2.0, 4095.0] {
            assert_eq!(Scaling::of(largest), None);
        }
    }
}
