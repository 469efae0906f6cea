use burn::config::Config;
use burn::tensor::{Tensor, backend::Backend};

use crate::gradient::with_gradient;
use crate::host::UnitRows;
use crate::rounding::at_least_f32;
use crate::views::diagonal;
use crate::{ObjectiveError, PairwiseTerm, Similarity, Views};

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
    pub(crate) temperature: f64,
    pub(crate) similarity: Similarity,
    pub(crate) reduction: NtXentReduction,
}

impl NtXent {
    /// The loss `[1]` of embeddings `[K·B, D]`, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When the rows are not K views each of at least 2 images.
    pub fn forward<B: Backend>(&self, embeddings: Tensor<B, 2>, views: Views) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let Some(rows) = UnitRows::of(&embeddings) else { return self.forward_generic(embeddings, views) };
        let term = rows.pairwise(&PairwiseTerm::NtXent(self.clone()), views, B::ad_enabled(&embeddings.device()))?;
        Ok(rows.attach(term, embeddings))
    }

    /// The same in tensor operations alone, which is what [`forward`](Self::forward) does off the CPU.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_generic<B: Backend>(
        &self,
        embeddings: Tensor<B, 2>,
        views: Views,
    ) -> Result<Tensor<B, 1>, ObjectiveError> {
        let embeddings = at_least_f32(embeddings);
        let [rows, _] = embeddings.dims();
        views.images(rows)?;
        let device = embeddings.device();
        let similarity = self.similarity.matrix(embeddings.unsqueeze()).squeeze_dim(0); // [N, N]
        let (dtype, t) = (similarity.dtype(), self.temperature);
        let mask = views.positives::<B>(rows, &device).float().cast(dtype);
        let positives = mask / (views.count() - 1) as f64; // each row sums to 1
        let itself = diagonal::<B>(rows, &device);

        // All exponentials of a row are taken relative to its largest: the same ratios, and at a low temperature neither
        // overflow nor 0/0.
        let constant = similarity.clone().detach();
        let own = constant.clone().mask_fill(itself.clone().bool_not(), 0.0).sum_dim(1); // s_ii: [N, 1]
        let largest = constant.clone().mask_fill(itself.clone(), f64::NEG_INFINITY).max_dim(1);
        let shifted = (constant - largest.clone()) / t;
        let others = shifted.clone().exp().mask_fill(itself, 0.0);
        // exp(s_ii/t) − exp(1/t), which is 0 but for rounding unless the row is shorter than 1e-4. At a low temperature
        // that rounding would drown all others.
        let ordinary = own.clone().sub_scalar(1.0).abs().lower_elem(1e-4);
        let surplus = ((own - largest.clone()) / t).exp() - ((largest.neg() + 1.0) / t).exp();
        let denominator = others.clone().sum_dim(1) + surplus.mask_fill(ordinary, 0.0); // [N, 1]
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
