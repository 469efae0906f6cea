use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Int, Tensor, backend::Backend};

use super::log_sum::LogOnePlusSum;
use super::proxies::{ProxyPairs, drawn};
use crate::ObjectiveError;
use crate::gradient::with_gradient;
use crate::temperature::{check, fits};

/// Configuration of [`NormalizedSoftmax`].
#[derive(Config, Debug)]
pub struct NormalizedSoftmaxConfig {
    /// C, the number of identities.
    pub identities: usize,
    /// D, the dimension of the embeddings.
    pub dim: usize,
    /// Temperature t > 0.
    #[config(default = 0.05)]
    pub temperature: f64,
}

impl NormalizedSoftmaxConfig {
    /// The loss, with proxies drawn from the standard normal distribution.
    ///
    /// # Errors
    /// When there is no identity or no dimension, or the temperature is not a positive number.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<NormalizedSoftmax<B>, ObjectiveError> {
        let temperature = check("the normalised softmax's temperature", self.temperature)?;
        Ok(NormalizedSoftmax { proxies: drawn(self.identities, self.dim, 1.0, device)?, temperature })
    }
}

/// The normalised softmax loss: cross entropy of the cosine similarities with a learned proxy of each identity.
///
/// With s the cosine similarities of rows and proxies, and y_i the label of row i,
///
/// ```text
/// L = −mean over i of log( exp(s_{i,y_i}/t) / Σ_c exp(s_ic/t) )
/// ```
///
/// Equals pytorch-metric-learning's `NormalizedSoftmaxLoss`, whose `W` `[D, C]` is the transpose of the proxies.
///
/// Source: Zhai, Wu, "Classification is a Strong Baseline for Deep Metric Learning" (BMVC 2019).
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct NormalizedSoftmax<B: Backend> {
    /// A direction for each identity `[C, D]`; its length has no effect.
    pub proxies: Param<Tensor<B, 2>>,
    temperature: f64,
}

impl<B: Backend> ModuleDisplay for NormalizedSoftmax<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [identities, dim] = self.proxies.dims();
        content.add("identities", &identities).add("dim", &dim).add("temperature", &self.temperature).optional()
    }
}

impl<B: Backend> NormalizedSoftmax<B> {
    /// The loss `[1]` of embeddings `[N, D]` with labels `[N]` from 0 to C − 1, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// As [`ProxyAnchor::forward`](super::ProxyAnchor::forward).
    pub fn forward(&self, embeddings: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let pairs = ProxyPairs::new(embeddings, labels, &self.proxies)?;
        let (similarity, t) = (pairs.similarities(), self.temperature);
        fits("the normalised softmax", t, similarity.dtype())?;
        let s = similarity.clone().detach();
        let CrossEntropy { losses, others } = CrossEntropy::of(&pairs, (s.clone() - pairs.of_own(s)) / t);
        let rows = losses.dims()[0] as f64;
        // The derivatives by all logits of a row come to 0.
        let own = others.clone().sum_dim(1).neg().expand(others.dims());
        let gradient = others.mask_where(pairs.own.clone(), own) / (t * rows);
        let loss = with_gradient(losses.mean(), similarity, gradient);
        pairs.guard.checked(loss, "the normalised softmax loss")
    }
}

/// The cross entropy of rows of logits.
pub(super) struct CrossEntropy<B: Backend> {
    /// −log of the probability of each row's own proxy `[N, 1]`.
    pub losses: Tensor<B, 2>,
    /// The probabilities of the others, and 0 for a row's own `[N, C]`.
    pub others: Tensor<B, 2>,
}

impl<B: Backend> CrossEntropy<B> {
    /// Of logits less that of the row's own proxy `[N, C]`.
    pub fn of(pairs: &ProxyPairs<B>, relative: Tensor<B, 2>) -> Self {
        let relative = relative.mask_fill(pairs.own.clone(), f64::NEG_INFINITY);
        let LogOnePlusSum { value: losses, slopes: others } = LogOnePlusSum::of(relative, 1);
        Self { losses, others }
    }
}
