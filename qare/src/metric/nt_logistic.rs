use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};

use super::log_sum::LogOnePlusSum;
use super::pairs::{PairLoss, Pairs, mean_or_zero, total};
use crate::ObjectiveError;
use crate::gradient::with_gradient;
use crate::temperature::{check, fits};

/// Configuration of [`NtLogistic`].
#[derive(Config, Debug)]
pub struct NtLogisticConfig {
    /// Temperature t > 0.
    #[config(default = 0.1)]
    pub temperature: f64,
}

impl NtLogisticConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not a positive number.
    pub fn init(&self) -> Result<NtLogistic, ObjectiveError> {
        Ok(NtLogistic { temperature: check("NT-Logistic's temperature", self.temperature)? })
    }
}

/// NT-Logistic: logistic regression of whether two rows are of one identity.
///
/// With s the cosine similarities and σ the logistic function,
///
/// ```text
/// L = −mean over positive pairs of log σ(s/t) − mean over negative pairs of log σ(−s/t)
/// ```
///
/// Either mean is 0 where there is no such pair. The paper gives the terms of one pair and not how they are weighed; here positives weigh as
/// much as negatives, of which there are more. pytorch-metric-learning does not have it.
///
/// Source: Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (ICML 2020), table 2.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct NtLogistic {
    temperature: f64,
}

impl ModuleDisplay for NtLogistic {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("temperature", &self.temperature).optional()
    }
}

impl PairLoss for NtLogistic {
    const NAME: &'static str = "NT-Logistic's loss";

    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let (similarity, masks, t) = (pairs.similarities(), pairs.masks(), self.temperature);
        fits("NT-Logistic", t, similarity.dtype())?;
        let logits = similarity.clone().detach() / t;
        // −log σ(x) = log(1 + exp(−x)), and its derivative by −x is σ(−x).
        let [(near, of_near), (far, of_far)] = [(logits.clone().neg(), &masks.positives), (logits, &masks.negatives)]
            .map(|(exponents, mask)| {
                let exponents = exponents.mask_fill(mask.clone().bool_not(), f64::NEG_INFINITY);
                let LogOnePlusSum { value, slopes } = LogOnePlusSum::of_each(exponents);
                let count = total(pairs.indicator(mask));
                let slopes = slopes / (count.clone().clamp_min(1.0).reshape([1, 1]) * t);
                (mean_or_zero(total(value), count), slopes)
            });
        Ok(with_gradient(near + far, similarity, of_far - of_near))
    }
}
