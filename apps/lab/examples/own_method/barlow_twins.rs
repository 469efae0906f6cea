//! Barlow Twins (Zbontar et al. 2021) as a method for the training loop of qare.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Tensor};
use qare::Views;
use qare_data::{Augmentation, ViewBatch};
use qare_lab::Result;
use qare_lab::methods::{Embeddings, Facts, Figure, Plan, Pretext, Scope, StepLoss};
use qare_lab::precision::single;
use qare_lab::recipe::Recipe;
use qare_models::{
    Backbone, NamedTensor, ProjectionHead, ProjectionHeadConfig, StateDict, WeightsError, named_tensors,
};

/// Weight of the off-diagonal part of the loss.
const LAMBDA: f64 = 5e-3;

/// The projector. Its embeddings of two views of an image should agree, and their dimensions should stay uncorrelated.
#[derive(Module, Debug)]
pub struct BarlowTwins<B: Backend> {
    projector: ProjectionHead<B>,
}

/// Scales each dimension of `[N, D]` to zero mean and unit variance.
fn standardized<B: Backend>(embeddings: Tensor<B, 2>) -> Tensor<B, 2> {
    let (variance, mean) = embeddings.clone().var_mean(0);
    (embeddings - mean) / (variance + 1e-5).sqrt()
}

impl<B: Backend> Pretext<B> for BarlowTwins<B> {
    fn plan(recipe: &Recipe) -> Plan {
        let figures = [Figure::term("Invariance"), Figure::term("Redundancy")];
        Plan { local_negatives: true, ..Plan::new(Augmentation::Contrastive, recipe.views).with_figures(figures) }
    }

    fn new(recipe: &Recipe, _facts: &Facts, device: &Device<B>) -> Result<Self> {
        let projector = ProjectionHeadConfig::new(recipe.backbone.feature_dim()).with_output(recipe.outter_fs);
        Ok(Self { projector: projector.init(recipe.seed, device) })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let images = batch.images.dims()[0];
        // Row i·K + k is view k of image i.
        let rows = Views::PAIR.rows(batch.images); // [2·B, 3, H, W]
        let embeddings = single(self.projector.forward(backbone.forward(rows))); // [2·B, D]
        let dim = embeddings.dims()[1];
        let of_step = Embeddings::of(&embeddings, 2);
        let pairs: Tensor<B, 3> = embeddings.reshape([images, 2, dim]);
        let view = |k| standardized(pairs.clone().narrow(1, k, 1).squeeze_dim(1)); // [B, D]
        let correlation = view(0).transpose().matmul(view(1)) / images as f64; // [D, D]
        let diagonal = Tensor::<B, 2>::eye(dim, &correlation.device());
        let invariance = ((correlation.clone() - 1.0) * diagonal.clone()).powi_scalar(2).sum();
        let redundancy = (correlation * (diagonal * -1.0 + 1.0)).powi_scalar(2).sum();
        let loss = invariance.clone() + redundancy.clone() * LAMBDA;
        let scope = Scope::Share(batch.share.fraction());
        Ok(StepLoss { loss, figures: vec![invariance, redundancy], scope, embeddings: of_step })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.projector, "projector")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { projector: weights.load_into(self.projector, "projector")? })
    }
}
