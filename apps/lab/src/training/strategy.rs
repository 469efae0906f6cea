//! The training loop, a training strategy of burn-train's Learner.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::data::dataloader::Progress;
use burn::lr_scheduler::LrScheduler;
use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn_train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, LearningComponentsTypes, SupervisedLearningStrategy,
    SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingItem, TrainingModel, ValidLoader,
};
use log::warn;
use qare_data::{ImageSet, ViewBatch, ViewLoader};
use qare_models::computes_on_host;
use qare_models::replicas::ReplicaGroup;
use serde_json::json;

use super::late_figures::LateFigures;
use super::live::{CollapseWarning, EVERY, LiveFigure, LiveMeans, LiveValues, Sample, gradient_norm};
use super::log_end::projected;
use super::loss_scale::DynamicLossScale;
use super::model::PretextModel;
use super::schedule::StepDecay;
use super::state::TrainingState;
use super::step::{Step, StepFigures, StepOutput, ValidationOutput};
use super::validation::Validation;
use super::workers::Workers;
use crate::error::{LabError, Result};
use crate::evaluation::features;
use crate::loggers::tensorboard::projector;
use crate::loggers::{Loggers, StepLine};
use crate::methods::{Embeddings, EpochStart, Pretext, Trainable, Validating};
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint_writer::CheckpointWriter;
use crate::runs::epoch_log::{EpochLog, EpochRow};
use crate::runs::records::{self, results_file};

/// The outcome of the loop.
pub(super) struct Outcome {
    /// The last epoch that this process finished.
    pub last: Option<EpochRow>,
    /// Whether the loop was interrupted during an epoch.
    pub interrupted: bool,
    /// Duration of all epochs in seconds, including those of earlier processes.
    pub seconds: f64,
}

/// Input and outcome of the loop. The Learner owns the strategy and returns nothing from it, so both pass through a shared cell.
pub(super) enum LoopCell<B: AutodiffBackend, P: Trainable<B>> {
    /// The input, before the loop runs.
    Ready(Box<LoopState<B, P>>),
    /// The loop has taken the input.
    Running,
    /// The outcome, after the loop has ended.
    Ended(Result<Outcome>),
}

/// The state that the loop owns and changes.
pub(super) struct LoopState<B: AutodiffBackend, P: Trainable<B>> {
    pub state: TrainingState<B, P>,
    pub schedule: StepDecay,
    pub log: EpochLog,
    pub loggers: Loggers,
}

/// Trains all epochs. Each epoch is prepared by the method, trained, validated, logged and saved. An interrupt, a figure that is
/// not finite, or gradients that are not finite at the smallest loss scale end the training; earlier checkpoints stay valid. On a GPU,
/// figures are read late, so training ends some steps after the step that the message names, and before the epoch is saved.
///
/// The Learner's copies of model and optimizer are not used, because the Learner does not give access to its optimizer, whose state
/// must be saved.
pub(super) struct PretrainStrategy<B: AutodiffBackend, P: Trainable<B>> {
    pub cell: Arc<Mutex<LoopCell<B, P>>>,
    /// The training images, for methods that use all of their features before an epoch.
    pub images: ImageSet,
    /// One loader for each device, of its share of the batches; that of the main device first.
    pub loaders: Vec<ViewLoader<B>>,
    pub devices: Vec<B::Device>,
    /// The group of several devices; `None` for one device.
    pub group: Option<ReplicaGroup>,
    /// `None` without labels of at least two classes.
    pub validation: Option<Validation>,
    pub checkpoints: CheckpointWriter,
    /// The images that TensorBoard's projector shows.
    pub projected: Option<ImageSet>,
    /// The figures while it trains.
    pub live: Vec<LiveFigure>,
    /// Name of the backend in `results.json`.
    pub backend: String,
}

/// Sums over the steps of an epoch, and finally their means.
#[derive(Default)]
struct EpochMeans {
    steps: usize,
    loss: f64,
    method: Vec<f64>,
    views: usize,
    seconds: f64,
    /// Learning rate of the last step.
    learning_rate: f64,
    /// Means over the samples.
    live: LiveMeans,
    /// Number of dimensions of the embeddings of the last sample.
    dim: usize,
}

impl EpochMeans {
    fn add(&mut self, figures: &StepFigures) {
        self.steps += 1;
        self.loss += figures.loss;
        self.views += figures.views;
        self.method.resize(figures.method.len(), 0.0);
        self.method.iter_mut().zip(&figures.method).for_each(|(sum, value)| *sum += value);
        self.live.add(&figures.live);
    }

    fn divided_by_steps(self, seconds: f64) -> Self {
        let steps = self.steps.max(1) as f64;
        let method = self.method.iter().map(|sum| sum / steps).collect();
        Self { loss: self.loss / steps, method, seconds, ..self }
    }
}

/// A step whose figures have not been read.
struct StepOfEpoch<B: Backend> {
    /// Its number, from 1.
    number: usize,
    /// The progress of the loader after it.
    progress: Progress,
    learning_rate: f64,
    /// What figures while it trains are computed from.
    sample: Option<Sample<B>>,
}

/// The Learner's interfaces during an epoch.
struct EpochContext<'a, LC: LearningComponentsTypes> {
    progress: Progress,
    events: &'a mut SupervisedTrainingEventProcessor<LC>,
    interrupter: &'a Interrupter,
    loggers: &'a mut Loggers,
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
        let input = std::mem::replace(&mut *self.cell.lock().expect("no holder panicked"), LoopCell::Running);
        if let LoopCell::Ready(input) = input {
            let outcome = self.run::<LC>(*input, components.num_epochs, &valid, &mut events, &components.interrupter);
            *self.cell.lock().expect("no holder panicked") = LoopCell::Ended(outcome);
        }
        (learner.model(), events)
    }
}

impl<B: AutodiffBackend, P: Trainable<B>> PretrainStrategy<B, P> {
    /// Trains the remaining epochs.
    fn run<LC>(
        &self,
        input: LoopState<B, P>,
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
        let LoopState { mut state, mut schedule, mut log, mut loggers } = input;
        let mut collapse = CollapseWarning::after(log.values(LiveFigure::RankMe), log.values(LiveFigure::Uniformity));
        let workers = self.group.as_ref().map(|group| Workers::start(group, &self.devices)).transpose()?;
        let mut outcome = Outcome { last: None, interrupted: false, seconds: log.total_seconds() };
        while state.epoch < epochs {
            let epoch = state.epoch + 1;
            let started = Instant::now();
            let mut context: EpochContext<'_, LC> = EpochContext {
                progress: Progress::new(epoch, epochs),
                events: &mut *events,
                interrupter,
                loggers: &mut loggers,
            };
            state = self.begin_epoch(state, epoch)?;
            let Some((trained, means)) = self.train_epoch(state, &mut schedule, workers.as_ref(), &mut context)? else {
                outcome.interrupted = true;
                return Ok(outcome);
            };
            state = trained;
            state.epoch = epoch;
            let mut live = means.live.means();
            let score = self.validate(&state.model, valid, &mut live, &mut context)?;
            let uniformity = live.get(LiveFigure::Uniformity);
            collapse.check(epoch, live.get(LiveFigure::RankMe), uniformity, means.dim);
            let row = EpochRow {
                epoch,
                loss: means.loss,
                score,
                method: means.method,
                live,
                learning_rate: means.learning_rate,
                views_per_second: means.views as f64 / means.seconds,
                seconds: started.elapsed().as_secs_f64(),
            };
            loggers.epoch(&row, epoch * means.steps)?;
            loggers.flush()?;
            self.save(&state, &mut log, &row)?;
            outcome = Outcome { last: Some(row), seconds: log.total_seconds(), ..outcome };
        }
        // The run is complete without the end of its logs, which resuming writes.
        if let Err(error) = self.end_logs(&mut loggers, &state.model) {
            warn!("the logs lack their end: {error}");
        }
        Ok(outcome)
    }

    /// Ends the logs, and writes the files of TensorBoard's projector if the recipe asks for them.
    fn end_logs(&self, loggers: &mut Loggers, model: &PretextModel<B, P>) -> Result<()> {
        loggers.end()?;
        let Some(images) = &self.projected else { return Ok(()) };
        let CheckpointWriter { folder, recipe, .. } = &self.checkpoints;
        projector::write(folder.path(), &projected(recipe, model, images, &self.devices[0])?, images)
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

    /// Trains an epoch and returns the state and the means over its steps; `None` if the epoch was interrupted.
    fn train_epoch<LC>(
        &self,
        mut state: TrainingState<B, P>,
        schedule: &mut StepDecay,
        workers: Option<&Workers<B, P>>,
        context: &mut EpochContext<'_, LC>,
    ) -> Result<Option<(TrainingState<B, P>, EpochMeans)>>
    where
        LC: LearningComponentsTypes<Backend = B, TrainingModel = PretextModel<B, P>>,
    {
        let epoch = context.progress.items_processed;
        let mut means = EpochMeans::default();
        let started = Instant::now();
        let mut late = LateFigures::new(computes_on_host::<B>(&self.devices[0]));
        let mut steps = 0;
        let failed = |step: usize, error: LabError| {
            LabError::Failed(format!("step {step} of epoch {epoch}: {error}; {}", self.checkpoint_note()))
        };
        // Each loader yields a batch, or on several devices the share of one device.
        let mut loaders: Vec<_> = self.loaders.iter().map(|loader| loader.epoch(epoch as u64)).collect();
        loop {
            let shares = loaders.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>();
            if shares.is_none() || late.are_due() {
                self.report(&mut late, &state.model, &mut means, context)
                    .map_err(|(step, error)| failed(step, error))?;
            }
            let Some(mut shares) = shares else { break };
            if context.interrupter.should_stop() {
                return Ok(None);
            }
            steps += 1;
            means.learning_rate = schedule.step();
            let step = match workers {
                None => state.differentiate(shares.remove(0)),
                Some(workers) => workers.differentiate(&state.model, shares, state.loss_scale.as_ref()),
            };
            let Step { gradients, figures, finite, embeddings } = step.map_err(|error| failed(steps, error))?;
            let sample = self.sample(steps, &state.model, &gradients, embeddings);
            let (progress, learning_rate) = (loaders[0].progress(), means.learning_rate);
            state = state.after(gradients, finite.as_ref(), learning_rate);
            let exhausted = state.loss_scale.as_ref().map(DynamicLossScale::exhausted);
            late.push(figures, exhausted, StepOfEpoch { number: steps, progress, learning_rate, sample });
        }
        context.events.process_train(LearnerEvent::EndEpoch(epoch));
        Ok(Some((state, means.divided_by_steps(started.elapsed().as_secs_f64()))))
    }

    /// Returns what figures while it trains are computed from, if a step of an epoch is a sample.
    fn sample(
        &self,
        step: usize,
        model: &PretextModel<B, P>,
        gradients: &GradientsParams,
        embeddings: Option<Embeddings<B::InnerBackend>>,
    ) -> Option<Sample<B::InnerBackend>> {
        let chosen = |figure: &LiveFigure| figure.is_of_steps();
        if !(step - 1).is_multiple_of(EVERY) || !self.live.iter().any(chosen) {
            return None;
        }
        let norm = self.live.contains(&LiveFigure::GradientNorm).then(|| gradient_norm(model, gradients)).flatten();
        Some(Sample::new(embeddings, norm))
    }

    /// Reads the figures of the last steps, adds them to the means, and tells the dashboard. The error is that of the first step with a
    /// figure that is not finite or with an exhausted loss scale, and comes with its number.
    fn report<LC>(
        &self,
        late: &mut LateFigures<B::InnerBackend, StepOfEpoch<B::InnerBackend>>,
        model: &PretextModel<B, P>,
        means: &mut EpochMeans,
        context: &mut EpochContext<'_, LC>,
    ) -> std::result::Result<(), (usize, LabError)>
    where
        LC: LearningComponentsTypes<Backend = B, TrainingModel = PretextModel<B, P>>,
    {
        for (mut figures, StepOfEpoch { number, progress, learning_rate, sample }) in late.read() {
            figures.check(&model.figures).map_err(|error| (number, error))?;
            if let Some(sample) = sample {
                (figures.live, means.dim) = sample.read(&self.live);
            }
            means.add(&figures);
            let epoch = context.progress.items_processed;
            let step = (epoch - 1) * self.loaders[0].num_batches() + number;
            let line = StepLine { step, epoch, learning_rate, figures: &figures, names: &model.figures };
            context.loggers.step(&line).map_err(|error| (number, error))?;
            let (epochs, rate) = (context.progress.clone(), Some(learning_rate));
            let item = TrainingItem::new(StepOutput::Done(figures), progress, epochs, Some(number), rate);
            context.events.process_train(LearnerEvent::ProcessedItem(item));
        }
        context.loggers.flush().map_err(|error| (means.steps, error))
    }

    /// Computes the score of the held-out images in percent, if there is a validation, and adds the figures that belong to it.
    fn validate<LC>(
        &self,
        model: &PretextModel<B, P>,
        valid: &ValidLoader<LC>,
        live: &mut LiveValues,
        context: &mut EpochContext<'_, LC>,
    ) -> Result<Option<f64>>
    where
        LC: LearningComponentsTypes<
                Backend = B,
                TrainingModel = PretextModel<B, P>,
                InferenceModel = PretextModel<B::InnerBackend, P::InnerModule>,
            >,
    {
        let mut batches = valid.iter();
        let score = self.validation.as_ref().map(|validation| {
            let (backbone, precision) = (model.backbone.valid(), self.checkpoints.recipe.precision);
            let (networks, of_embeddings) = (model.networks.valid(), validation.kind() == Validating::Recall);
            let step = |batch: ViewBatch<_>| {
                let features = backbone.forward(precision.of(batch.images).squeeze_dim(1)); // [N, F]
                features::values(if of_embeddings { networks.embed(features) } else { features })
            };
            let probe = self.live.contains(&LiveFigure::Probe).then_some(self.checkpoints.recipe.seed);
            validation.score(&mut *batches, step, probe, &self.devices[0])
        });
        let (score, probe) = match score.transpose()? {
            Some((score, probe)) => (Some(score), probe),
            None => (None, None),
        };
        live.insert(LiveFigure::Probe, probe.unwrap_or(f64::NAN));
        // Renderers need the end of the validation epoch even without a score.
        let output = ValidationOutput { features: Vec::new(), score: score.unwrap_or(f64::NAN), live: live.clone() };
        let item = TrainingItem::new(output, batches.progress(), context.progress.clone(), None, None);
        context.events.process_valid(LearnerEvent::ProcessedItem(item));
        context.events.process_valid(LearnerEvent::EndEpoch(context.progress.items_processed));
        Ok(score)
    }

    /// Saves the figures and the state of an epoch. The checkpoint is written last, because it marks the epoch as finished.
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
            let of_embeddings = self.validation.as_ref().is_some_and(|by| by.kind() == Validating::Recall);
            figures[if of_embeddings { "held_out_recall_at_1" } else { "held_out_knn_accuracy" }] = json!(score);
        }
        if self.devices.len() > 1 {
            figures["devices"] = json!(recipe.devices());
        }
        records::record(&results_file(folder.path()), [("pretrain".into(), figures)])?;
        state.save(&self.checkpoints)
    }

    /// Describes the checkpoint that remains after a failure.
    fn checkpoint_note(&self) -> String {
        let folder = &self.checkpoints.folder;
        match folder.latest() {
            Ok(Some(latest)) => {
                format!("the checkpoint of epoch {} is kept in {}", latest.epoch, folder.path().printable())
            }
            _ => "there is no checkpoint yet".to_string(),
        }
    }
}
