//! All that changes while a run trains.

use burn::tensor::backend::AutodiffBackend;
use qare_data::ViewBatch;
use qare_models::StateDict;

use super::loss_scale::LossScale;
use super::model::PretextModel;
use super::optimizer::{ModelOptimizer, take_gradients};
use super::step::{Step, StepFigures};
use crate::error::{LabError, Result};
use crate::methods::{EpochStart, Plan, Trainable};
use crate::precision::Precision;
use crate::runs::checkpoint::{CheckpointWriter, Resumable, optimizer_file};
use crate::runs::run_folder::{Latest, RunFolder};

/// All that changes while a run trains. The loop owns it, and a run folder keeps it: a run that goes on from a saved state
/// takes the same steps as one that was never stopped.
///
/// Randomness is no part of it: every draw is a function of the run's seed and of the epoch.
pub struct TrainingState<B: AutodiffBackend, P: Trainable<B>> {
    /// Whole epochs so far.
    pub epoch: usize,
    /// Backbone and networks of the method.
    pub model: PretextModel<B, P>,
    /// What the optimizer remembers of every weight.
    pub optimizer: ModelOptimizer<PretextModel<B, P>, B>,
    /// What the loss is multiplied by, in f16.
    pub loss_scale: Option<LossScale>,
    /// The backbone's learning rate, as a multiple of that of the method's networks.
    backbone_rate: f64,
}

impl<B: AutodiffBackend, P: Trainable<B>> TrainingState<B, P> {
    /// The state before the first epoch.
    pub fn new(model: PretextModel<B, P>, plan: &Plan, precision: Precision) -> Self {
        Self {
            epoch: 0,
            model,
            optimizer: ModelOptimizer::new(plan.rule),
            loss_scale: LossScale::start(precision),
            backbone_rate: plan.backbone_rate,
        }
    }

    /// The state after the last whole epoch of a run, put into one of the same shape.
    ///
    /// # Errors
    /// If a file of the run is missing or damaged.
    pub fn resumed(self, folder: &RunFolder, latest: &Latest, device: &B::Device) -> Result<Self> {
        let weights = folder.file(&latest.weights);
        let model = self.model.with_weights(&StateDict::read_safetensors(&weights)?)?;
        let path = optimizer_file(folder, latest)?;
        let unusable = |problem: String| {
            LabError::Failed(format!(
                "{} {problem}; nothing was changed: put it back, or start another run from the weights with --checkpoint {}",
                path.display(),
                weights.display()
            ))
        };
        let bytes = std::fs::read(&path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let optimizer = self.optimizer.with_bytes(&bytes, &model, device);
        let optimizer = optimizer.map_err(|error| unusable(format!("is damaged: {error}")))?;
        let loss_scale = self.loss_scale.map(|start| latest.loss_scale.unwrap_or(start));
        Ok(Self { epoch: latest.epoch, model, optimizer, loss_scale, ..self })
    }

    /// Keeps the state in the folder of its run.
    ///
    /// # Errors
    /// If a weight is not finite, or a file cannot be written.
    pub fn save(&self, writer: &CheckpointWriter) -> Result<()> {
        let resumable = Resumable { optimizer: &self.optimizer.to_bytes(&self.model), loss_scale: self.loss_scale };
        writer.save(self.epoch, &self.model.weights(), Some(resumable))
    }

    /// The state at the start of an epoch, as the method wants it.
    ///
    /// # Errors
    /// Those of the method.
    pub fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Self> {
        Ok(Self { model: self.model.begin_epoch(start)?, ..self })
    }

    /// Figures and gradients of a batch.
    ///
    /// # Errors
    /// If there are none.
    pub fn differentiate(&self, batch: ViewBatch<B>) -> Result<Step> {
        self.model.differentiate(batch, self.loss_scale.map(LossScale::factor))
    }

    /// The state after a step at a learning rate, and what is reported of it. A step whose gradients are not finite changes
    /// nothing but the loss scale.
    ///
    /// # Errors
    /// If gradients are not finite at the least loss scale either.
    pub fn after(mut self, step: Step, rate: f64) -> Result<(Self, StepFigures)> {
        let Step { mut gradients, figures, finite } = step;
        self.loss_scale = self.loss_scale.map(|scale| scale.after(finite)).transpose()?;
        if !finite {
            return Ok((self, figures));
        }
        let mut model = self.model;
        if self.backbone_rate != 1.0 {
            let of_backbone = take_gradients(&model.backbone, &mut gradients);
            model = self.optimizer.step(rate * self.backbone_rate, model, of_backbone);
        }
        let model = self.optimizer.step(rate, model, gradients);
        Ok((Self { model, ..self }, figures))
    }
}
