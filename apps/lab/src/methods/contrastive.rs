//! `simclr`, `simclr_qare`, `sparseclr`, `sparseclr_qare`: views of an image against views of other images.

use burn::module::Module;
use burn::tensor::Device;
use burn::tensor::backend::Backend;
use qare::{ContrastiveObjective, ContrastiveObjectiveConfig, NtXentConfig, PairwiseConfig, SparseClrConfig, Views};
use qare_data::{Augmentation, ViewBatch};
use qare_models::replicas::Replica;
use qare_models::{
    Backbone, NamedTensor, ProjectionHead, ProjectionHeadConfig, StateDict, WeightsError, named_tensors,
};

use super::{Embeddings, Facts, Figure, Method, MethodName, Plan, Pretext, Scope, StepLoss};
use crate::error::{LabError, Result};
use crate::recipe::Recipe;

/// A projection head and the objective on its embeddings.
#[derive(Module, Debug)]
pub struct Contrastive<B: Backend> {
    head: ProjectionHead<B>,
    #[module(skip)]
    objective: ContrastiveObjective,
    #[module(skip)]
    views: Views,
}

/// Returns the objective of a recipe.
fn objective(recipe: &Recipe) -> ContrastiveObjectiveConfig {
    let mut config = match &recipe.method {
        MethodName::BuiltIn(Method::Simclr) => ContrastiveObjectiveConfig::simclr(),
        MethodName::BuiltIn(Method::SimclrQare) => ContrastiveObjectiveConfig::simclr_qare(recipe.alpha, recipe.beta),
        MethodName::BuiltIn(Method::Sparseclr) => ContrastiveObjectiveConfig::sparseclr(),
        MethodName::BuiltIn(Method::SparseclrQare) => {
            ContrastiveObjectiveConfig::sparseclr_qare(recipe.alpha, recipe.beta)
        }
        other => unreachable!("{other} is not a contrastive method"),
    };
    if let Some(qare) = &mut config.qare {
        qare.similarity_floor = recipe.similarity_floor.0;
        qare.set_term = recipe.set_term;
    }
    config.pairwise = match config.pairwise {
        PairwiseConfig::NtXent(config) => {
            PairwiseConfig::NtXent(NtXentConfig { temperature: recipe.temperature, ..config })
        }
        PairwiseConfig::SparseClr(config) => {
            PairwiseConfig::SparseClr(SparseClrConfig { margin: recipe.margin, ..config })
        }
    };
    config
}

/// The method follows the common protocol.
pub(super) fn set_defaults(_recipe: &mut Recipe) {}

/// Returns the plan of the four methods.
pub(super) fn plan(recipe: &Recipe) -> Plan {
    let set_term = objective(recipe).qare.is_some().then_some(Figure::term("QARe"));
    let figures = [Figure::term("Pairwise")].into_iter().chain(set_term);
    Plan::new(Augmentation::Contrastive, recipe.views).with_figures(figures)
}

impl<B: Backend> Pretext<B> for Contrastive<B> {
    fn set_defaults(recipe: &mut Recipe) {
        set_defaults(recipe);
    }

    fn plan(recipe: &Recipe) -> Plan {
        plan(recipe)
    }

    fn new(recipe: &Recipe, _facts: &Facts, device: &Device<B>) -> Result<Self> {
        let views = Views::new(recipe.views).map_err(|error| LabError::Usage(error.to_string()))?;
        let head = ProjectionHeadConfig::new(recipe.backbone.feature_dim()).with_output(recipe.outter_fs);
        let objective = objective(recipe).init().map_err(|error| LabError::Usage(error.to_string()))?;
        Ok(Self { head: head.init(recipe.seed, device), objective, views })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let images = self.views.rows(batch.images); // [K·B, 3, H, W]
        let embeddings = self.head.forward(backbone.forward(images)); // [K·B, D]
        let embeddings = match Replica::current() {
            Some(replica) => replica.gather_rows(embeddings).map_err(LabError::failed)?,
            None => embeddings,
        };
        let of_step = Embeddings::of(&embeddings, self.views.count());
        let output = self.objective.forward(embeddings, self.views).map_err(LabError::failed)?;
        let figures = [output.pairwise].into_iter().chain(output.qare).collect();
        Ok(StepLoss { loss: output.loss, figures, scope: Scope::Batch, embeddings: of_step })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.head, "head")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { head: weights.load_into(self.head, "head")?, ..self })
    }
}
