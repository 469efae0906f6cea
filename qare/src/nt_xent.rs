use burn::config::Config;
use burn::tensor::{Tensor, backend::Backend};

use crate::gradient::with_gradient;
use crate::views::diagonal;
use crate::{ObjectiveError, Similarity, Views};

/// How NT-Xent reduces the probabilities of its positives to one number.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum NtXentReduction {
    /// −log(mean p), as the reference implementation of QARe computes it.
    LogOfMean,
    /// −mean(log p), as Chen et al. (2020) write it.
    MeanOfLogs,
}

/// Configuration of [`NtXent`].
#[derive(Config, Debug)]
pub struct NtXentConfig {
    /// Temperature t > 0.
    #[config(default = 0.5)]
    pub temperature: f64,
    /// What is contrasted.
    #[config(default = "Similarity::Cosine")]
    pub similarity: Similarity,
    /// How the positives' probabilities become a loss.
    #[config(default = "NtXentReduction::LogOfMean")]
    pub reduction: NtXentReduction,
}

impl NtXentConfig {
    /// The loss.
    ///
    /// # Panics
    /// When the temperature is not a positive number.
    pub fn init(&self) -> NtXent {
        assert!(
            self.temperature > 0.0 && self.temperature.is_finite(),
            "NT-Xent's temperature is {}: it has to be positive",
            self.temperature
        );
        NtXent { temperature: self.temperature, similarity: self.similarity, reduction: self.reduction }
    }
}

/// Normalised temperature-scaled cross entropy (NT-Xent), the pairwise term of SimCLR.
///
/// With similarities s over all N = K·B rows and P(i) the K − 1 other views of row i's image,
///
/// ```text
/// p_ip = exp(s_ip/t) / (Σ_j exp(s_ij/t) − exp(1/t)),   p ∈ P(i)
/// L    = −log(mean over i and p of p_ip)               (LogOfMean)
///      = −mean over i and p of log p_ip                (MeanOfLogs)
/// ```
///
/// The gradient takes s_ii for the constant that it is, save in rows shorter than 1e-4.
///
/// Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (2020), eq. 1.
#[derive(Clone, Debug)]
pub struct NtXent {
    temperature: f64,
    similarity: Similarity,
    reduction: NtXentReduction,
}

impl NtXent {
    /// The loss `[1]` of embeddings `[K·B, D]`.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images.
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let [rows, _] = embeddings.dims();
        views.images(rows)?;
        let device = embeddings.device();
        let similarity = self.similarity.matrix(embeddings.unsqueeze()).squeeze_dim(0); // [N, N]
        let (dtype, t) = (similarity.dtype(), self.temperature);
        let mask = views.positives::<B>(rows, &device).float().cast(dtype);
        let positives = mask / (views.count() - 1) as f64; // each row sums to 1
        let itself = diagonal::<B>(rows, &device).float().cast(dtype);

        // exp((s − 1)/t) instead of exp(s/t): the same ratio, and nothing overflows at a low temperature. The −exp(1/t)
        // of the denominator becomes −1, taken off on the diagonal, where the 1 stands: only others are left.
        let shifted = (similarity.clone().detach() - 1.0) / t;
        let others = shifted.clone().exp() - itself;
        let denominator = others.clone().sum_dim(1); // [N, 1]
        let weight = 1.0 / (t * rows as f64);
        let (value, gradient) = match self.reduction {
            NtXentReduction::LogOfMean => {
                let p = (others.clone() * positives.clone()).sum_dim(1) / denominator.clone(); // [N, 1]
                let mean = p.clone().mean();
                // ∂L/∂s_ij = w_ij (p_i − [j ∈ P(i)]/(K − 1)) / (d_i t N mean p)
                let scale = Tensor::ones_like(&denominator) * weight / (denominator * mean.clone().reshape([1, 1]));
                (mean.log().neg(), others * (p - positives) * scale)
            }
            NtXentReduction::MeanOfLogs => {
                let positive = (shifted * positives.clone()).sum_dim(1);
                let value = (denominator.clone().log() - positive).mean();
                (value, (others / denominator - positives) * weight)
            }
        };
        Ok(with_gradient(value, similarity, gradient))
    }
}
