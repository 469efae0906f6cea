//! Backbone and method as the one model that Burn's Learner trains.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, cast::ToElement};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use qare_data::ViewBatch;
use qare_models::{Backbone, FoundBackbone, NamedTensor, StateDict, WeightsError, named_tensors};

use crate::error::Result;
use crate::loss_scale::LossScale;
use crate::methods::{EpochStart, Figure, Networks};
use crate::precision::Precision;
use crate::step::{StepFigures, StepOutput, ValidationOutput};

/// A backbone, and what a method trains on top of it.
#[derive(Module, Debug)]
pub struct PretextModel<B: Backend> {
    pub backbone: Backbone<B>,
    networks: Networks<B>,
    /// Names of the figures that a step tells.
    #[module(skip)]
    figures: Vec<Figure>,
    #[module(skip)]
    precision: Precision,
    #[module(skip)]
    pub loss_scale: LossScale,
}

impl<B: Backend> PretextModel<B> {
    pub fn new(backbone: Backbone<B>, networks: Networks<B>, figures: Vec<Figure>, precision: Precision) -> Self {
        Self { backbone, networks, figures, precision, loss_scale: LossScale::new(precision) }
    }

    /// The model as an epoch begins, if its weights are others then.
    pub fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Option<Self>> {
        let networks = self.networks.begin_epoch(start)?;
        Ok(networks.map(|networks| Self { networks, ..self }))
    }

    /// All weights under the reference's names.
    pub fn weights(&self) -> Vec<NamedTensor> {
        let mut tensors = named_tensors(&self.backbone, "backbone");
        tensors.extend(self.networks.weights());
        tensors
    }

    /// The model with the weights that one like it had, all of them.
    pub fn with_weights(mut self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        self.backbone = weights.load_into(self.backbone, "backbone")?;
        self.with_networks(weights)
    }

    /// The model with these weights of the method's networks.
    pub fn with_networks(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { networks: self.networks.load(weights)?, ..self })
    }

    /// The model with this backbone.
    pub fn with_backbone(mut self, found: &FoundBackbone) -> std::result::Result<Self, WeightsError> {
        self.backbone = found.load_into(self.backbone)?;
        Ok(self)
    }
}

impl<B: AutodiffBackend> TrainStep for PretextModel<B> {
    type Input = ViewBatch<B>;
    type Output = StepOutput;

    fn step(&self, batch: ViewBatch<B>) -> TrainOutput<StepOutput> {
        let views = batch.indices.len() * batch.images.dims()[1];
        let first = batch.share.shard.rank == 0;
        let batch = ViewBatch { images: self.precision.of(batch.images), ..batch };
        match self.networks.forward(&self.backbone, batch) {
            Ok(output) => {
                // Of one device both weights are 1.
                let (of_loss, of_figures) = output.scope.weights(first);
                let weighted = if of_loss == 1.0 { output.loss.clone() } else { output.loss.clone() * of_loss };
                let mut differentiated = self.loss_scale.backward(weighted);
                let gradients = differentiated.of(self);
                let number = |value: Tensor<B, 1>| match of_figures {
                    // The first device tells it.
                    0.0 => 0.0,
                    weight => weight * value.into_scalar().to_f64(),
                };
                let figures = StepFigures {
                    loss: number(output.loss),
                    method: output.figures.into_iter().map(number).collect(),
                    views,
                    views_per_second: 0.0,
                };
                let item = StepOutput::of(figures, &self.figures);
                match (differentiated.are_good(), &item) {
                    (Ok(true), _) => TrainOutput { grads: gradients, item },
                    // Without gradients a step changes nothing.
                    (Ok(false), _) | (_, StepOutput::Failed(_)) => TrainOutput { grads: GradientsParams::new(), item },
                    (Err(error), _) => TrainOutput { grads: GradientsParams::new(), item: StepOutput::Failed(error) },
                }
            }
            Err(error) => TrainOutput { grads: GradientsParams::new(), item: StepOutput::Failed(error) },
        }
    }
}

impl<B: Backend> InferenceStep for PretextModel<B> {
    type Input = ViewBatch<B>;
    type Output = ValidationOutput;

    /// The frozen features of a batch of single views.
    fn step(&self, batch: ViewBatch<B>) -> ValidationOutput {
        let features = crate::features::of_batch(&self.backbone, batch.images, self.precision);
        ValidationOutput { features, knn_accuracy: 0.0 }
    }
}
