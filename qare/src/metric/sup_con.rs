use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};

use super::pairs::{PairLoss, Pairs, mean_or_zero};
use crate::contrast::{Contrast, RowLosses};
use crate::temperature::{check, fits};
use crate::{NtXent, NtXentReduction, ObjectiveError, Similarity};

/// Configuration of [`SupCon`].
#[derive(Config, Debug)]
pub struct SupConConfig {
    /// Temperature t > 0.
    #[config(default = 0.1)]
    pub temperature: f64,
}

impl SupConConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the temperature is not a positive number.
    pub fn init(&self) -> Result<SupCon, ObjectiveError> {
        Ok(SupCon { temperature: check("SupCon's temperature", self.temperature)? })
    }
}

/// The supervised contrastive loss: NT-Xent whose positives are all rows of the anchor's identity.
///
/// With s the cosine similarities, P(a) the other rows of a's identity and A(a) all rows but a,
///
/// ```text
/// L = −mean over a of the mean over p ∈ P(a) of log( exp(s_ap/t) / Σ_{j∈A(a)} exp(s_aj/t) )
/// ```
///
/// over the anchors that have a positive and a loss above 0. Without a positive, and in a batch of one identity, the loss is 0. Equals
/// pytorch-metric-learning's `SupConLoss`. [`NtXent::forward_labels`] is the same, save that it tells a batch without a positive by an error, and
/// has a loss for one identity.
///
/// Source: Khosla et al., "Supervised Contrastive Learning" (NeurIPS 2020), eq. 2.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct SupCon {
    temperature: f64,
}

impl ModuleDisplay for SupCon {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("temperature", &self.temperature).optional()
    }
}

impl PairLoss for SupCon {
    const NAME: &'static str = "SupCon's loss";

    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
        let (similarity, masks) = (pairs.similarities(), pairs.masks());
        let dtype = similarity.dtype();
        fits("SupCon", self.temperature, dtype)?;
        let several = masks.negatives.any().float().cast(dtype); // [1]
        let (temperature, reduction) = (self.temperature, NtXentReduction::MeanOfLogs);
        let of_rows = NtXent { temperature, similarity: Similarity::Cosine, reduction };
        let contrast = Contrast { similarity, left_out: pairs.left_out(), positives: masks.positives };
        let RowLosses { losses, .. } = of_rows.row_losses(contrast);
        let counted = losses.clone().detach().greater_elem(0.0).float().cast(dtype);
        Ok(mean_or_zero(losses.sum(), counted.sum()) * several)
    }
}
