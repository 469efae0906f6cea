//! The model of training: a backbone with the networks of a method.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn_train::{InferenceStep, TrainOutput, TrainStep};
use qare_data::ViewBatch;
use qare_models::{Backbone, FoundBackbone, NamedTensor, StateDict, WeightsError, named_tensors};

use super::loss_scale::DynamicLossScale;
use super::scaled_gradients::differentiate;
use super::step::{Figures, Step, StepFigures, StepOutput, ValidationOutput};
use crate::error::Result;
use crate::evaluation::features;
use crate::methods::{Embeddings, EpochStart, Figure, Pretext, Trainable};
use crate::precision::Precision;

/// A backbone with the networks of a method.
#[derive(Module, Debug)]
pub struct PretextModel<B: Backend, P: Module<B>> {
    /// The backbone, the result of training.
    pub backbone: Backbone<B>,
    /// The networks of the method, with all the state that it keeps between epochs.
    pub networks: P,
    /// The figures that a step reports.
    #[module(skip)]
    pub(super) figures: Vec<Figure>,
    #[module(skip)]
    precision: Precision,
}

impl<B: Backend, P: Pretext<B>> PretextModel<B, P> {
    /// Combines a backbone with the networks of a method that reports these figures.
    pub fn new(backbone: Backbone<B>, networks: P, figures: Vec<Figure>, precision: Precision) -> Self {
        Self { backbone, networks, figures, precision }
    }

    /// Prepares the model for an epoch.
    ///
    /// # Errors
    /// The errors of [`Pretext::begin_epoch`].
    pub fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Self> {
        Ok(Self { networks: self.networks.begin_epoch(start)?, ..self })
    }

    /// Returns all weights under their names in files.
    pub fn weights(&self) -> Vec<NamedTensor> {
        let mut tensors = named_tensors(&self.backbone, "backbone");
        tensors.extend(self.networks.weights());
        tensors
    }

    /// Loads all weights of a file.
    ///
    /// # Errors
    /// If a weight is missing or has the wrong shape.
    pub fn with_weights(mut self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        self.backbone = weights.load_into(self.backbone, "backbone")?;
        self.with_networks(weights)
    }

    /// Loads the weights of the method's networks.
    ///
    /// # Errors
    /// If a weight is missing or has the wrong shape.
    pub fn with_networks(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { networks: self.networks.load(weights)?, ..self })
    }

    /// Loads the weights of the backbone.
    ///
    /// # Errors
    /// If they are of another backbone.
    pub fn with_backbone(mut self, found: &FoundBackbone) -> std::result::Result<Self, WeightsError> {
        self.backbone = found.load_into(self.backbone)?;
        Ok(self)
    }
}

impl<B: AutodiffBackend, P: Trainable<B>> PretextModel<B, P> {
    /// Computes figures and gradients of a batch, or of one device's share of it. The loss is multiplied by `scale` for the
    /// differentiation, and the gradients are divided by it. Nothing is read from the device.
    ///
    /// # Errors
    /// If the method cannot compute a loss for the batch.
    pub fn differentiate(
        &self,
        batch: ViewBatch<B>,
        scale: Option<&DynamicLossScale<B::InnerBackend>>,
    ) -> Result<Step<B::InnerBackend>> {
        let views = batch.indices.len() * batch.images.dims()[1];
        let first = batch.share.shard.rank == 0;
        let batch = ViewBatch { images: self.precision.of(batch.images), ..batch };
        let output = self.networks.forward(&self.backbone, batch)?;
        let embeddings = output.embeddings.map(Embeddings::inner);
        // On a single device both weights are 1.
        let (loss_weight, figure_weight) = output.scope.weights(first);
        let weighted = if loss_weight == 1.0 { output.loss.clone() } else { output.loss.clone() * loss_weight };
        let mut differentiated = differentiate(weighted, scale);
        let gradients = differentiated.of(self);
        let figures = match figure_weight {
            // The first device reports the figures, so this one does not read them.
            0.0 => Figures::Read(StepFigures { method: vec![0.0; output.figures.len()], views, ..Default::default() }),
            weight => {
                let values = [output.loss].into_iter().chain(output.figures);
                Figures::OnDevice { values: Tensor::cat(values.map(Tensor::inner).collect(), 0), weight, views }
            }
        };
        Ok(Step { gradients, figures, finite: differentiated.are_finite(), embeddings })
    }
}

impl<B: AutodiffBackend, P: Trainable<B>> TrainStep for PretextModel<B, P> {
    type Input = ViewBatch<B>;
    type Output = StepOutput;

    /// Computes a step without loss scaling. A failed step has no gradients, so that it changes nothing.
    fn step(&self, batch: ViewBatch<B>) -> TrainOutput<StepOutput> {
        let step = self.differentiate(batch, None).and_then(|step| {
            let figures = step.figures.read();
            figures.check(&self.figures).map(|()| (step.gradients, figures))
        });
        match step {
            Ok((grads, figures)) => TrainOutput { grads, item: StepOutput::Done(figures) },
            Err(error) => TrainOutput { grads: GradientsParams::new(), item: StepOutput::Failed(error.to_string()) },
        }
    }
}

impl<B: Backend, P: Module<B>> InferenceStep for PretextModel<B, P> {
    type Input = ViewBatch<B>;
    type Output = ValidationOutput;

    /// Computes the frozen features of a batch of single views.
    fn step(&self, batch: ViewBatch<B>) -> ValidationOutput {
        let features = features::of_batch(&self.backbone, batch.images, self.precision);
        ValidationOutput { features, ..Default::default() }
    }
}
