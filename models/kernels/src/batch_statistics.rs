//! Statistics of the channels over a batch, and the normalisation with them.

use crate::normalization::Affine;

/// Mean and biased variance of each channel over a batch.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// `[C]`
    pub mean: Vec<f32>,
    /// `[C]`
    pub variance: Vec<f32>,
    /// Number of values of a channel: images × pixels.
    pub count: usize,
}

impl BatchStatistics {
    /// Of all images, from the mean and the sum of squared distances of each, `[N, C]`.
    ///
    /// # Panics
    ///
    /// If a channel has fewer than two values.
    pub(crate) fn of_images(means: &[f32], squares: &[f32], channels: usize, pixels: usize) -> Self {
        Self::of_parts(means, squares, channels, [means.len() / channels * pixels, pixels])
    }

    /// Of `count` values of each channel in parts of `part`, of which the last may be smaller, from the mean and the sum of squared
    /// distances of each (Chan, Golub & LeVeque 1979), `[parts, C]`.
    ///
    /// # Panics
    ///
    /// If a channel has fewer than two values.
    pub(crate) fn of_parts(means: &[f32], squares: &[f32], channels: usize, [count, part]: [usize; 2]) -> Self {
        assert!(count > 1, "BatchNorm: training needs more than one value per channel, the input has {count}");
        let channel =
            |of: &[f32], c: usize| -> Vec<f64> { of.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect() };
        let lens: Vec<f64> = (0..count).step_by(part).map(|first| part.min(count - first) as f64).collect();
        let (mean, variance) = (0..channels)
            .map(|c| {
                let parts = channel(means, c);
                let parts = || lens.iter().zip(&parts);
                let mean = parts().map(|(len, of_part)| len * of_part).sum::<f64>() / count as f64;
                let between: f64 = parts().map(|(len, of_part)| len * (of_part - mean).powi(2)).sum();
                let within: f64 = channel(squares, c).iter().sum();
                (mean as f32, ((within + between) / count as f64) as f32)
            })
            .unzip();
        Self { mean, variance, count }
    }
}

/// Batch normalisation with given statistics, y = γ·(z − mean)/√(variance + ε) + β for each channel.
#[derive(Clone, Debug)]
pub struct Normalization {
    mean: Vec<f32>,
    inverse_deviation: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Normalization {
    /// With mean and biased variance, scale γ and shift β, each `[C]`.
    ///
    /// # Panics
    ///
    /// If there are no channels, or not one value of each for a channel.
    pub fn new(mean: Vec<f32>, variance: &[f32], epsilon: f64, gamma: &[f32], beta: &[f32]) -> Self {
        let channels = mean.len();
        assert!(channels > 0 && [variance, gamma, beta].iter().all(|of| of.len() == channels));
        let inverse_deviation: Vec<f32> =
            variance.iter().map(|variance| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32).collect();
        let scale = gamma.iter().zip(&inverse_deviation).map(|(gamma, inverse)| gamma * inverse).collect();
        Self { mean, inverse_deviation, scale, shift: beta.to_vec() }
    }

    /// Number of channels C.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// 1/√(variance + ε)
    pub(crate) fn inverse_deviation(&self) -> &[f32] {
        &self.inverse_deviation
    }

    /// γ/√(variance + ε)
    pub(crate) fn scale(&self) -> &[f32] {
        &self.scale
    }

    /// The gradient of γ, from Σ g·(z − mean).
    pub(crate) fn gamma_gradient(&self, products: &[f64]) -> Vec<f32> {
        let of_channels = products.iter().zip(&self.inverse_deviation);
        of_channels.map(|(product, inverse)| (product * f64::from(*inverse)) as f32).collect()
    }

    pub(crate) fn affine(&self) -> Affine<'_> {
        Affine::new(&self.mean, &self.scale, &self.shift)
    }
}
