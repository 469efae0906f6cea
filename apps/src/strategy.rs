//! The training loop, as a strategy of burn-train's Learner: every method trains here.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::data::dataloader::{DataLoader, Progress};
use burn::module::{AutodiffModule, Module};
use burn::tensor::backend::AutodiffBackend;
use burn_train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent, LearningComponentsTypes,
    SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents, TrainingItem,
    TrainingModel, ValidLoader,
};
use qare_data::{EpochCursor, ImageSet, ViewLoader};
use qare_models::replicas::ReplicaGroup;
use serde_json::json;

use crate::checkpoint::{CheckpointWriter, TrainingState};
use crate::error::{AppError, Result};
use crate::features::{self, Features};
use crate::knn;
use crate::log::{EpochLog, EpochRow};
use crate::methods::EpochStart;
use crate::model::PretextModel;
use crate::optimizer::SharedOptimizer;
use crate::recipe::KnnRecipe;
use crate::run_folder::{self, results_file};
use crate::step::{StepOutput, ValidationOutput};
use crate::workers::Workers;

/// The labelled images of a validation: first a bank, then the held-out queries.
pub struct Validation {
    pub labels: Vec<u16>,
    /// How many of them are the bank.
    pub bank: usize,
    pub feature_dim: usize,
    pub recipe: KnnRecipe,
}

/// How training ended.
#[derive(Default)]
pub struct Outcome {
    pub last: Option<EpochRow>,
    pub interrupted: bool,
    pub failure: Option<AppError>,
    /// Seconds of all epochs, those of earlier processes too.
    pub seconds: f64,
}

/// Trains epoch after epoch: seeds each, validates, logs and saves after each, and stops for an interrupt or for
/// numbers that are none, whatever was saved before being whole.
pub struct PretrainStrategy<B: AutodiffBackend> {
    pub epoch: EpochCursor,
    pub optimizer: SharedOptimizer<PretextModel<B>, B>,
    /// The images trained on, for methods that look at all of them before an epoch.
    pub images: ImageSet,
    /// `None` where labels do not tell images apart.
    pub validation: Option<Validation>,
    pub checkpoints: CheckpointWriter,
    pub log: Mutex<EpochLog>,
    /// The main one, and others if the training is on several.
    pub devices: Vec<B::Device>,
    pub others: Option<Others<B>>,
    pub outcome: Arc<Mutex<Outcome>>,
}

/// What training on several devices takes.
pub struct Others<B: AutodiffBackend> {
    pub group: ReplicaGroup,
    /// Loaders of the shares of all devices but the main one.
    pub shares: Vec<ViewLoader<B>>,
}

/// Means over the steps of an epoch.
#[derive(Default)]
struct EpochMeans {
    steps: usize,
    loss: f64,
    method: Vec<f64>,
    views: usize,
    seconds: f64,
}

impl<B, LC> SupervisedLearningStrategy<LC> for PretrainStrategy<B>
where
    B: AutodiffBackend,
    LC: LearningComponentsTypes<
            Backend = B,
            TrainingModel = PretextModel<B>,
            InferenceModel = PretextModel<B::InnerBackend>,
        >,
{
    fn fit(
        &self,
        components: TrainingComponents<LC>,
        mut learner: Learner<LC>,
        train: TrainLoader<LC>,
        valid: ValidLoader<LC>,
        starting_epoch: usize,
    ) -> (TrainingModel<LC>, SupervisedTrainingEventProcessor<LC>) {
        let mut events = components.event_processor;
        let started = self.others.as_ref().map(|others| Workers::start(&others.group, &self.devices)).transpose();
        let workers = match started {
            Ok(workers) => workers,
            Err(error) => {
                let failure = AppError::Failed(format!("cannot start a thread for each device: {error}"));
                self.outcome.lock().expect("no holder panicked").failure = Some(failure);
                return (learner.model(), events);
            }
        };
        for epoch in starting_epoch..=components.num_epochs {
            let progress = Progress::new(epoch, components.num_epochs);
            let started = Instant::now();
            let result = self
                .begin_epoch(&mut learner, epoch)
                .and_then(|()| {
                    let interrupter = &components.interrupter;
                    self.train_epoch(&mut learner, &train, workers.as_ref(), &progress, &mut events, interrupter)
                })
                .and_then(|means| {
                    let Some(means) = means else { return Ok(None) };
                    let score = self.validate(&learner, &valid, &progress, &mut events);
                    let row = EpochRow {
                        epoch,
                        loss: means.loss,
                        score,
                        method: means.method,
                        learning_rate: learner.lr_current(),
                        views_per_second: means.views as f64 / means.seconds,
                        seconds: started.elapsed().as_secs_f64(),
                    };
                    self.save(&learner.model(), &row)?;
                    Ok(Some(row))
                });

            let mut outcome = self.outcome.lock().expect("no holder panicked");
            match result {
                Ok(Some(row)) => outcome.last = Some(row),
                Ok(None) => outcome.interrupted = true,
                Err(failure) => outcome.failure = Some(failure),
            }
            if outcome.interrupted || outcome.failure.is_some() {
                break;
            }
        }
        self.outcome.lock().expect("no holder panicked").seconds =
            self.log.lock().expect("no writer panicked").total_seconds();
        (learner.model(), events)
    }
}

impl<B: AutodiffBackend> PretrainStrategy<B> {
    /// Lets the method prepare an epoch.
    fn begin_epoch<LC>(&self, learner: &mut Learner<LC>, epoch: usize) -> Result<()>
    where
        LC: LearningComponentsTypes<Backend = B, TrainingModel = PretextModel<B>>,
    {
        let recipe = &self.checkpoints.recipe;
        let mut compute = || {
            let backbone = learner.model().backbone.valid();
            let normalization = recipe.dataset.normalization();
            features::extract(
                &backbone,
                &self.images,
                normalization,
                recipe.precision,
                recipe.num_workers,
                &self.devices[0],
            )
        };
        let mut start =
            EpochStart { epoch, seed: recipe.seed, device: self.devices[0].clone(), features: &mut compute };
        if let Some(model) = learner.model().begin_epoch(&mut start)? {
            learner.load_model(model.into_record());
        }
        Ok(())
    }

    /// One epoch, or nothing if it was interrupted.
    fn train_epoch<LC>(
        &self,
        learner: &mut Learner<LC>,
        train: &TrainLoader<LC>,
        workers: Option<&Workers<B>>,
        progress: &Progress,
        events: &mut SupervisedTrainingEventProcessor<LC>,
        interrupter: &Interrupter,
    ) -> Result<Option<EpochMeans>>
    where
        LC: LearningComponentsTypes<Backend = B, TrainingModel = PretextModel<B>>,
    {
        let epoch = progress.items_processed;
        self.epoch.set(epoch as u64);
        let mut means = EpochMeans::default();
        let started = Instant::now();
        let mut step_started = started;
        // One, or one share for each device.
        let others = self.others.iter().flat_map(|others| &others.shares).map(|share| share.iter());
        let mut loaders: Vec<_> = std::iter::once(train.iter()).chain(others).collect();
        while let Some(mut shares) = loaders.iter_mut().map(Iterator::next).collect::<Option<Vec<_>>>() {
            learner.lr_step();
            let output = match workers {
                None => learner.train_step(shares.remove(0)),
                Some(workers) => workers.step(&learner.model(), shares),
            };
            let figures = match output.item {
                StepOutput::Done(figures) => figures,
                StepOutput::Failed(message) => {
                    return Err(AppError::Failed(format!(
                        "step {} of epoch {epoch}: {message}; {}",
                        means.steps + 1,
                        self.kept()
                    )));
                }
            };
            learner.optimizer_step(output.grads);
            means.steps += 1;
            means.loss += figures.loss;
            means.views += figures.views;
            means.method.resize(figures.method.len(), 0.0);
            means.method.iter_mut().zip(&figures.method).for_each(|(sum, value)| *sum += value);

            let now = Instant::now();
            let views_per_second = figures.views as f64 / (now - step_started).as_secs_f64();
            step_started = now;
            let figures = StepOutput::Done(crate::step::StepFigures { views_per_second, ..figures });
            let (items, lr) = (loaders[0].progress(), learner.lr_current());
            let item = TrainingItem::new(figures, items, progress.clone(), Some(means.steps), Some(lr));
            events.process_train(LearnerEvent::ProcessedItem(item));
            if interrupter.should_stop() {
                return Ok(None);
            }
        }
        events.process_train(LearnerEvent::EndEpoch(epoch));
        let steps = means.steps.max(1) as f64;
        Ok(Some(EpochMeans {
            loss: means.loss / steps,
            method: means.method.iter().map(|sum| sum / steps).collect(),
            seconds: started.elapsed().as_secs_f64(),
            ..means
        }))
    }

    /// The kNN accuracy of the held-out part, in percent, if there is one.
    fn validate<LC>(
        &self,
        learner: &Learner<LC>,
        valid: &ValidLoader<LC>,
        progress: &Progress,
        events: &mut SupervisedTrainingEventProcessor<LC>,
    ) -> Option<f64>
    where
        LC: LearningComponentsTypes<
                Backend = B,
                TrainingModel = PretextModel<B>,
                InferenceModel = PretextModel<B::InnerBackend>,
            >,
    {
        let mut batches = valid.iter();
        let knn_accuracy = self.validation.as_ref().map(|validation| {
            let model = learner.model().valid();
            let Validation { labels, bank, feature_dim: dim, recipe } = validation;
            let step = |batch| model.step(batch).features;
            let values = features::of_batches(batches.by_ref(), step, labels.len() * dim);
            let (queries, bank) = Features { values, dim: *dim, labels: labels.clone() }.split(*bank);
            knn::accuracy::<B::InnerBackend>(&bank, &queries, recipe, &self.devices[0])
        });
        // Without an accuracy the epoch ends all the same.
        let output = ValidationOutput { features: Vec::new(), knn_accuracy: knn_accuracy.unwrap_or(f64::NAN) };
        let item = TrainingItem::new(output, batches.progress(), progress.clone(), None, None);
        events.process_valid(LearnerEvent::ProcessedItem(item));
        events.process_valid(LearnerEvent::EndEpoch(progress.items_processed));
        knn_accuracy
    }

    /// Saves what an epoch came to. The checkpoint goes last: until it is there, the epoch has not been.
    fn save(&self, model: &PretextModel<B>, row: &EpochRow) -> Result<()> {
        let epoch = row.epoch;
        let CheckpointWriter { folder, recipe, .. } = &self.checkpoints;
        let mut log = self.log.lock().expect("no writer panicked");
        log.push(row)?;
        let mut figures = json!({
            "epochs": epoch,
            "seed": recipe.seed,
            "backend": crate::backend::NAME,
            "loss": row.loss,
            "seconds": log.total_seconds(),
            "seconds_per_epoch": log.total_seconds() / epoch as f64,
        });
        if let Some(score) = row.score {
            figures["held_out_knn_accuracy"] = json!(score);
        }
        if self.devices.len() > 1 {
            figures["devices"] = json!(recipe.devices());
        }
        run_folder::record(&results_file(folder.path()), [("pretrain".into(), figures)])?;
        let state = TrainingState { optimizer: &self.optimizer.to_bytes(model), loss_scale: model.loss_scale.state() };
        self.checkpoints.save(epoch, &model.valid().weights(), Some(state))
    }

    /// What is left to a user whose training failed.
    fn kept(&self) -> String {
        match self.checkpoints.folder.latest() {
            Ok(Some(latest)) => {
                format!(
                    "the checkpoint of epoch {} is kept in {}",
                    latest.epoch,
                    self.checkpoints.folder.path().display()
                )
            }
            _ => "there is no checkpoint yet".to_string(),
        }
    }
}
