use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};

use super::log_sum::LogOnePlusSum;
use super::pairs::{PairLoss, Pairs};
use crate::ObjectiveError;
use crate::gradient::with_gradient;

/// Configuration of [`MultiSimilarity`].
#[derive(Config, Debug)]
pub struct MultiSimilarityConfig {
    /// Weight α > 0 of positives in their exponents.
    #[config(default = 2.0)]
    pub alpha: f64,
    /// Weight β > 0 of negatives in their exponents.
    #[config(default = 50.0)]
    pub beta: f64,
    /// Similarity λ that positives should be above, and negatives below.
    #[config(default = 0.5)]
    pub base: f64,
}

impl MultiSimilarityConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a weight is not positive, or a number is not finite.
    pub fn init(&self) -> Result<MultiSimilarity, ObjectiveError> {
        for (parameter, value) in [("multi-similarity's alpha", self.alpha), ("multi-similarity's beta", self.beta)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "positive and finite" });
            }
        }
        if !self.base.is_finite() {
            let (parameter, value) = ("multi-similarity's base", self.base);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "finite" });
        }
        Ok(MultiSimilarity { alpha: self.alpha, beta: self.beta, base: self.base })
    }
}

/// The multi-similarity loss: pairs weigh the more the further they are on the wrong side, and the more so beside others.
///
/// With s the cosine similarities, and P(a) and N(a) the other rows of a's identity and those of other identities,
///
/// ```text
/// L = mean over all a of (1/α) log(1 + Σ_{p∈P(a)} exp(−α(s_ap − λ))) + (1/β) log(1 + Σ_{n∈N(a)} exp(β(s_an − λ)))
/// ```
///
/// A row without positives has no first term, and one without negatives no second. Equals pytorch-metric-learning's `MultiSimilarityLoss`; the
/// mining that goes before it in the paper is left out.
///
/// Source: Wang et al., "Multi-Similarity Loss with General Pair Weighting for Deep Metric Learning" (CVPR 2019).
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct MultiSimilarity {
    alpha: f64,
    beta: f64,
    base: f64,
}

impl ModuleDisplay for MultiSimilarity {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("alpha", &self.alpha).add("beta", &self.beta).add("base", &self.base).optional()
    }
}

impl PairLoss for MultiSimilarity {
    const NAME: &'static str = "the multi-similarity loss";

    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let similarity = pairs.similarities();
        let ([rows, _], masks) = (similarity.dims(), pairs.masks());
        let above = similarity.clone().detach() - self.base;
        let positive = (above.clone() * -self.alpha).mask_fill(masks.positives.bool_not(), f64::NEG_INFINITY);
        let negative = (above * self.beta).mask_fill(masks.negatives.bool_not(), f64::NEG_INFINITY);
        let [positive, negative] = [positive, negative].map(|exponents| LogOnePlusSum::of(exponents, 1));
        let value = (positive.value / self.alpha + negative.value / self.beta).mean();
        Ok(with_gradient(value, similarity, (negative.slopes - positive.slopes) / rows as f64))
    }
}
