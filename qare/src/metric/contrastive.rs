use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};

use super::pairs::{PairLoss, Pairs, mean_or_zero, total};
use crate::ObjectiveError;

/// Configuration of [`Contrastive`].
#[derive(Config, Debug)]
pub struct ContrastiveConfig {
    /// Distance m⁺ up to which a positive costs nothing.
    #[config(default = 0.0)]
    pub pos_margin: f64,
    /// Distance m⁻ from which on a negative costs nothing.
    #[config(default = 1.0)]
    pub neg_margin: f64,
}

impl ContrastiveConfig {
    /// The loss.
    ///
    /// # Errors
    /// When a margin is negative or not finite.
    pub fn init(&self) -> Result<Contrastive, ObjectiveError> {
        let margins = [
            ("the contrastive loss's margin of positives", self.pos_margin),
            ("the contrastive loss's margin of negatives", self.neg_margin),
        ];
        for (parameter, value) in margins {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "at least 0, and finite" });
            }
        }
        Ok(Contrastive { pos_margin: self.pos_margin, neg_margin: self.neg_margin })
    }
}

/// The contrastive loss: positives are near, negatives are far.
///
/// With d the Euclidean distances of embeddings of length one,
///
/// ```text
/// L = mean of max(d − m⁺, 0) over the positive pairs for which it is positive
///   + mean of max(m⁻ − d, 0) over the negative pairs for which it is positive
/// ```
///
/// Either mean is 0 where there is no such pair. Equals pytorch-metric-learning's `ContrastiveLoss`, whose distances are not squared, unlike
/// those of the paper.
///
/// Source: Hadsell, Chopra, LeCun, "Dimensionality Reduction by Learning an Invariant Mapping" (CVPR 2006), eq. 4.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct Contrastive {
    pub(crate) pos_margin: f64,
    pub(crate) neg_margin: f64,
}

impl ModuleDisplay for Contrastive {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("pos_margin", &self.pos_margin).add("neg_margin", &self.neg_margin).optional()
    }
}

impl PairLoss for Contrastive {
    const NAME: &'static str = "the contrastive loss";

    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
        if let Some(rows) = pairs.on_host() {
            let term = rows.contrastive(self, pairs.differentiable());
            return Ok(pairs.attach(term));
        }
        let (distances, masks) = (pairs.distances(), pairs.masks());
        let d = &distances.values;
        let pulled = (d.clone() - self.pos_margin).clamp_min(0.0).mask_fill(masks.positives.bool_not(), 0.0);
        let pushed = (d.clone().neg() + self.neg_margin).clamp_min(0.0).mask_fill(masks.negatives.bool_not(), 0.0);
        let [(near, of_near), (far, of_far)] = [pulled, pushed].map(|of_pairs| {
            let counted = of_pairs.clone().greater_elem(0.0).float().cast(of_pairs.dtype());
            let count = total(counted.clone());
            (mean_or_zero(total(of_pairs), count.clone()), counted / count.clamp_min(1.0).reshape([1, 1]))
        });
        Ok(distances.with_gradient(near + far, of_near - of_far))
    }
}
