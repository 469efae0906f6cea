//! `deepinfomax`: maximises the mutual information between features and the feature maps they are computed from.
//!
//! Source: Hjelm et al., "Learning deep representations by mutual information estimation and maximization" (2018), equations 4, 8
//! and 9 and appendix A.1; the Jensen–Shannon estimator, with the maps of the next image in the batch as negatives.
//!
//! The loss uses the same features as the probe. The reference uses, for CIFAR ResNets, the input of the last linear layer, which
//! then stays untrained.

use burn::module::Module;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor, TensorData};
use qare_data::{Augmentation, Draw, Purpose, ViewBatch};
use qare_models::{
    Backbone, Discriminators, DiscriminatorsConfig, NamedTensor, StateDict, WeightsError, named_tensors,
};

use super::{Embeddings, Facts, Figure, LastBatch, Plan, Pretext, Scope, StepLoss};
use crate::error::{LabError, Result};
use crate::precision::single;
use crate::recipe::{InfoMaxRecipe, Recipe};

/// The discriminators of the terms with a positive weight.
#[derive(Module, Debug)]
pub struct DeepInfoMax<B: Backend> {
    discriminators: Discriminators<B>,
    #[module(skip)]
    weights: InfoMaxRecipe,
    #[module(skip)]
    seed: u64,
}

/// Jensen–Shannon loss of a discriminator's scores: mean softplus(−joint) + mean softplus(marginal).
fn jensen_shannon<B: Backend, const D: usize>(joint: Tensor<B, D>, marginal: Tensor<B, D>) -> Tensor<B, 1> {
    // softplus(x) = −log sigmoid(−x)
    -log_sigmoid(single(joint)).mean() - log_sigmoid(-single(marginal)).mean()
}

/// Prior-matching loss, given logits of the discriminator D: −mean log D(prior) − mean log(1 − D(features)).
fn prior_matching<B: Backend>(prior: Tensor<B, 2>, features: Tensor<B, 2>) -> Tensor<B, 1> {
    -log_sigmoid(single(prior)).mean() - log_sigmoid(-single(features)).mean()
}

/// Rolls the batch by one: row i of the result is row i + 1 of the maps, and the last row is the first.
fn next<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 4> {
    let images = maps.dims()[0];
    Tensor::cat(vec![maps.clone().narrow(0, 1, images - 1), maps.narrow(0, 0, 1)], 0)
}

impl<B: Backend> DeepInfoMax<B> {
    /// Draws `[B, F]` uniformly from [0, 1), as a function of seed, epoch and the first image of the batch.
    fn prior(&self, epoch: u64, first: usize, shape: [usize; 2], device: &Device<B>) -> Tensor<B, 2> {
        let mut draw = Draw::new(self.seed, Purpose::Prior, epoch, first as u64, 0);
        let values: Vec<f32> = (0..shape[0] * shape[1]).map(|_| draw.unit() as f32).collect();
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

/// Sets the defaults in which the method differs from the common protocol.
pub(super) fn set_defaults(recipe: &mut Recipe) {
    recipe.learning_rate = 1e-4;
}

/// Returns the training plan of the method.
pub(super) fn plan(recipe: &Recipe) -> Plan {
    let InfoMaxRecipe { local, global, prior } = recipe.infomax;
    let terms = [("Local", local), ("Global", global), ("Prior", prior)];
    let figures = terms.into_iter().filter(|(_, weight)| *weight > 0.0).map(|(name, _)| Figure::term(name));
    let plan = Plan::new(Augmentation::Flip, 1).with_figures(figures);
    Plan { last_batch: LastBatch::Dropped, local_negatives: true, ..plan }
}

impl<B: Backend> Pretext<B> for DeepInfoMax<B> {
    fn set_defaults(recipe: &mut Recipe) {
        set_defaults(recipe);
    }

    fn plan(recipe: &Recipe) -> Plan {
        plan(recipe)
    }

    fn new(recipe: &Recipe, _facts: &Facts, device: &Device<B>) -> Result<Self> {
        let InfoMaxRecipe { local, global, prior } = recipe.infomax;
        let discriminators = DiscriminatorsConfig::new(recipe.backbone.feature_dim(), recipe.backbone.map_channels())
            .with_local(local > 0.0)
            .with_global(global > 0.0)
            .with_prior(prior > 0.0);
        Ok(Self {
            discriminators: discriminators.init(recipe.seed, device),
            weights: recipe.infomax.clone(),
            seed: recipe.seed,
        })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let (epoch, first) = (batch.epoch, batch.indices[0]);
        let (maps, features) = backbone.forward_with_maps(batch.images.squeeze_dim(1)); // [B, C, H, W], [B, F]
        let embeddings = Embeddings::of(&features, 1);
        let negatives = next(maps.clone());
        let Discriminators { local_d, global_d, prior_d } = &self.discriminators;
        let mut terms = Vec::new();
        if let Some(local) = local_d {
            let joint = local.forward(features.clone(), maps.clone());
            let marginal = local.forward(features.clone(), negatives.clone());
            terms.push((self.weights.local, jensen_shannon(joint, marginal)));
        }
        if let Some(global) = global_d {
            let joint = global.forward(features.clone(), maps);
            let marginal = global.forward(features.clone(), negatives);
            terms.push((self.weights.global, jensen_shannon(joint, marginal)));
        }
        if let Some(prior) = prior_d {
            let drawn = self.prior(epoch, first, features.dims(), &features.device()).cast(features.dtype());
            terms.push((self.weights.prior, prior_matching(prior.logits(drawn), prior.logits(features))));
        }
        let loss = terms.iter().map(|(weight, term)| term.clone() * *weight).reduce(|sum, term| sum + term);
        let loss = loss.ok_or_else(|| LabError::failed("all terms of deepinfomax have weight 0"))?;
        let figures = terms.into_iter().map(|(_, term)| term).collect();
        Ok(StepLoss { loss, figures, scope: Scope::Share(batch.share.fraction()), embeddings })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.discriminators, "loss_fn")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { discriminators: weights.load_into(self.discriminators, "loss_fn")?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Plain, D> {
        Tensor::from_data(TensorData::new(values, shape), &any_device())
    }

    #[test]
    fn losses_equal_their_definitions() {
        let (joint, marginal) = (vec![-3.0f32, 0.5, 2.0, 90.0], vec![1.5f32, -0.25, 0.0, -90.0]);
        let softplus = |x: f64| if x > 30.0 { x } else { x.exp().ln_1p() };
        let mean = |values: &[f32], f: &dyn Fn(f64) -> f64| {
            values.iter().map(|value| f(f64::from(*value))).sum::<f64>() / values.len() as f64
        };
        let expected = mean(&joint, &|x| softplus(-x)) + mean(&marginal, &softplus);
        let found = jensen_shannon(tensor(joint.clone(), [4]), tensor(marginal.clone(), [4])).into_scalar();
        assert!((f64::from(found) - expected).abs() < 1e-3, "{found} {expected}");

        // Written with probabilities: −log D(u) − log(1 − D(y)).
        let (drawn, made) = (vec![0.3f32, -1.0], vec![0.2f32, 2.0]);
        let probability = |x: f64| 1.0 / (1.0 + (-x).exp());
        let expected = -mean(&drawn, &|x| probability(x).ln()) - mean(&made, &|x| (1.0 - probability(x)).ln());
        let found = prior_matching(tensor(drawn, [2, 1]), tensor(made, [2, 1])).into_scalar();
        assert!((f64::from(found) - expected).abs() < 1e-3, "{found} {expected}");
    }

    #[test]
    fn negatives_are_the_maps_of_the_next_image() {
        let maps = next(tensor((0..6).map(|value| value as f32).collect(), [3, 2, 1, 1]));
        assert_eq!(maps.into_data().to_vec::<f32>().unwrap(), [2.0, 3.0, 4.0, 5.0, 0.0, 1.0]);
    }
}
