//! Stage 1: training a backbone.
//!
//! [`train`] takes any method through one loop, on burn-train's Learner: with its dashboard or another renderer, its metrics, a
//! kNN accuracy after each epoch, and a checkpoint from which the run goes on to the bit.

mod loaders;
pub mod loss_scale;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod renderer;
pub mod schedule;
pub mod state;
pub mod step;
mod strategy;
mod validation;
mod workers;

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn_train::logger::InMemoryMetricLogger;
use burn_train::metric::LearningRateMetric;
use burn_train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use log::{info, warn};
use qare_data::{ImageSet, Splits};
use qare_models::replicas::{BatchStatistics, ReplicaBackend, ReplicaGroup};
use qare_models::{Backbone, named_tensors};
use serde_json::json;

pub use self::renderer::{OpenRenderer, Silent, TrainingStart};

use self::loaders::training_loaders;
use self::model::PretextModel;
use self::optimizer::with_stable_ids;
use self::renderer::Chosen;
use self::schedule::StepDecay;
use self::state::TrainingState;
use self::strategy::{Exchange, Outcome, Owned, PretrainStrategy};
use self::validation::Validation;
use crate::error::{LabError, Result};
use crate::evaluation::features;
use crate::methods::{Facts, Networks, Plan, Trainable};
use crate::runs::checkpoint::{CheckpointWriter, weights_of};
use crate::runs::epoch_log::EpochLog;
use crate::runs::files;
use crate::runs::open_run::{Existing, OpenRun};
use crate::runs::run_folder::{self, Latest, RunFolder, results_file};
use crate::runs::run_record::RunRecord;

/// What a training depends on besides its recipe and its images.
pub struct TrainOptions<'a, B: Backend> {
    /// What `results.json` calls the backend.
    pub backend: &'a str,
    /// Stops the training between two steps, from another thread.
    pub interrupter: Interrupter,
    /// Who shows the training; nobody, if there is none.
    pub renderer: Option<OpenRenderer<'a>>,
    /// The backbone to start from, instead of a new one.
    pub backbone: Option<Backbone<B>>,
}

impl<B: Backend> Default for TrainOptions<'_, B> {
    fn default() -> Self {
        Self { backend: "", interrupter: Interrupter::new(), renderer: None, backbone: None }
    }
}

/// A run that has been trained.
#[derive(Clone, Debug)]
pub struct Trained {
    /// Where it is.
    pub folder: RunFolder,
    /// What this process trained.
    pub epochs: TrainedEpochs,
}

/// What a process did to a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainedEpochs {
    /// Nothing: all epochs were there.
    Complete,
    /// Nothing: it is an untrained backbone.
    Untrained,
    /// Epochs.
    Some {
        /// All there are now.
        epochs: usize,
        /// The mean loss of the last.
        loss: f64,
        /// Seconds of all epochs, those of earlier processes too.
        seconds: f64,
    },
}

/// Trains, or goes on training, the method of this crate that the recipe names, or saves an untrained backbone.
///
/// # Errors
/// Those of [`train`], and if the recipe names no method of this crate.
pub fn train_built_in<B: ReplicaBackend>(
    run: &OpenRun,
    splits: &Splits,
    devices: &[B::Device],
    options: TrainOptions<'_, B>,
) -> Result<Trained> {
    run.recipe.method.built_in()?;
    match run.recipe.method.plan(&run.recipe) {
        Some(_) => train::<B, Networks<B>>(run, splits, devices, options),
        None => save_untrained(run, splits, devices, options),
    }
}

/// Trains, or goes on training, a backbone with the method `P` on these devices, the main one first. A backend for the host
/// computes on one device, as often as it is named.
///
/// # Errors
/// If the images do not suit the method, a file of the run is damaged or cannot be written, training diverges, or the
/// interrupter stops it.
pub fn train<B, P>(
    run: &OpenRun,
    splits: &Splits,
    devices: &[B::Device],
    options: TrainOptions<'_, B>,
) -> Result<Trained>
where
    B: ReplicaBackend,
    P: Trainable<B>,
{
    let OpenRun { recipe, folder, .. } = run;
    if devices.is_empty() || devices.len() != recipe.devices().len() {
        let named = recipe.devices().len();
        return Err(LabError::Usage(format!("the recipe names {named} device(s), and {} are given", devices.len())));
    }
    let plan = P::plan(recipe);
    let device = &devices[0];
    let latest = last_epoch(run)?;
    if latest.as_ref().is_some_and(|latest| latest.epoch >= recipe.epochs) {
        info!("{} is complete: nothing to train", folder.path().display());
        return Ok(Trained { folder: folder.clone(), epochs: TrainedEpochs::Complete });
    }
    let epochs_done = latest.as_ref().map_or(0, |latest| latest.epoch);
    let images = training_images(run, &plan, splits)?;
    let record = record_of(run, splits, images.len(), epochs_done, options.backend)?;
    let checkpoints = CheckpointWriter::new(folder, recipe, record);
    let facts = Facts { images: images.len(), classes: splits.train.classes() };
    let networks = P::new(recipe, &facts, device)?;
    let backbone = options.backbone.unwrap_or_else(|| recipe.backbone.init::<B>(recipe.seed, device));
    let mut model = with_stable_ids(PretextModel::new(backbone, networks, plan.figures.clone(), recipe.precision));
    if let (Some(path), None) = (&recipe.checkpoint, &latest) {
        let classes = plan.labelled.then(|| images.class_names());
        model = weights_of(path)?.put_into(model, recipe, classes)?;
    }
    let mut state = TrainingState::new(model, &plan, recipe.precision);
    if let Some(latest) = &latest {
        state = state.resumed(folder, latest, device)?;
    }

    let loaders = training_loaders::<B>(recipe, &plan, images, devices)?;
    let steps = loaders[0].num_batches();
    let (held_out, validation) = Validation::drawn(recipe, &splits.train);
    if validation.is_none() {
        let labeled = splits.train.is_labeled();
        let why = if labeled { "all labelled images are of one class" } else { "the images have no labels" };
        info!("note: no kNN accuracy is shown: {why}");
    }
    let normalization = recipe.dataset.normalization();
    let valid = features::loader::<B::InnerBackend>(held_out, normalization, recipe.num_workers, device)?;
    let log = EpochLog::after(folder.file("log.csv"), &plan.figures, epochs_done)?;

    // What does not decide the weights may have changed since the run began.
    make_folder(run)?;
    // Weights, and two moments of each.
    files::check_space(folder.path(), 3 * 4 * Module::<B>::num_params(&state.model) as u64)?;
    if let Some(before) = checkpoints.shorter().filter(|_| epochs_done > 0 && !plan.drops.is_empty()) {
        info!(
            "note: the learning rate goes on as in a run of {} epochs; so far it was that of a run of {before}",
            recipe.epochs
        );
    }
    if epochs_done > 0 {
        info!("resuming after epoch {epochs_done} of {}", recipe.epochs);
    }
    let group = (devices.len() > 1).then(|| {
        notes_on_devices(run, &plan, devices.len()).iter().for_each(|note| warn!("{note}"));
        let statistics = if recipe.local_batch_norm { BatchStatistics::Share } else { BatchStatistics::Whole };
        ReplicaGroup::new::<B>(devices.len(), statistics)
    });

    let schedule = StepDecay::new(recipe.learning_rate, plan.drops, recipe.epochs, steps, epochs_done);
    let learner = Learner::new(state.model.clone(), state.optimizer.adaptor(), schedule.clone());
    let exchange = Arc::new(Mutex::new(Exchange::Owned(Box::new(Owned { state, schedule, log }))));
    let train = Arc::new(loaders[0].clone());
    let has_score = validation.is_some();
    let strategy = PretrainStrategy {
        exchange: exchange.clone(),
        images: images.clone(),
        loaders,
        devices: devices.to_vec(),
        group,
        validation,
        checkpoints,
        backend: options.backend.to_string(),
    };
    let interrupter = options.interrupter;
    let mut training = SupervisedTraining::new(folder.path(), train, Arc::new(valid))
        .num_epochs(recipe.epochs)
        .with_interrupter(interrupter.clone())
        .with_application_logger(None)
        .with_metric_logger(InMemoryMetricLogger::default())
        .with_training_strategy(TrainingStrategy::Custom(Arc::new(strategy)))
        .metric_train_numeric(metrics::loss());
    for (place, figure) in plan.figures.iter().enumerate() {
        training = training.metric_train_numeric(metrics::of_method(place, figure));
    }
    training =
        training.metric_train_numeric(LearningRateMetric::new()).metric_train_numeric(metrics::views_per_second());
    if has_score {
        training = training.metric_valid_numeric(metrics::knn_accuracy());
    }
    if epochs_done > 0 {
        training = training.checkpoint(epochs_done);
    }
    let start = TrainingStart { epochs_done, epochs: recipe.epochs, interrupter: interrupter.clone() };
    let renderer = options.renderer.map_or_else(|| Box::new(Silent) as Box<_>, |open| open(start));
    // Dropping the result closes the dashboard.
    drop(training.renderer(Chosen(renderer)).launch(learner));

    let ended = std::mem::replace(&mut *exchange.lock().expect("no holder panicked"), Exchange::Taken);
    let Exchange::Ended(outcome) = ended else {
        return Err(LabError::Failed("the training ended without an outcome".into()));
    };
    finish(folder, outcome?, interrupter.should_stop())
}

/// The last whole epoch of a run that goes on, if it has one.
fn last_epoch(run: &OpenRun) -> Result<Option<Latest>> {
    let OpenRun { folder, resumed, existing, .. } = run;
    let latest = if *resumed { folder.latest()? } else { None };
    if let Some(epoch) = folder.latest_weights().filter(|epoch| *resumed && latest.is_none() && *epoch > 1) {
        return Err(LabError::Failed(format!(
            "{} is missing, and there are weights of epoch {epoch}: the run is damaged; nothing was changed: put the file back, \
             or start another run from the weights with --checkpoint",
            folder.file("latest.json").display()
        )));
    }
    if *existing == Existing::Resume && latest.is_none() {
        info!("nothing to resume in {}: starting at epoch 1", folder.path().display());
    }
    Ok(latest)
}

/// The record of a run as this process goes on with it.
fn record_of(run: &OpenRun, splits: &Splits, images: usize, epochs_done: usize, backend: &str) -> Result<RunRecord> {
    let record = RunRecord::begun(&run.recipe, splits, images, backend);
    match if run.resumed { RunRecord::read(&run.folder)? } else { None } {
        Some(before) => before.continued(&record, epochs_done),
        None => Ok(record),
    }
}

/// Saves a backbone as it is before training.
fn save_untrained<B: ReplicaBackend>(
    run: &OpenRun,
    splits: &Splits,
    devices: &[B::Device],
    options: TrainOptions<'_, B>,
) -> Result<Trained> {
    let OpenRun { recipe, folder, .. } = run;
    let trained = |epochs| Trained { folder: folder.clone(), epochs };
    if last_epoch(run)?.is_some() {
        info!("{} is complete: nothing to train", folder.path().display());
        return Ok(trained(TrainedEpochs::Complete));
    }
    let record = record_of(run, splits, splits.train.len(), 0, options.backend)?;
    let backbone = options.backbone.unwrap_or_else(|| recipe.backbone.init::<B>(recipe.seed, &devices[0]));
    make_folder(run)?;
    CheckpointWriter::new(folder, recipe, record).save(0, &named_tensors(&backbone, "backbone"), None)?;
    let figures = json!({ "epochs": 0, "seed": recipe.seed });
    run_folder::record(&results_file(folder.path()), [("pretrain".into(), figures)])?;
    Ok(trained(TrainedEpochs::Untrained))
}

/// What a training comes to.
fn finish(folder: &RunFolder, outcome: Outcome, stopped: bool) -> Result<Trained> {
    let path = folder.path().display();
    if outcome.interrupted {
        return Err(LabError::Interrupted(format!("interrupted; {}", resume_hint(folder))));
    }
    let epochs = match outcome.last {
        Some(last) => TrainedEpochs::Some { epochs: last.epoch, loss: last.loss, seconds: outcome.seconds },
        None => TrainedEpochs::Complete,
    };
    if stopped {
        // After the last step: all is trained and saved, but whoever asked to stop wants no further stage.
        return Err(LabError::Interrupted(format!("interrupted; {path} is trained")));
    }
    Ok(Trained { folder: folder.clone(), epochs })
}

/// What a person whose training was stopped can do.
pub fn resume_hint(folder: &RunFolder) -> String {
    format!("--resume goes on after the last whole epoch, in {}", folder.path().display())
}

fn make_folder(run: &OpenRun) -> Result<()> {
    let OpenRun { recipe, folder, existing, resumed, .. } = run;
    // What a killed start left is no run to be replaced.
    if *existing == Existing::Overwrite && !resumed && folder.file("recipe.toml").is_file() {
        folder.replace(recipe)
    } else {
        folder.create(recipe)
    }
}

/// The images a run trains on, if they are enough to, and of the kind that the method needs.
fn training_images<'a>(run: &OpenRun, plan: &Plan, splits: &'a Splits) -> Result<&'a ImageSet> {
    let recipe = &run.recipe;
    let images = plan.images(splits);
    let (least, devices) = (recipe.least_batch(), recipe.devices().len());
    if images.len() < least {
        let place = if devices > 1 { format!(" on {devices} devices") } else { String::new() };
        return Err(LabError::Usage(format!(
            "{} cannot train on {} image(s): training{place} needs at least {least}",
            recipe.method,
            images.len()
        )));
    }
    if plan.labelled && (!images.is_labeled() || images.classes() < 2) {
        let problem =
            if images.is_labeled() { "has images of one class only" } else { "has images without labels only" };
        return Err(LabError::Usage(format!("{} learns from labels, and {} {problem}", recipe.method, recipe.dataset)));
    }
    Ok(images)
}

/// What differs on several devices from one.
fn notes_on_devices(run: &OpenRun, plan: &Plan, devices: usize) -> Vec<String> {
    let recipe = &run.recipe;
    let share = recipe.batch_size / devices;
    let share = match recipe.batch_size % devices {
        0 => share.to_string(),
        _ => format!("{share} or {}", share + 1),
    };
    let note =
        |what: &str| format!("note: {} on {devices} devices: {what} each device's own {share} images", recipe.method);
    let negatives = plan.local_negatives.then(|| note("negatives come from"));
    let statistics = recipe.local_batch_norm.then(|| note("statistics of batch normalisation are of"));
    negatives.into_iter().chain(statistics).collect()
}
