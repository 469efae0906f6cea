//! The training state.

use std::sync::{Mutex, PoisonError};

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{Bool, Tensor};
use qare_data::ViewBatch;
use qare_host::computes_on_host;
use qare_models::StateDict;

use super::loss_scale::{DynamicLossScale, LossScale};
use super::model::PretextModel;
use super::optimizer::{ModelOptimizer, take_gradients, take_gradients_where};
use super::step::Step;
use crate::error::{LabError, Result};
use crate::methods::{EpochStart, Plan, Trainable};
use crate::precision::Precision;
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint_writer::{CheckpointWriter, Resumable, optimizer_file};
use crate::runs::records::Latest;
use crate::runs::run_folder::RunFolder;

/// Everything that changes during training. A run that resumes from a saved state takes the same steps as an uninterrupted run.
///
/// The state has no random number generator, because every draw is a function of the run's seed and of the epoch.
pub struct TrainingState<B: AutodiffBackend, P: Trainable<B>> {
    /// Number of finished epochs.
    pub epoch: usize,
    /// Backbone and networks of the method.
    pub model: PretextModel<B, P>,
    /// The optimizer with its state.
    pub optimizer: ModelOptimizer<PretextModel<B, P>, B>,
    /// The loss scale of a run in f16.
    pub loss_scale: Option<DynamicLossScale<B::InnerBackend>>,
    /// The learning rate of the backbone, relative to that of the method's networks.
    backbone_rate: f64,
    /// The device of the model.
    device: B::Device,
}

impl<B: AutodiffBackend, P: Trainable<B>> TrainingState<B, P> {
    /// Creates the state before the first epoch.
    pub fn new(model: PretextModel<B, P>, plan: &Plan, precision: Precision) -> Self {
        let device = Module::<B>::devices(&model).pop().unwrap_or_default();
        Self {
            epoch: 0,
            model,
            optimizer: ModelOptimizer::new(plan.rule),
            loss_scale: LossScale::start(precision).map(|scale| scale.to_device(&device)),
            backbone_rate: plan.backbone_rate,
            device,
        }
    }

    /// Loads the state after the last finished epoch of a run.
    ///
    /// # Errors
    /// If a file of the run is missing or damaged.
    pub fn resumed(self, folder: &RunFolder, latest: &Latest, device: &B::Device) -> Result<Self> {
        let weights = folder.file(&latest.weights);
        let model = StateDict::read_safetensors(&weights).and_then(|weights| self.model.with_weights(&weights));
        let model = model.map_err(|error| {
            let problem = LabError::from(error);
            LabError::Failed(format!(
                "{problem}; nothing was changed: put the file back from a copy, or start the run again with --overwrite"
            ))
        })?;
        let path = optimizer_file(folder, latest)?;
        let unusable = |problem: String| {
            LabError::Failed(format!(
                "{} {problem}; nothing was changed: put it back from a copy, or start another run from the weights with \
                 --checkpoint {}",
                path.printable(),
                weights.printable()
            ))
        };
        let bytes = std::fs::read(&path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        let optimizer = self.optimizer.with_bytes(&bytes, &model, device);
        let optimizer = optimizer.map_err(|error| unusable(format!("is damaged: {error}")))?;
        let saved = latest.loss_scale.map(|scale| scale.to_device(device));
        let loss_scale = self.loss_scale.map(|start| saved.unwrap_or(start));
        Ok(Self { epoch: latest.epoch, model, optimizer, loss_scale, ..self })
    }

    /// Saves the state to the run folder.
    ///
    /// # Errors
    /// If a weight is NaN or infinite, or a file cannot be written.
    pub fn save(&self, writer: &CheckpointWriter) -> Result<()> {
        let loss_scale = self.loss_scale.as_ref().map(DynamicLossScale::read);
        let resumable = Resumable { optimizer: &self.optimizer.to_bytes(&self.model), loss_scale };
        writer.save(self.epoch, &self.model.weights(), Some(resumable))
    }

    /// Prepares the model for an epoch.
    ///
    /// # Errors
    /// The errors of the method.
    pub fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Self> {
        Ok(Self { model: self.model.begin_epoch(start)?, ..self })
    }

    /// Computes figures and gradients of a batch.
    ///
    /// # Errors
    /// The errors of [`PretextModel::differentiate`].
    pub fn differentiate(&self, batch: ViewBatch<B>) -> Result<Step<B::InnerBackend>> {
        let device = batch.images.device();
        on_pool::<B, _>(&device, || self.model.differentiate(batch, self.loss_scale.as_ref()))
    }

    /// Returns the state after a step at a learning rate. `finite` is that of the [`Step`]: a step whose gradients are not finite
    /// changes only the loss scale. Nothing is read from the device.
    ///
    /// If the gradients are not finite at the smallest loss scale, [`DynamicLossScale::exhausted`] says so, and training must end.
    pub fn after(
        mut self,
        mut gradients: GradientsParams,
        finite: Option<&Tensor<B::InnerBackend, 1, Bool>>,
        rate: f64,
    ) -> Self {
        if let Some(finite) = finite {
            self.loss_scale = self.loss_scale.map(|scale| scale.after(finite));
        }
        // On the threads that have allocated the gradients: a step of resnet18 takes a quarter longer if another one releases them.
        let device = self.device;
        let mut step = |rate, model, gradients| {
            on_pool::<B, _>(&device, || match finite {
                Some(finite) => self.optimizer.step_if(finite, rate, model, gradients),
                None => self.optimizer.step(rate, model, gradients),
            })
        };
        let mut model = self.model;
        if self.backbone_rate != 1.0 {
            let backbone_gradients = take_gradients(&model.backbone, &mut gradients);
            model = step(rate * self.backbone_rate, model, backbone_gradients);
        }
        for (id, own_rate) in model.networks.rates() {
            let own_gradients = take_gradients_where::<B, P>(&model.networks, |other| other == id, &mut gradients);
            model = step(rate * own_rate, model, own_gradients);
        }
        let model = step(rate, model, gradients);
        Self { model, device, ..self }
    }
}

/// One step at a time, in all trainings of the process. A thread of the pool that waits for a loop takes other tasks; the second of two steps
/// on it would wait for the autodiff graph of the first.
static STEP: Mutex<()> = Mutex::new(());

/// Calls `step`, on a thread of rayon's pool where tensors are on the host. A thread outside of the pool waits for the pool at every loop over a
/// batch, and takes a core from it in between.
fn on_pool<B: AutodiffBackend, R: Send>(device: &B::Device, step: impl FnOnce() -> R + Send) -> R {
    // On a GPU, CubeCL gives each thread a stream of its own.
    if !computes_on_host::<B>(device) || rayon::current_thread_index().is_some() {
        return step();
    }
    let _alone = STEP.lock().unwrap_or_else(PoisonError::into_inner);
    rayon::scope(|_| step())
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tensor};
    use qare_models::BackboneName;

    use super::*;
    use crate::test_backend::{Training, any_device};

    /// Each waits for the pool while it holds its autodiff graph.
    #[test]
    fn trainings_of_one_process_do_not_wait_for_each_other_for_ever() {
        let device = any_device();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let backbone = BackboneName::Conv4.init::<Training>(1, &device);
                    let images = Tensor::random([64, 3, 32, 32], Distribution::Default, &device);
                    for _ in 0..40 {
                        on_pool::<Training, _>(&device, || backbone.forward(images.clone()).sum().backward());
                    }
                });
            }
        });
    }
}
