use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};

use super::log_sum::LogOnePlusSum;
use super::pairs::{PairLoss, Pairs, mean_or_zero, total};
use crate::ObjectiveError;
use crate::gradient::with_gradient;
use crate::summation::sum_rows;
use crate::temperature::{check, fits};

/// Configuration of [`InfoNce`].
#[derive(Config, Debug)]
pub struct InfoNceConfig {
    /// Temperature t > 0.
    #[config(default = 0.07)]
    pub temperature: f64,
}

impl InfoNceConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not a positive number.
    pub fn init(&self) -> Result<InfoNce, ObjectiveError> {
        Ok(InfoNce { temperature: check("InfoNCE's temperature", self.temperature)? })
    }
}

/// InfoNCE with labels: each positive is told from all negatives of its anchor.
///
/// With s the cosine similarities, P the pairs (a, p) of one identity, and N(a) the rows of other identities than a's,
///
/// ```text
/// L = −mean over (a, p) ∈ P of log( exp(s_ap/t) / (exp(s_ap/t) + Σ_{n∈N(a)} exp(s_an/t)) )
/// ```
///
/// Unlike in [`SupCon`](super::SupCon), the other positives of the anchor are not in the denominator, and every pair weighs the same. Without
/// a positive or without a negative the loss is 0. Equals pytorch-metric-learning's `NTXentLoss`, save that its loss of a pair ends at the
/// logarithm of the smallest number.
///
/// Source: van den Oord, Li, Vinyals, "Representation Learning with Contrastive Predictive Coding" (2018), eq. 4; Sohn, "Improved Deep Metric
/// Learning with Multi-class N-pair Loss Objective" (NIPS 2016).
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct InfoNce {
    temperature: f64,
}

impl ModuleDisplay for InfoNce {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("temperature", &self.temperature).optional()
    }
}

impl PairLoss for InfoNce {
    const NAME: &'static str = "InfoNCE's loss";

    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let (similarity, masks, t) = (pairs.similarities(), pairs.masks(), self.temperature);
        fits("InfoNCE", t, similarity.dtype())?;
        // Relative to the largest similarity of a row to a negative, which is −1 at least. Where there is none, the row has no loss.
        // Factors in place of masks: a kernel that fuses masks of rows between its sums does not compile for Vulkan.
        let s = similarity.clone().detach();
        let of_negatives = s.clone().mask_fill(masks.negatives.bool_not(), f64::NEG_INFINITY);
        let top = of_negatives.clone().max_dim(1);
        let has_negatives = (top.clone() + 3.0).clamp(0.0, 1.0); // [N, 1]
        let top = top.clamp_min(-2.0);
        let exponentials = ((of_negatives - top.clone()) / t).exp();
        let sum = sum_rows(exponentials.clone()) + (has_negatives.clone().neg() + 1.0); // [N, 1]
        // −log(e_ap / (e_ap + Σ)) = log(1 + exp(log Σ − s_ap/t)).
        let odds = (top - s) / t + sum.clone().log(); // [N, M]
        let odds = odds.mask_fill(masks.positives.clone().bool_not(), f64::NEG_INFINITY);
        let LogOnePlusSum { value: losses, slopes: missing } = LogOnePlusSum::of_each(odds);
        let (losses, missing) = (losses * has_negatives.clone(), missing * has_negatives);
        let count = total(pairs.indicator(&masks.positives)).clamp_min(1.0);
        let of_negatives = exponentials / sum * sum_rows(missing.clone());
        let gradient = (of_negatives - missing) / (count.clone().reshape([1, 1]) * t);
        Ok(with_gradient(mean_or_zero(total(losses), count), similarity, gradient))
    }
}
