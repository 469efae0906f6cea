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
    /// Of all images, from the mean and the sum of squared distances of each (Chan, Golub & LeVeque 1979, for parts of one
    /// size), `[N, C]`.
    ///
    /// # Panics
    ///
    /// If a channel has fewer than two values.
    pub(crate) fn of_images(means: &[f32], squares: &[f32], channels: usize, pixels: usize) -> Self {
        let images = means.len() / channels;
        let count = images * pixels;
        assert!(count > 1, "BatchNorm: training needs more than one value per channel, the input has {count}");
        let channel =
            |of: &[f32], c: usize| -> Vec<f64> { of.iter().skip(c).step_by(channels).map(|v| f64::from(*v)).collect() };
        let (mean, variance) = (0..channels)
            .map(|c| {
                let of_images = channel(means, c);
                let mean = of_images.iter().sum::<f64>() / images as f64;
                let between: f64 = of_images.iter().map(|of_image| (of_image - mean).powi(2)).sum();
                let within: f64 = channel(squares, c).iter().sum();
                (mean as f32, ((within + between * pixels as f64) / count as f64) as f32)
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

    pub(crate) fn affine(&self) -> Affine<'_> {
        Affine::new(&self.mean, &self.scale, &self.shift)
    }
}
