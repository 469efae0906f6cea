//! `relationnet`: a relation head classifies pairs of views as views of the same image or of two images.
//!
//! Source: Patacchiola & Storkey, "Self-Supervised Relational Reasoning for Representation Learning" (2020).

use std::fmt;
use std::str::FromStr;

use burn::module::Module;
use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor, TensorData};
use qare::Views;
use qare_data::{Augmentation, ViewBatch};
use qare_models::{Backbone, NamedTensor, RelationHead, RelationHeadConfig, StateDict, WeightsError, named_tensors};
use serde::{Deserialize, Serialize};

use super::{Embeddings, Facts, Figure, Plan, Pretext, Scope, StepLoss};
use crate::error::{LabError, Result};
use crate::precision::single;
use crate::recipe::Recipe;

/// Aggregation of the features of two views to one input of the relation head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Concatenation, 2·F numbers.
    #[default]
    Cat,
    /// Sum.
    Sum,
    /// Mean.
    Mean,
    /// Element-wise maximum.
    Max,
}

impl Aggregation {
    /// All aggregations.
    pub const ALL: [Aggregation; 4] = [Aggregation::Cat, Aggregation::Sum, Aggregation::Mean, Aggregation::Max];

    /// Returns the name in recipes and flags.
    pub fn as_str(self) -> &'static str {
        match self {
            Aggregation::Cat => "cat",
            Aggregation::Sum => "sum",
            Aggregation::Mean => "mean",
            Aggregation::Max => "max",
        }
    }

    /// Returns the width of an aggregated pair, for features of width `features`.
    fn width(self, features: usize) -> usize {
        if self == Aggregation::Cat { 2 * features } else { features }
    }

    /// Aggregates `[N, F]` and `[N, F]` row by row.
    fn join<B: Backend>(self, first: Tensor<B, 2>, second: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Aggregation::Cat => Tensor::cat(vec![first, second], 1),
            Aggregation::Sum => first + second,
            Aggregation::Mean => (first + second) * 0.5,
            Aggregation::Max => first.max_pair(second),
        }
    }
}

impl fmt::Display for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Aggregation {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let known = || Aggregation::ALL.map(Aggregation::as_str).join(", ");
        Aggregation::ALL
            .into_iter()
            .find(|aggregation| aggregation.as_str() == name)
            .ok_or_else(|| format!("unknown aggregation `{name}`; known are {}", known()))
    }
}

/// The relation head and the settings of its pairs.
#[derive(Module, Debug)]
pub struct RelationNet<B: Backend> {
    relation: RelationHead<B>,
    #[module(skip)]
    views: Views,
    #[module(skip)]
    aggregation: Aggregation,
}

/// Exponent of the focal loss.
const GAMMA: f64 = 2.0;
/// Weight of positive pairs in the focal loss; negative pairs have the weight 1 − α.
const ALPHA: f64 = 0.5;

/// Returns the two row indices of each pair, for features `[K·B, F]` ordered by view.
///
/// For every two views k < l, view k of each image is paired with view l of the same image (positive), and then with view l of the
/// image `shift` places before it (negative). The shift is 1 for the first two views and grows by one with each two views. When it
/// reaches B it starts again at 1, so that no image is paired with itself as a negative.
fn pairs(views: usize, images: usize) -> (Vec<i64>, Vec<i64>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let mut shift = 1;
    for k in 0..views {
        for l in k + 1..views {
            for shift in [0, shift] {
                first.extend((0..images).map(|image| (k * images + image) as i64));
                second.extend((0..images).map(|image| (l * images + (image + images - shift) % images) as i64));
            }
            shift += 1;
            if shift >= images {
                shift = 1;
            }
        }
    }
    (first, second)
}

/// Returns the targets of [`pairs`], 1 for positive and 0 for negative pairs, `[pairs]`.
fn targets<B: Backend>(views: usize, images: usize, device: &Device<B>) -> Tensor<B, 1> {
    let view_pairs = views * (views - 1) / 2;
    let targets: Vec<f32> = (0..view_pairs).flat_map(|_| [vec![1.0; images], vec![0.0; images]].concat()).collect();
    Tensor::from_data(TensorData::new(targets, [2 * view_pairs * images]), device)
}

/// Mean focal loss of logits `[N]` with targets 0 or 1: α_t·(1 − p_t)^γ·(−log p_t).
///
/// p_t is the predicted probability of the target, with p = sigmoid(logit): p for the target 1 and 1 − p for 0. Likewise, α_t is α
/// for the target 1 and 1 − α for 0.
///
/// Source: Lin et al., "Focal Loss for Dense Object Detection" (2017), equation 5; γ = 2 and α = 0.5 as in relationnet.
fn focal_loss<B: Backend>(logits: Tensor<B, 1>, targets: Tensor<B, 1>) -> Tensor<B, 1> {
    // The sign makes sigmoid(signed) equal to p_t.
    let signed = logits * (targets.clone() * 2.0 - 1.0);
    let missed = sigmoid(-signed.clone()); // 1 − p_t
    let weights = targets * (2.0 * ALPHA - 1.0) + (1.0 - ALPHA);
    (weights * missed.powf_scalar(GAMMA as f32) * -log_sigmoid(signed)).mean()
}

/// Sets the defaults in which the method differs from the common protocol.
pub(super) fn set_defaults(recipe: &mut Recipe) {
    recipe.views = 32;
    recipe.batch_size = 64;
}

/// Returns the training plan of the method.
pub(super) fn plan(recipe: &Recipe) -> Plan {
    let figures = [Figure::accuracy("Accuracy"), Figure::accuracy("Positive"), Figure::accuracy("Negative")];
    let plan = Plan { local_negatives: true, ..Plan::new(Augmentation::Contrastive, recipe.views) };
    plan.with_figures(figures)
}

impl<B: Backend> Pretext<B> for RelationNet<B> {
    fn set_defaults(recipe: &mut Recipe) {
        set_defaults(recipe);
    }

    fn plan(recipe: &Recipe) -> Plan {
        plan(recipe)
    }

    fn new(recipe: &Recipe, _facts: &Facts, device: &Device<B>) -> Result<Self> {
        let views = Views::new(recipe.views).map_err(|error| LabError::Usage(error.to_string()))?;
        let aggregation = recipe.aggregation;
        let relation = RelationHeadConfig::new(aggregation.width(recipe.backbone.feature_dim()));
        Ok(Self { relation: relation.init(recipe.seed, device), views, aggregation })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let images = batch.indices.len();
        let features = backbone.forward(self.views.rows(batch.images)); // [K·B, F]
        let embeddings = Embeddings::of(&features, self.views.count());
        let sets = self.views.sets(features).map_err(LabError::failed)?; // [K, B, F]
        let dtype = sets.dtype();
        // Rows are selected in f32, because the gradient of a row is a sum over all its pairs.
        let features: Tensor<B, 2> = single(sets.flatten(0, 1));
        let device = features.device();
        let (first, second) = pairs(self.views.count(), images);
        let rows = |rows: Vec<i64>| {
            let count = rows.len();
            let rows = Tensor::<B, 1, Int>::from_data(TensorData::new(rows, [count]), &device);
            features.clone().select(0, rows)
        };
        let joined = self.aggregation.join(rows(first), rows(second)).cast(dtype); // [pairs, width]
        let logits: Tensor<B, 1> = single(self.relation.forward(joined)).squeeze_dim(1); // [pairs]
        let targets = targets::<B>(self.views.count(), images, &device);
        let loss = focal_loss(logits.clone(), targets.clone());

        let predicted = logits.greater_elem(0.0).float();
        let hits = predicted.clone() * targets.clone(); // true positives
        let half = targets.dims()[0] as f64 / 2.0;
        let positive = hits.clone().sum() * (100.0 / half);
        let negative = (targets.clone() + predicted - hits).sum() * (-100.0 / half) + 200.0;
        let figures = vec![(positive.clone() + negative.clone()) * 0.5, positive, negative];
        Ok(StepLoss { loss, figures, scope: Scope::Share(batch.share.fraction()), embeddings })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.relation, "relation")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { relation: weights.load_into(self.relation, "relation")?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    fn tensor(values: &[f32]) -> Tensor<Plain, 1> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), &any_device())
    }

    #[test]
    fn pairs_equal_those_of_rolled_batches() {
        for (views, images) in [(2, 2), (3, 4), (4, 2), (6, 5)] {
            let (first, second) = pairs(views, images);
            let sets: Vec<Vec<i64>> =
                (0..views).map(|k| (0..images).map(|i| (k * images + i) as i64).collect()).collect();
            let (mut a, mut b, mut shift) = (Vec::new(), Vec::new(), 1);
            for k in 0..views {
                for l in k + 1..views {
                    a.extend(&sets[k]);
                    b.extend(&sets[l]);
                    let mut rolled = sets[l].clone();
                    rolled.rotate_right(shift);
                    a.extend(&sets[k]);
                    b.extend(rolled);
                    shift = if shift + 1 >= images { 1 } else { shift + 1 };
                }
            }
            assert_eq!((first, second), (a, b));
        }
    }

    #[test]
    fn negatives_are_of_two_images() {
        let images = 7i64;
        let (first, second) = pairs(8, images as usize);
        let targets: Vec<f32> = targets::<Plain>(8, images as usize, &any_device()).into_data().to_vec().unwrap();
        for ((first, second), target) in first.iter().zip(&second).zip(&targets) {
            assert_eq!(first % images == second % images, *target == 1.0);
            assert!(first / images < second / images);
        }
        assert_eq!(targets.len(), first.len());
    }

    #[test]
    fn focal_loss_equals_its_definition() {
        let (logits, targets) =
            ([-30.0, -2.0, -0.1, 0.0, 0.7, 3.0, 40.0, -3.0], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        let expected: f64 = logits
            .iter()
            .zip(&targets)
            .map(|(logit, target): (&f64, &f64)| {
                let p = 1.0 / (1.0 + (-logit).exp());
                let p_t = target * p + (1.0 - target) * (1.0 - p);
                0.5 * (1.0 - p_t).powi(2) * -p_t.ln()
            })
            .sum::<f64>()
            / logits.len() as f64;
        let single = |values: &[f64]| tensor(&values.iter().map(|value| *value as f32).collect::<Vec<_>>());
        let found = f64::from(focal_loss(single(&logits), single(&targets)).into_scalar());
        assert!((found - expected).abs() < 1e-4 * expected, "{found} {expected}");
    }

    #[test]
    fn aggregations_equal_their_definitions() {
        let row = |values: &[f32]| tensor(values).unsqueeze::<2>();
        let (one, other) = (row(&[1.0, -2.0]), row(&[3.0, -5.0]));
        for (aggregation, expected) in [
            (Aggregation::Cat, vec![1.0, -2.0, 3.0, -5.0]),
            (Aggregation::Sum, vec![4.0, -7.0]),
            (Aggregation::Mean, vec![2.0, -3.5]),
            (Aggregation::Max, vec![3.0, -2.0]),
        ] {
            let joined = aggregation.join(one.clone(), other.clone());
            assert_eq!(joined.dims()[1], aggregation.width(2));
            assert_eq!(joined.into_data().to_vec::<f32>().unwrap(), expected);
        }
    }
}
