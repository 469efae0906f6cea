//! `standard`: supervised training, an upper bound for self-supervised methods.

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::Device;
use burn::tensor::backend::Backend;
use qare_data::{Augmentation, DatasetName, ViewBatch};
use qare_models::{
    Backbone, LinearClassifier, LinearClassifierConfig, NamedTensor, StateDict, WeightsError, named_tensors,
};

use super::pretext::accuracy;
use super::{Embeddings, Facts, Figure, Plan, Pretext, Scope, StepLoss};
use crate::error::Result;
use crate::evaluation::finetune::affine;
use crate::precision::single;
use crate::recipe::Recipe;
use crate::training::optimizer::Rule;

/// A linear classifier on the features, trained with cross entropy on the labels.
#[derive(Module, Debug)]
pub struct Standard<B: Backend> {
    classifier: LinearClassifier<B>,
}

/// Sets the defaults in which the method differs from the common protocol.
pub(super) fn set_defaults(recipe: &mut Recipe) {
    recipe.learning_rate = 0.1;
}

/// Returns the training plan of the method.
pub(super) fn plan(recipe: &Recipe) -> Plan {
    let augmentation = match recipe.dataset {
        DatasetName::Stl10 => affine(recipe.dataset),
        _ => Augmentation::Crop,
    };
    let rule = Rule::Sgd { momentum: recipe.momentum };
    let plan = Plan { labelled: true, rule, drops: &[0.5, 0.75], ..Plan::new(augmentation, 1) };
    plan.with_figures([Figure::accuracy("Accuracy")])
}

impl<B: Backend> Pretext<B> for Standard<B> {
    fn set_defaults(recipe: &mut Recipe) {
        set_defaults(recipe);
    }

    fn plan(recipe: &Recipe) -> Plan {
        plan(recipe)
    }

    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self> {
        let classifier = LinearClassifierConfig::new(recipe.backbone.feature_dim(), facts.classes);
        Ok(Self { classifier: classifier.init(recipe.seed, device) })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let features = backbone.forward(batch.images.squeeze_dim(1)); // [B, F]
        let embeddings = Embeddings::of(&features, 1);
        let logits = single(self.classifier.forward(features)); // [B, classes]
        let accuracy = accuracy(logits.clone(), batch.labels.clone());
        let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, batch.labels);
        Ok(StepLoss { loss, figures: vec![accuracy], scope: Scope::Share(batch.share.fraction()), embeddings })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.classifier, "classifier")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { classifier: weights.load_into(self.classifier, "classifier")? })
    }
}
