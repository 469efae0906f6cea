//! A term as a number and a gradient, on its way from the host to the graph.

use burn::tensor::{DType, Tensor, TensorData, backend::Backend};

/// A term's value, and its derivative with respect to the unit rows if that was asked for.
#[cfg_attr(not(feature = "host"), allow(dead_code))]
pub(crate) struct Term {
    pub value: f64,
    pub gradient: Option<Vec<f32>>,
}

#[cfg(feature = "host")]
impl Term {
    /// weight · self.
    pub fn scaled(self, weight: f64) -> Self {
        let scale = |gradient: Vec<f32>| gradient.into_iter().map(|g| g * weight as f32).collect();
        Self { value: weight * self.value, gradient: self.gradient.map(scale) }
    }

    /// a · self + b · other.
    pub fn weighted_sum(self, a: f64, other: Self, b: f64) -> Self {
        let mut sum = self.scaled(a);
        sum.value += b * other.value;
        if let (Some(gradient), Some(other)) = (&mut sum.gradient, other.gradient) {
            gradient.iter_mut().zip(other).for_each(|(g, other)| *g += b as f32 * other);
        }
        sum
    }
}

/// α·pairwise + β·set term, and the values of the two.
pub(crate) struct WeightedTerms {
    pub pairwise: f64,
    pub qare: Option<f64>,
    pub total: Term,
}

/// The value of a loss, and its gradient if that was asked for.
pub(crate) struct DistanceTerm {
    pub value: f64,
    pub gradient: Option<DistanceGradient>,
}

/// With respect to rows of length one.
pub(crate) struct DistanceGradient {
    /// `[N, D]`.
    pub rows: Vec<f32>,
    /// `[M, D]`.
    pub references: Option<Vec<f32>>,
}

/// A number as a tensor `[1]` of f32.
pub(crate) fn scalar<B: Backend>(value: f64, device: &B::Device) -> Tensor<B, 1> {
    Tensor::from_data(TensorData::from([value as f32]), (device, DType::F32))
}
