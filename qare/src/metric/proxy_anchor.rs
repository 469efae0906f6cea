use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Int, Tensor, backend::Backend};

use super::log_sum::LogOnePlusSum;
use super::proxies::{ProxyPairs, drawn};
use crate::ObjectiveError;
use crate::gradient::with_gradient;

/// Configuration of [`ProxyAnchor`].
#[derive(Config, Debug)]
pub struct ProxyAnchorConfig {
    /// C, the number of identities.
    pub identities: usize,
    /// D, the dimension of the embeddings.
    pub dim: usize,
    /// Margin δ.
    #[config(default = 0.1)]
    pub margin: f64,
    /// Scale α > 0 of the exponents.
    #[config(default = 32.0)]
    pub alpha: f64,
}

impl ProxyAnchorConfig {
    /// The loss, with proxies drawn from a normal distribution of variance 2/C, as pytorch-metric-learning does.
    ///
    /// # Errors
    /// When there is no identity or no dimension, the margin is not finite, or α is not a positive number.
    pub fn init<B: Backend>(&self, device: &B::Device) -> Result<ProxyAnchor<B>, ObjectiveError> {
        if !self.margin.is_finite() {
            let (parameter, value) = ("proxy anchor's margin", self.margin);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "finite" });
        }
        if !(self.alpha > 0.0 && self.alpha.is_finite()) {
            let (parameter, value) = ("proxy anchor's alpha", self.alpha);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "positive and finite" });
        }
        let std = (2.0 / self.identities as f64).sqrt();
        let proxies = drawn(self.identities, self.dim, std, device)?;
        Ok(ProxyAnchor { proxies, margin: self.margin, alpha: self.alpha })
    }
}

/// The proxy anchor loss: the learned proxy of each identity is an anchor, and the rows of the batch are its positives and negatives.
///
/// With s the cosine similarities of rows and proxies, P_c the rows of identity c, and C⁺ the identities in the batch,
///
/// ```text
/// L = 1/|C⁺| Σ_{c∈C⁺} log(1 + Σ_{i∈P_c} exp(−α(s_ic − δ))) + 1/C Σ_c log(1 + Σ_{i∉P_c} exp(α(s_ic + δ)))
/// ```
///
/// Equals pytorch-metric-learning's `ProxyAnchorLoss`. The authors train the proxies at 100 times the learning rate of the network.
///
/// Source: Kim, Kim, Cho, Kwak, "Proxy Anchor Loss for Deep Metric Learning" (CVPR 2020), eq. 4.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct ProxyAnchor<B: Backend> {
    /// A direction for each identity `[C, D]`; its length has no effect.
    pub proxies: Param<Tensor<B, 2>>,
    margin: f64,
    alpha: f64,
}

impl<B: Backend> ModuleDisplay for ProxyAnchor<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [identities, dim] = self.proxies.dims();
        let content = content.add("identities", &identities).add("dim", &dim);
        content.add("margin", &self.margin).add("alpha", &self.alpha).optional()
    }
}

impl<B: Backend> ProxyAnchor<B> {
    /// The loss `[1]` of embeddings `[N, D]` with labels `[N]` from 0 to C − 1, in f32 also for embeddings of f16 and bf16.
    ///
    /// # Errors
    /// When embeddings and proxies are not of one dimension, there is no row, or not one label for each; when a row or a proxy holds NaN or
    /// infinity, a label is out of range, or the loss leaves the range of its type. On a GPU nothing is read back to find the last three: the
    /// loss is then NaN or infinite.
    pub fn forward(&self, embeddings: Tensor<B, 2>, labels: Tensor<B, 1, Int>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let pairs = ProxyPairs::new(embeddings, labels, &self.proxies)?;
        let similarity = pairs.similarities();
        let [_, identities] = similarity.dims();
        let s = similarity.clone().detach();
        let positive = (s.clone() - self.margin) * -self.alpha;
        let positive = positive.mask_fill(pairs.own.clone().bool_not(), f64::NEG_INFINITY);
        let negative = ((s + self.margin) * self.alpha).mask_fill(pairs.own.clone(), f64::NEG_INFINITY);
        let [positive, negative] = [positive, negative].map(|exponents| LogOnePlusSum::of(exponents, 0));
        let present = pairs.own.float().cast(similarity.dtype()).max_dim(0).sum(); // |C⁺| ≥ 1
        let value = positive.value.sum() / present.clone() + negative.value.sum() / identities as f64;
        let gradient =
            negative.slopes * (self.alpha / identities as f64) - positive.slopes * self.alpha / present.reshape([1, 1]);
        pairs.guard.checked(with_gradient(value, similarity, gradient), "the proxy anchor loss")
    }
}
