use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::tensor::{Tensor, backend::Backend};

/// What a batch normalisation knows of all batches, and how it learns from the next.
#[derive(Clone, Debug)]
pub(crate) struct RunningStatistics<B: Backend> {
    /// `[C]`
    pub mean: Tensor<B, 1>,
    /// Unbiased, `[C]`.
    pub variance: Tensor<B, 1>,
    /// Number of batches, `[1]`.
    pub batches: Tensor<B, 1>,
    /// Weight of the next batch.
    pub momentum: f64,
}

impl<B: Backend> RunningStatistics<B> {
    /// After a batch with this mean and unbiased variance, each `[C]`.
    pub fn after(self, [mean, variance]: [Tensor<B, 1>; 2]) -> Self {
        let moved = |old: Tensor<B, 1>, batch: Tensor<B, 1>| old * (1.0 - self.momentum) + batch * self.momentum;
        Self {
            mean: moved(self.mean, mean),
            variance: moved(self.variance, variance),
            batches: self.batches + 1.0,
            momentum: self.momentum,
        }
    }
}

impl<B: Backend, C: CheckpointStrategy> RunningStatistics<Autodiff<B, C>> {
    pub fn inner(self) -> RunningStatistics<B> {
        let [mean, variance, batches] = [self.mean, self.variance, self.batches].map(Tensor::inner);
        RunningStatistics { mean, variance, batches, momentum: self.momentum }
    }

    pub fn from_inner(of: RunningStatistics<B>) -> Self {
        let [mean, variance, batches] = [of.mean, of.variance, of.batches].map(Tensor::from_inner);
        Self { mean, variance, batches, momentum: of.momentum }
    }
}
