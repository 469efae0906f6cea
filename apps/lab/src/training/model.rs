//! Backbone and method as one model.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, cast::ToElement};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use qare_data::ViewBatch;
use qare_models::{Backbone, FoundBackbone, NamedTensor, StateDict, WeightsError, named_tensors};

use super::loss_scale::differentiate;
use super::step::{Step, StepFigures, StepOutput, ValidationOutput};
use crate::error::Result;
use crate::evaluation::features;
use crate::methods::{EpochStart, Figure, Pretext, Trainable};
use crate::precision::Precision;

/// A backbone, and what a method trains on top of it.
#[derive(Module, Debug)]
pub struct PretextModel<B: Backend, P: Module<B>> {
    /// What is wanted in the end.
    pub backbone: Backbone<B>,
    /// The method's own networks, with all that it keeps from epoch to epoch.
    pub networks: P,
    /// Names of the figures that a step reports.
    #[module(skip)]
    figures: Vec<Figure>,
    #[module(skip)]
    precision: Precision,
}

impl<B: Backend, P: Pretext<B>> PretextModel<B, P> {
    /// Of a backbone and a method that reports these figures.
    pub fn new(backbone: Backbone<B>, networks: P, figures: Vec<Figure>, precision: Precision) -> Self {
        Self { backbone, networks, figures, precision }
    }

    /// The model at the start of an epoch.
    ///
    /// # Errors
    /// Those of [`Pretext::begin_epoch`].
    pub fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Self> {
        Ok(Self { networks: self.networks.begin_epoch(start)?, ..self })
    }

    /// All weights under their names in files.
    pub fn weights(&self) -> Vec<NamedTensor> {
        let mut tensors = named_tensors(&self.backbone, "backbone");
        tensors.extend(self.networks.weights());
        tensors
    }

    /// The model with all the weights of one like it.
    ///
    /// # Errors
    /// If they are not all there, or do not fit.
    pub fn with_weights(mut self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        self.backbone = weights.load_into(self.backbone, "backbone")?;
        self.with_networks(weights)
    }

    /// The model with these weights of the method's networks.
    ///
    /// # Errors
    /// If they are not all there, or do not fit.
    pub fn with_networks(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { networks: self.networks.load(weights)?, ..self })
    }

    /// The model with this backbone.
    ///
    /// # Errors
    /// If it is another one.
    pub fn with_backbone(mut self, found: &FoundBackbone) -> std::result::Result<Self, WeightsError> {
        self.backbone = found.load_into(self.backbone)?;
        Ok(self)
    }
}

impl<B: AutodiffBackend, P: Trainable<B>> PretextModel<B, P> {
    /// Figures and gradients of a batch, or of one device's share of it; the loss is multiplied by `scale` while it is
    /// differentiated.
    ///
    /// # Errors
    /// If the method has no loss for the batch, or loss and figures are not finite.
    pub fn differentiate(&self, batch: ViewBatch<B>, scale: Option<f64>) -> Result<Step> {
        let views = batch.indices.len() * batch.images.dims()[1];
        let first = batch.share.shard.rank == 0;
        let batch = ViewBatch { images: self.precision.of(batch.images), ..batch };
        let output = self.networks.forward(&self.backbone, batch)?;
        // Of one device both weights are 1.
        let (of_loss, of_figures) = output.scope.weights(first);
        let weighted = if of_loss == 1.0 { output.loss.clone() } else { output.loss.clone() * of_loss };
        let mut differentiated = differentiate(weighted, scale);
        let gradients = differentiated.of(self);
        let number = |value: Tensor<B, 1>| match of_figures {
            // The first device reports it.
            0.0 => 0.0,
            weight => weight * value.into_scalar().to_f64(),
        };
        let figures = StepFigures {
            loss: number(output.loss),
            method: output.figures.into_iter().map(number).collect(),
            views,
            views_per_second: 0.0,
        };
        figures.check(&self.figures)?;
        Ok(Step { gradients, figures, finite: differentiated.are_finite() })
    }
}

impl<B: AutodiffBackend, P: Trainable<B>> TrainStep for PretextModel<B, P> {
    type Input = ViewBatch<B>;
    type Output = StepOutput;

    /// A step in which nothing is scaled. One that fails has no gradients, so that it changes nothing.
    fn step(&self, batch: ViewBatch<B>) -> TrainOutput<StepOutput> {
        match self.differentiate(batch, None) {
            Ok(step) => TrainOutput { grads: step.gradients, item: StepOutput::Done(step.figures) },
            Err(error) => TrainOutput { grads: GradientsParams::new(), item: StepOutput::Failed(error.to_string()) },
        }
    }
}

impl<B: Backend, P: Module<B>> InferenceStep for PretextModel<B, P> {
    type Input = ViewBatch<B>;
    type Output = ValidationOutput;

    /// The frozen features of a batch of single views.
    fn step(&self, batch: ViewBatch<B>) -> ValidationOutput {
        let features = features::of_batch(&self.backbone, batch.images, self.precision);
        ValidationOutput { features, knn_accuracy: 0.0 }
    }
}
