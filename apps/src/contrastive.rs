//! The contrastive methods as a model that Burn's Learner trains.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, cast::ToElement};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use qare::{ContrastiveObjective, ObjectiveError, ObjectiveOutput, Views};
use qare_data::ViewBatch;
use qare_models::{Backbone, NamedTensor, ProjectionHead, StateDict, WeightsError, named_tensors};

use crate::step::{StepFigures, StepOutput, ValidationOutput};
use crate::strategy::Weights;

/// Backbone, projection head, and the objective on the head's embeddings.
#[derive(Module, Debug)]
pub struct ContrastiveModel<B: Backend> {
    pub backbone: Backbone<B>,
    head: ProjectionHead<B>,
    #[module(skip)]
    objective: ContrastiveObjective,
    #[module(skip)]
    views: Views,
}

impl<B: Backend> ContrastiveModel<B> {
    pub fn new(backbone: Backbone<B>, head: ProjectionHead<B>, objective: ContrastiveObjective, views: Views) -> Self {
        Self { backbone, head, objective, views }
    }

    fn objective(&self, batch: ViewBatch<B>) -> Result<ObjectiveOutput<B>, ObjectiveError> {
        let images = self.views.rows(batch.images); // [K·B, 3, H, W]
        let features = self.backbone.forward(images); // [K·B, F]
        self.objective.forward(self.head.forward(features), self.views)
    }

    /// The model with these weights of a backbone and a head.
    pub fn with_weights(mut self, weights: &StateDict) -> Result<Self, WeightsError> {
        self.head = weights.load_into(self.head, "head")?;
        self.with_backbone(weights)
    }

    /// The model with these weights of a backbone.
    pub fn with_backbone(mut self, weights: &StateDict) -> Result<Self, WeightsError> {
        self.backbone = weights.load_into(self.backbone, "backbone")?;
        Ok(self)
    }
}

impl<B: AutodiffBackend> TrainStep for ContrastiveModel<B> {
    type Input = ViewBatch<B>;
    type Output = StepOutput;

    fn step(&self, batch: ViewBatch<B>) -> TrainOutput<StepOutput> {
        let views = batch.indices.len() * self.views.count();
        match self.objective(batch) {
            Ok(output) => {
                let gradients = GradientsParams::from_grads(output.loss.backward(), self);
                let number = |value: Tensor<B, 1>| value.into_scalar().to_f64();
                let figures = StepFigures {
                    loss: number(output.loss),
                    pairwise: number(output.pairwise),
                    qare: output.qare.map(number),
                    views,
                    views_per_second: 0.0,
                };
                TrainOutput { grads: gradients, item: StepOutput::of(figures) }
            }
            Err(error) => TrainOutput { grads: GradientsParams::new(), item: StepOutput::Failed(error.to_string()) },
        }
    }
}

impl<B: Backend> InferenceStep for ContrastiveModel<B> {
    type Input = ViewBatch<B>;
    type Output = ValidationOutput;

    /// The frozen features of a batch of single views.
    fn step(&self, batch: ViewBatch<B>) -> ValidationOutput {
        let features = crate::features::of_batch(&self.backbone, batch.images);
        ValidationOutput { features, knn_accuracy: 0.0 }
    }
}

impl<B: Backend> Weights for ContrastiveModel<B> {
    fn weights(&self) -> Vec<NamedTensor> {
        let mut tensors = named_tensors(&self.backbone, "backbone");
        tensors.extend(named_tensors(&self.head, "head"));
        tensors
    }
}
