//! Arithmetic in f64 that also bounds how far the same arithmetic in f32 can be off, by running error analysis (Higham, Accuracy
//! and Stability of Numerical Algorithms, section 3.3).

use std::ops::{Add, Mul, Sub};

/// Unit roundoff of f32.
const U: f64 = 1.0 / (1 << 24) as f64;

/// A value, and a bound on the error of its counterpart in f32.
#[derive(Clone, Copy, Debug)]
pub struct Approx {
    pub value: f64,
    pub error: f64,
}

impl Approx {
    /// A number that is an f32 already.
    pub fn exact(value: f64) -> Self {
        Self { value, error: 0.0 }
    }

    /// The same after so many more roundings.
    pub fn rounded(self, times: f64) -> Self {
        Self { error: self.error + times * U * (self.value.abs() + self.error), ..self }
    }

    pub fn relu(self) -> Self {
        Self { value: self.value.max(0.0), ..self }
    }
}

impl Add for Approx {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { value: self.value + other.value, error: self.error + other.error }.rounded(1.0)
    }
}

impl Sub for Approx {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { value: self.value - other.value, error: self.error + other.error }.rounded(1.0)
    }
}

impl Mul for Approx {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let error = self.value.abs() * other.error + other.value.abs() * self.error + self.error * other.error;
        Self { value: self.value * other.value, error }.rounded(1.0)
    }
}

/// A sum that f32 adds up in any order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    value: f64,
    magnitude: f64,
    error: f64,
}

impl Sum {
    pub fn add(&mut self, term: Approx) {
        self.value += term.value;
        self.magnitude += term.value.abs() + term.error;
        self.error += term.error;
    }

    /// The sum, if no term goes through more than so many additions.
    pub fn total(self, additions: usize) -> Approx {
        Approx { value: self.value, error: self.error + additions as f64 * U * self.magnitude }
    }
}

/// Panics unless all values found are as near as f32 promises.
pub fn assert_within(found: &[f32], expected: &[Approx], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(*found) - expected.value).abs();
        // One percent for the products of roundings that the bounds leave out.
        let tolerance = 1.01 * expected.error + f64::from(f32::MIN_POSITIVE);
        assert!(
            difference <= tolerance,
            "{what}: value {i} is {found} instead of {}, off by {difference:e} where f32 may be off by {tolerance:e}",
            expected.value
        );
    }
}
