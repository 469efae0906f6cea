use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::tensor::{Tensor, backend::Backend};

use super::pairs::{PairLoss, Pairs, mean_or_zero};
use crate::ObjectiveError;

/// Triplets that are held at once.
const MOST_TRIPLETS: usize = 1 << 22;

/// Which triplets of an anchor, a positive and a negative count.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Triplets {
    /// All that violate the margin: d_an < d_ap + m.
    All,
    /// Those whose negative is not further than the positive: d_an ≤ d_ap.
    Hard,
    /// Those whose negative is further than the positive, and still within the margin: d_ap < d_an < d_ap + m.
    SemiHard,
}

/// Configuration of [`TripletMargin`].
#[derive(Config, Debug)]
pub struct TripletMarginConfig {
    /// Margin m ≥ 0.
    #[config(default = 0.05)]
    pub margin: f64,
    /// Which triplets count.
    #[config(default = "Triplets::All")]
    pub triplets: Triplets,
}

impl TripletMarginConfig {
    /// The loss.
    ///
    /// # Errors
    /// When the margin is negative or not finite.
    pub fn init(&self) -> Result<TripletMargin, ObjectiveError> {
        if !(self.margin >= 0.0 && self.margin.is_finite()) {
            let (parameter, value) = ("the triplet loss's margin", self.margin);
            return Err(ObjectiveError::InvalidParameter { parameter, value, expected: "at least 0, and finite" });
        }
        Ok(TripletMargin { margin: self.margin, triplets: self.triplets })
    }
}

/// The triplet margin loss: a positive is nearer than a negative, by a margin.
///
/// With d the Euclidean distances of embeddings of length one, and (a, p, n) all triplets in which p is of a's identity and n is not,
///
/// ```text
/// L = mean of max(d_ap − d_an + m, 0) over the triplets that count and for which it is positive
/// ```
///
/// It is 0 where there is none: of one identity, or of as many identities as rows. Time grows as N³, memory as N².
///
/// Equals pytorch-metric-learning's `TripletMarginLoss(margin)`; with [`Triplets::Hard`] and [`Triplets::SemiHard`], that on the triplets of
/// its `TripletMarginMiner` of the same margin.
///
/// Source: Schroff, Kalenichenko, Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering" (CVPR 2015), section 3.1, without
/// its squares.
#[derive(Module, Clone, Debug)]
#[module(custom_display)]
pub struct TripletMargin {
    pub(crate) margin: f64,
    pub(crate) triplets: Triplets,
}

impl ModuleDisplay for TripletMargin {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content.add("margin", &self.margin).add_debug_attribute("triplets", &self.triplets).optional()
    }
}

impl PairLoss for TripletMargin {
    const NAME: &'static str = "the triplet loss";

    fn of_pairs<B: Backend>(&self, pairs: Pairs<B>) -> Result<Tensor<B, 1>, ObjectiveError> {
        if let Some(rows) = pairs.on_host() {
            let term = rows.triplet_margin(self, pairs.differentiable());
            return Ok(pairs.attach(term));
        }
        let (distances, masks) = (pairs.distances(), pairs.masks());
        let shape @ [rows, candidates] = distances.values.dims();
        // A triplet of another kind has a gap of −∞.
        let positive = distances.values.clone().mask_fill(masks.positives.bool_not(), f64::NEG_INFINITY);
        let negative = distances.values.clone().mask_fill(masks.negatives.bool_not(), f64::INFINITY);
        let device = positive.device();
        let [mut sum, mut count] = [0; 2].map(|_| Tensor::<B, 1>::zeros([1], (&device, positive.dtype())));
        let mut slopes = Vec::new();
        let anchors = (MOST_TRIPLETS / (candidates * candidates)).clamp(1, rows);
        for start in (0..rows).step_by(anchors) {
            let part = anchors.min(rows - start);
            let of_part = |of: &Tensor<B, 2>| of.clone().narrow(0, start, part);
            let gaps = of_part(&positive).unsqueeze_dim::<3>(2) - of_part(&negative).unsqueeze_dim::<3>(1); // [part, P, N]
            let violations = (gaps.clone() + self.margin).clamp_min(0.0);
            let violations = match self.triplets {
                Triplets::All => violations,
                Triplets::Hard => violations.mask_fill(gaps.lower_elem(0.0), 0.0),
                Triplets::SemiHard => violations.mask_fill(gaps.greater_equal_elem(0.0), 0.0),
            };
            let counted = violations.clone().greater_elem(0.0).float().cast(violations.dtype());
            let of_positives = counted.clone().sum_dim(2).reshape([part, candidates]);
            let of_negatives = counted.sum_dim(1).reshape([part, candidates]);
            sum = sum + violations.sum_dim(2).sum_dim(1).sum();
            count = count + of_positives.clone().sum_dim(1).sum();
            slopes.push(of_positives - of_negatives);
        }
        let slopes = Tensor::cat(slopes, 0) / count.clone().clamp_min(1.0).reshape([1, 1]).expand(shape);
        Ok(distances.with_gradient(mean_or_zero(sum, count), slopes))
    }
}
