//! The training loop, as a strategy of burn-train's Learner: everything that trains a backbone trains here.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::data::dataloader::Progress;
use burn::lr_scheduler::LrScheduler;
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use burn_train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, LearningComponentsTypes, SupervisedLearningStrategy,
    SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingItem, TrainingModel, ValidLoader,
};
use qare_data::{ImageSet, ViewBatch, ViewLoader};
use qare_models::replicas::ReplicaGroup;
use serde_json::json;

use super::model::PretextModel;
use super::schedule::StepDecay;
use super::state::TrainingState;
use super::step::{StepFigures, StepOutput, ValidationOutput};
use super::validation::Validation;
use super::workers::Workers;
use crate::error::{LabError, Result};
use crate::evaluation::features;
use crate::methods::{EpochStart, Trainable};
use crate::runs::checkpoint::CheckpointWriter;
use crate::runs::epoch_log::{EpochLog, EpochRow};
use crate::runs::run_folder::{self, results_file};

/// How training ended.
pub(super) struct Outcome {
    /// The last whole epoch of this process.
    pub last: Option<EpochRow>,
    /// Whether somebody stopped it in the middle of an epoch.
    pub interrupted: bool,
    /// Seconds of all epochs, those of earlier processes too.
    pub seconds: f64,
}

/// What goes into the loop, and what comes out of it. The Learner owns the strategy and hands nothing back, so that the two
/// are exchanged through this one cell.
pub(super) enum Exchange<B: AutodiffBackend, P: Trainable<B>> {
    /// Before: what the loop is to own.
    Owned(Box<Owned<B, P>>),
    /// Meanwhile.
    Taken,
    /// Afterwards.
    Ended(Result<Outcome>),
}

/// What changes while the loop runs.
pub(super) struct Owned<B: AutodiffBackend, P: Trainable<B>> {
    pub state: TrainingState<B, P>,
    pub schedule: StepDecay,
    pub log: EpochLog,
}

/// Trains epoch after epoch: prepares each, validates, logs and saves after each, and stops for an interrupt or for figures that
/// are not finite. Whatever was saved before stays whole.
///
/// The Learner's own copy of model and optimizer is not used: it keeps its optimizer to itself, and a run that can be resumed
/// has to save it.
pub(super) struct PretrainStrategy<B: AutodiffBackend, P: Trainable<B>> {
    pub exchange: Arc<Mutex<Exchange<B, P>>>,
    /// The images trained on, for methods that look at all of them before an epoch.
    pub images: ImageSet,
    /// A loader for each device, of its share of the batches; the main one first.
    pub loaders: Vec<ViewLoader<B>>,
    pub devices: Vec<B::Device>,
    /// Of several devices.
    pub group: Option<ReplicaGroup>,
    /// `None` where labels do not tell images apart.
    pub validation: Option<Validation>,
    pub checkpoints: CheckpointWriter,
    /// What `results.json` calls the backend.
    pub backend: String,
}

/// Means over the steps of an epoch.
#[derive(Default)]
struct EpochMeans {
    steps: usize,
    loss: f64,
    method: Vec<f64>,
    views: usize,
    seconds: f64,
    /// Of the last step.
    learning_rate: f64,
}

impl EpochMeans {
    fn add(&mut self, figures: &StepFigures) {
        self.steps += 1;
        self.loss += figures.loss;
        self.views += figures.views;
        self.method.resize(figures.method.len(), 0.0);
        self.method.iter_mut().zip(&figures.method).for_each(|(sum, value)| *sum += value);
    }

    fn over_steps(self, seconds: f64) -> Self {
        let steps = self.steps.max(1) as f64;
        let method = self.method.iter().map(|sum| sum / steps).collect();
        Self { loss: self.loss / steps, method, seconds, ..self }
    }
}

/// What the loop shows itself to, and hears from.
struct Stage<'a, LC: LearningComponentsTypes> {
    progress: Progress,
    events: &'a mut SupervisedTrainingEventProcessor<LC>,
    interrupter: &'a Interrupter,
}

impl<B, P, LC> SupervisedLearningStrategy<LC> for PretrainStrategy<B, P>
where
    B: AutodiffBackend,
    P: Trainable<B>,
    LC: LearningComponentsTypes<
            Backend = B,
            TrainingModel = PretextModel<B, P>,
            InferenceModel = PretextModel<B::InnerBackend, P::InnerModule>,
        >,
{
    fn fit(
        &self,
        components: TrainingComponents<LC>,
        learner: Learner<LC>,
        _train: TrainLoader<LC>,
        valid: ValidLoader<LC>,
        _starting_epoch: usize,
    ) -> (TrainingModel<LC>, SupervisedTrainingEventProcessor<LC>) {
        let mut events = components.event_processor;
        let taken = std::mem::replace(&mut *self.exchange.lock().expect("no holder panicked"), Exchange::Taken);
        if let Exchange::Owned(owned) = taken {
            let ended = self.run::<LC>(*owned, components.num_epochs, &valid, &mut events, &components.interrupter);
            *self.exchange.lock().expect("no holder panicked") = Exchange::Ended(ended);
        }
        (learner.model(), events)
    }
}

impl<B: AutodiffBackend, P: Trainable<B>> PretrainStrategy<B, P> {
    /// All epochs that are left.
    fn run<LC>(
        &self,
        owned: Owned<B, P>,
        epochs: usize,
        valid: &ValidLoader<LC>,
        events: &mut SupervisedTrainingEventProcessor<LC>,
        interrupter: &Interrupter,
    ) -> Result<Outcome>
    where
        LC: LearningComponentsTypes<
                Backend = B,
                TrainingModel = PretextModel<B, P>,
                InferenceModel = PretextModel<B::InnerBackend, P::InnerModule>,
            >,
    {
        let Owned { mut state, mut schedule, mut log } = owned;
        let workers = self.group.as_ref().map(|group| Workers::start(group, &self.devices)).transpose()?;
        let mut outcome = Outcome { last: None, interrupted: false, seconds: log.total_seconds() };
        while state.epoch < epochs {
            let epoch = state.epoch + 1;
            let started = Instant::now();
            let mut stage: Stage<'_, LC> =
                Stage { progress: Progress::new(epoch, epochs), events: &mut *events, interrupter };
            state = self.begin_epoch(state, epoch)?;
            let Some((trained, means)) = self.train_epoch(state, &mut schedule, workers.as_ref(), &mut stage)? else {
                outcome.interrupted = true;
                break;
            };
            state = trained;
            state.epoch = epoch;
            let score = self.validate(&state.model, valid, &mut stage);
            let row = EpochRow {
                epoch,
                loss: means.loss,
                score,
                method: means.method,
                learning_rate: means.learning_rate,
                views_per_second: means.views as f64 / means.seconds,
                seconds: started.elapsed().as_secs_f64(),
            };
            self.save(&state, &mut log, &row)?;
            outcome = Outcome { last: Some(row), seconds: log.total_seconds(), ..outcome };
        }
        Ok(outcome)
    }

    /// Lets the method prepare an epoch.
    fn begin_epoch(&self, state: TrainingState<B, P>, epoch: usize) -> Result<TrainingState<B, P>> {
        let recipe = &self.checkpoints.recipe;
        let backbone = state.model.backbone.clone();
        let mut compute = || {
            let (normalization, precision) = (recipe.dataset.normalization(), recipe.precision);
            let workers = recipe.num_workers;
            features::extract(&backbone.valid(), &self.images, normalization, precision, workers, &self.devices[0])
        };
        let device = self.devices[0].clone();
        state.begin_epoch(&mut EpochStart { epoch, seed: recipe.seed, device, features: &mut compute })
    }

    /// The state after an epoch; nothing if it was interrupted.
    fn train_epoch<LC>(
        &self,
        mut state: TrainingState<B, P>,
        schedule: &mut StepDecay,
        workers: Option<&Workers<B, P>>,
        stage: &mut Stage<'_, LC>,
    ) -> Result<Option<(TrainingState<B, P>, EpochMeans)>>
    where
        LC: LearningComponentsTypes<Backend = B, TrainingModel = PretextModel<B, P>>,
    {
        let epoch = stage.progress.items_processed;
        let mut means = EpochMeans::default();
        let started = Instant::now();
        let mut step_started = started;
        // One batch, or a share of it for each device.
        let mut loaders: Vec<_> = self.loaders.iter().map(|loader| loader.epoch(epoch as u64)).collect();
        while let Some(mut shares) = loaders.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
            means.learning_rate = schedule.step();
            let step = match workers {
                None => state.differentiate(shares.remove(0)),
                Some(workers) => workers.differentiate(&state.model, shares, state.loss_scale.map(|it| it.factor())),
            };
            let taken = step.and_then(|step| state.after(step, means.learning_rate));
            let (after, figures) = taken.map_err(|error| {
                let step = means.steps + 1;
                LabError::Failed(format!("step {step} of epoch {epoch}: {error}; {}", self.kept()))
            })?;
            state = after;
            means.add(&figures);

            let now = Instant::now();
            let views_per_second = figures.views as f64 / (now - step_started).as_secs_f64();
            step_started = now;
            let figures = StepOutput::Done(StepFigures { views_per_second, ..figures });
            let (items, steps, rate) = (loaders[0].progress(), Some(means.steps), Some(means.learning_rate));
            let item = TrainingItem::new(figures, items, stage.progress.clone(), steps, rate);
            stage.events.process_train(LearnerEvent::ProcessedItem(item));
            if stage.interrupter.should_stop() {
                return Ok(None);
            }
        }
        stage.events.process_train(LearnerEvent::EndEpoch(epoch));
        Ok(Some((state, means.over_steps(started.elapsed().as_secs_f64()))))
    }

    /// The kNN accuracy of the held-out part, in percent, if there is one.
    fn validate<LC>(
        &self,
        model: &PretextModel<B, P>,
        valid: &ValidLoader<LC>,
        stage: &mut Stage<'_, LC>,
    ) -> Option<f64>
    where
        LC: LearningComponentsTypes<
                Backend = B,
                TrainingModel = PretextModel<B, P>,
                InferenceModel = PretextModel<B::InnerBackend, P::InnerModule>,
            >,
    {
        let mut batches = valid.iter();
        let knn_accuracy = self.validation.as_ref().map(|validation| {
            let (backbone, precision) = (model.backbone.valid(), self.checkpoints.recipe.precision);
            let step = |batch: ViewBatch<_>| features::of_batch(&backbone, batch.images, precision);
            validation.accuracy(&mut *batches, step, &self.devices[0])
        });
        // Without an accuracy the epoch ends all the same.
        let output = ValidationOutput { features: Vec::new(), knn_accuracy: knn_accuracy.unwrap_or(f64::NAN) };
        let item = TrainingItem::new(output, batches.progress(), stage.progress.clone(), None, None);
        stage.events.process_valid(LearnerEvent::ProcessedItem(item));
        stage.events.process_valid(LearnerEvent::EndEpoch(stage.progress.items_processed));
        knn_accuracy
    }

    /// Saves what an epoch came to. The checkpoint goes last: until it is there, the epoch has not been.
    fn save(&self, state: &TrainingState<B, P>, log: &mut EpochLog, row: &EpochRow) -> Result<()> {
        let CheckpointWriter { folder, recipe, .. } = &self.checkpoints;
        log.push(row)?;
        let mut figures = json!({
            "epochs": row.epoch,
            "seed": recipe.seed,
            "backend": self.backend,
            "loss": row.loss,
            "seconds": log.total_seconds(),
            "seconds_per_epoch": log.total_seconds() / row.epoch as f64,
        });
        if let Some(score) = row.score {
            figures["held_out_knn_accuracy"] = json!(score);
        }
        if self.devices.len() > 1 {
            figures["devices"] = json!(recipe.devices());
        }
        run_folder::record(&results_file(folder.path()), [("pretrain".into(), figures)])?;
        state.save(&self.checkpoints)
    }

    /// What is left to a user whose training failed.
    fn kept(&self) -> String {
        let folder = &self.checkpoints.folder;
        match folder.latest() {
            Ok(Some(latest)) => {
                format!("the checkpoint of epoch {} is kept in {}", latest.epoch, folder.path().display())
            }
            _ => "there is no checkpoint yet".to_string(),
        }
    }
}
