//! Stage 1: training a backbone.
//!
//! [`train`] trains any method on burn-train's Learner, with its metrics, its dashboard or another renderer, a kNN accuracy after
//! each epoch, and a checkpoint from which the run resumes bit for bit.

pub mod adam_update;
mod bias_correction;
mod conditional_steps;
mod held_out;
#[cfg(any(feature = "flex", feature = "ndarray"))]
mod host_adam;
#[cfg(feature = "cubecl")]
mod kernel_steps;
mod late_figures;
pub mod live;
mod loaders;
mod log_end;
pub mod loss_scale;
pub mod metrics;
pub mod model;
pub mod optimizer;
pub mod renderer;
pub mod scaled_gradients;
pub mod schedule;
pub mod sgd;
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

use self::live::LiveFigure;
use self::loaders::training_loaders;
use self::log_end::{end_logs, facts, projected_images};
use self::model::PretextModel;
use self::optimizer::{ModelOptimizer, with_stable_ids};
use self::renderer::BoxedRenderer;
use self::schedule::StepDecay;
use self::state::TrainingState;
use self::strategy::{LoopCell, LoopState, Outcome, PretrainStrategy};
use self::validation::Validation;
use crate::error::{LabError, Result};
use crate::evaluation::{features, labels};
use crate::loggers::Loggers;
use crate::methods::{Networks, Plan, Trainable, Validating};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::checkpoint_writer::CheckpointWriter;
use crate::runs::epoch_log::EpochLog;
use crate::runs::files;
use crate::runs::open_run::{Existing, OpenRun};
use crate::runs::records::{self, Latest, results_file};
use crate::runs::run_folder::RunFolder;
use crate::runs::run_record::RunRecord;
use crate::runs::starting_weights::starting_weights;

/// Options of training besides the recipe and the images.
pub struct TrainOptions<'a, B: Backend> {
    /// Name of the backend in `results.json`.
    pub backend: &'a str,
    /// Stops the training between two steps, from another thread.
    pub interrupter: Interrupter,
    /// Opens the renderer; by default [`Silent`].
    pub renderer: Option<OpenRenderer<'a>>,
    /// The backbone to start from; by default a newly initialised one.
    pub backbone: Option<Backbone<B>>,
}

impl<B: Backend> Default for TrainOptions<'_, B> {
    fn default() -> Self {
        Self { backend: "", interrupter: Interrupter::new(), renderer: None, backbone: None }
    }
}

/// The result of training.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The folder of the run.
    pub folder: RunFolder,
    /// The epochs that this process trained.
    pub epochs: TrainedEpochs,
}

/// The epochs that a process trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainedEpochs {
    /// None: the run was complete.
    Complete,
    /// None: the run is an untrained backbone.
    Untrained,
    /// At least one epoch.
    Some {
        /// Number of finished epochs of the run.
        epochs: usize,
        /// Mean loss of the last epoch.
        loss: f64,
        /// Duration of all epochs in seconds, including those of earlier processes.
        seconds: f64,
    },
}

/// Trains or resumes the built-in method that the recipe names. For `randomweights`, saves an untrained backbone.
///
/// # Errors
/// The errors of [`train`], and if the recipe's method is not built in.
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

/// Trains or resumes a backbone with the method `P`. The first device is the main one.
///
/// On a host backend all entries of `devices` are the same device, and each computes its share of a batch.
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
        return Err(LabError::Usage(format!("the recipe names {named} device(s), but {} are given", devices.len())));
    }
    let plan = P::plan(recipe);
    let device = &devices[0];
    let latest = last_epoch(run)?;
    let epochs_done = latest.as_ref().map_or(0, |latest| latest.epoch);
    if let Some(latest) = latest.as_ref().filter(|latest| latest.epoch >= recipe.epochs) {
        if latest.epoch == recipe.epochs && Loggers::lack_end(recipe, folder.path()) {
            info!("{} is trained: ending its logs", folder.path().printable());
            // The run is complete without them.
            if let Err(error) = end_logs::<B, P>(run, splits, &plan, latest, device) {
                warn!("the logs lack their end: {error}");
            }
            if options.interrupter.should_stop() {
                return Err(interrupted_when_trained(folder));
            }
        } else {
            info!("{} is complete: nothing to train", folder.path().printable());
        }
        return Ok(Trained { folder: folder.clone(), epochs: TrainedEpochs::Complete });
    }
    let (images, held_out) = divided(run, &plan, splits)?;
    let images = &images;
    let record = run_record(run, splits, images.len(), epochs_done, options.backend)?;
    let checkpoints = CheckpointWriter::new(folder, recipe, record);
    let networks = P::new(recipe, &facts(&plan, splits, images), device)?;
    let backbone = options.backbone.unwrap_or_else(|| recipe.backbone.init::<B>(recipe.seed, device));
    let backbone = if recipe.freeze_batch_norm { backbone.with_frozen_batch_norm() } else { backbone };
    let mut model = with_stable_ids(PretextModel::new(backbone, networks, plan.figures.clone(), recipe.precision));
    if let (Some(path), None) = (&recipe.checkpoint, &latest) {
        let classes = plan.labelled.then(|| images.class_names());
        model = starting_weights(path)?.load_into(model, recipe, classes)?;
    }
    let mut state = TrainingState::new(model, &plan, recipe.precision);
    if let Some(latest) = &latest {
        state = state.resumed(folder, latest, device)?;
    }

    let loaders = training_loaders::<B>(recipe, &plan, images, devices)?;
    let steps = loaders[0].num_batches();
    let (held_out, validation) = match plan.validating {
        Validating::Neighbours => Validation::draw(recipe, &splits.train),
        Validating::Recall => Validation::of_held_out(recipe, held_out, images),
    };
    if validation.is_none() {
        info!("note: {}", reason_for_no_score(recipe, &plan, splits));
    }
    let normalization = recipe.dataset.normalization();
    let valid = features::loader::<B::InnerBackend>(held_out, normalization, recipe.num_workers, device)?;
    let live = live_figures(recipe, &plan, validation.as_ref());
    let log = EpochLog::after(folder.file("log.csv"), &plan.figures, &live, epochs_done)?;

    // This updates the recipe of a resumed run, whose settings that do not affect the weights may have changed.
    create_folder(run)?;
    // Each weight is saved with two moments.
    files::check_space(folder.path(), 3 * 4 * Module::<B>::num_params(&state.model) as u64)?;
    let projected = projected_images(recipe, splits);
    let loggers = Loggers::open(recipe, folder.path(), &plan.figures, epochs_done, steps)?;
    if let Some(before) = checkpoints.epochs_before_extension().filter(|_| epochs_done > 0 && !plan.drops.is_empty()) {
        info!(
            "note: the learning rate now follows the schedule of {} epochs; the finished epochs followed that of {before}",
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
    // The Learner's optimizer takes no steps, so it needs no state.
    let without_state = ModelOptimizer::<PretextModel<B, P>, B>::new(plan.rule).adaptor();
    let learner = Learner::new(state.model.clone(), without_state, schedule.clone());
    let cell = Arc::new(Mutex::new(LoopCell::Ready(Box::new(LoopState { state, schedule, log, loggers }))));
    let train = Arc::new(loaders[0].clone());
    let score = validation.as_ref().map(Validation::kind);
    let strategy = PretrainStrategy {
        cell: cell.clone(),
        images: images.clone(),
        loaders,
        devices: devices.to_vec(),
        group,
        validation,
        checkpoints,
        projected,
        live: live.clone(),
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
    for (index, figure) in plan.figures.iter().enumerate() {
        training = training.metric_train_numeric(metrics::of_method(index, figure));
    }
    training =
        training.metric_train_numeric(LearningRateMetric::new()).metric_train_numeric(metrics::views_per_second());
    if let Some(score) = score {
        training = training.metric_valid_numeric(metrics::score(score));
    }
    for figure in live {
        training = match figure.is_of_steps() {
            true => training.metric_train_numeric(metrics::live(figure)),
            false => training.metric_valid_numeric(metrics::live_after_epoch(figure)),
        };
    }
    if epochs_done > 0 {
        training = training.checkpoint(epochs_done);
    }
    let start = TrainingStart { epochs_done, epochs: recipe.epochs, interrupter: interrupter.clone() };
    let renderer = options.renderer.map_or_else(|| Box::new(Silent) as Box<_>, |open| open(start));
    // Dropping the result closes the dashboard.
    drop(training.renderer(BoxedRenderer(renderer)).launch(learner));

    let ended = std::mem::replace(&mut *cell.lock().expect("no holder panicked"), LoopCell::Running);
    let LoopCell::Ended(outcome) = ended else {
        return Err(LabError::Failed("the training ended without an outcome".into()));
    };
    finish(folder, outcome?, interrupter.should_stop())
}

/// Returns the figures while it trains that the recipe names, without those that the run cannot have: a probe without a kNN accuracy, and one
/// whose column is already that of a figure of the method.
fn live_figures(recipe: &Recipe, plan: &Plan, validation: Option<&Validation>) -> Vec<LiveFigure> {
    let has_features = validation.is_some_and(|validation| validation.kind() == Validating::Neighbours);
    let is_taken = |live: &LiveFigure| plan.figures.iter().any(|figure| figure.column() == live.figure().column());
    let figures = recipe.figures.list().iter().copied();
    figures.filter(|live| (*live != LiveFigure::Probe || has_features) && !is_taken(live)).collect()
}

/// Returns the last finished epoch of a resumed run, if there is one.
fn last_epoch(run: &OpenRun) -> Result<Option<Latest>> {
    let OpenRun { folder, resumed, existing, .. } = run;
    let latest = if *resumed { folder.latest()? } else { None };
    if let Some(epoch) = folder.latest_weights().filter(|epoch| *resumed && latest.is_none() && *epoch > 1) {
        return Err(LabError::Failed(format!(
            "{} is missing, but there are weights of epoch {epoch}: the run is damaged; nothing was changed: put the file back \
             from a copy, or start another run from the weights with --checkpoint",
            folder.file("latest.json").printable()
        )));
    }
    if *existing == Existing::Resume && latest.is_none() {
        info!("nothing to resume in {}: starting at epoch 1", folder.path().printable());
    }
    Ok(latest)
}

/// Returns the record of the run, extended by this process.
fn run_record(run: &OpenRun, splits: &Splits, images: usize, epochs_done: usize, backend: &str) -> Result<RunRecord> {
    let record = RunRecord::begun(&run.recipe, splits, images, backend);
    match if run.resumed { RunRecord::read(&run.folder)? } else { None } {
        Some(before) => before.continued(&record, epochs_done),
        None => Ok(record),
    }
}

/// Saves an untrained backbone.
fn save_untrained<B: ReplicaBackend>(
    run: &OpenRun,
    splits: &Splits,
    devices: &[B::Device],
    options: TrainOptions<'_, B>,
) -> Result<Trained> {
    let OpenRun { recipe, folder, .. } = run;
    let trained = |epochs| Trained { folder: folder.clone(), epochs };
    if last_epoch(run)?.is_some() {
        info!("{} is complete: nothing to train", folder.path().printable());
        return Ok(trained(TrainedEpochs::Complete));
    }
    let record = run_record(run, splits, splits.train.len(), 0, options.backend)?;
    let backbone = options.backbone.unwrap_or_else(|| recipe.backbone.init::<B>(recipe.seed, &devices[0]));
    create_folder(run)?;
    CheckpointWriter::new(folder, recipe, record).save(0, &named_tensors(&backbone, "backbone"), None)?;
    let figures = json!({ "epochs": 0, "seed": recipe.seed });
    records::record(&results_file(folder.path()), [("pretrain".into(), figures)])?;
    Ok(trained(TrainedEpochs::Untrained))
}

/// Converts the outcome of the loop into the result of training.
fn finish(folder: &RunFolder, outcome: Outcome, stopped: bool) -> Result<Trained> {
    if outcome.interrupted {
        return Err(LabError::Interrupted(format!("interrupted; {}", resume_hint(folder))));
    }
    let epochs = match outcome.last {
        Some(last) => TrainedEpochs::Some { epochs: last.epoch, loss: last.loss, seconds: outcome.seconds },
        None => TrainedEpochs::Complete,
    };
    if stopped {
        // The interrupt came after the last step. The run is complete, and the error keeps the program from starting another stage.
        return Err(interrupted_when_trained(folder));
    }
    Ok(Trained { folder: folder.clone(), epochs })
}

/// The error of an interrupt that came after the last epoch.
fn interrupted_when_trained(folder: &RunFolder) -> LabError {
    LabError::Interrupted(format!("interrupted; {} is trained", folder.path().printable()))
}

/// Returns the advice for a user whose training was interrupted.
pub fn resume_hint(folder: &RunFolder) -> String {
    format!("--resume continues after the last finished epoch, in {}", folder.path().printable())
}

/// Creates the run folder, or replaces the existing run.
fn create_folder(run: &OpenRun) -> Result<()> {
    let OpenRun { recipe, folder, existing, resumed, .. } = run;
    // A folder without a recipe holds no run to replace.
    if *existing == Existing::Overwrite && !resumed && folder.file("recipe.toml").is_file() {
        folder.replace(recipe)
    } else {
        folder.create(recipe)
    }
}

/// Returns the training images.
///
/// # Errors
/// If there are too few images, or they lack the labels that the method needs.
fn training_images<'a>(run: &OpenRun, plan: &Plan, splits: &'a Splits) -> Result<&'a ImageSet> {
    let recipe = &run.recipe;
    let images = plan.images(splits);
    let (least, devices) = (recipe.least_batch(), recipe.devices().len());
    if images.len() < least {
        let on_devices = if devices > 1 { format!(" on {devices} devices") } else { String::new() };
        return Err(LabError::Usage(format!(
            "{} cannot train on {} image(s): training{on_devices} needs at least {least}",
            recipe.method,
            images.len()
        )));
    }
    if plan.labelled && (!images.is_labeled() || images.classes() < 2) {
        let problem = if images.is_labeled() { "are of one class only" } else { "have no labels" };
        return Err(LabError::Usage(format!(
            "{} learns from labels, but the training images of {} {problem}",
            recipe.method, recipe.dataset
        )));
    }
    Ok(images)
}

/// Returns the images that the method trains on, and those that are held out for its validation.
///
/// # Errors
/// The errors of [`training_images`].
fn divided(run: &OpenRun, plan: &Plan, splits: &Splits) -> Result<(ImageSet, Option<ImageSet>)> {
    let (recipe, images) = (&run.recipe, training_images(run, plan, splits)?);
    if plan.validating == Validating::Neighbours {
        return Ok((images.clone(), None));
    }
    let (train, held_out) = held_out::hold_out(images, &splits.test, recipe.validation_share, recipe.seed);
    if let Some(held_out) = &held_out {
        let what = if images.class_names() == splits.test.class_names() {
            format!("{} of {} training images", held_out.len(), images.len())
        } else {
            let classes = held_out.classes();
            format!("{classes} of {} training classes, {} images,", classes + train.classes(), held_out.len())
        };
        info!("note: {what} are held out for the validation; --validation-share 0 trains on all");
    }
    if let Some(needed) = plan.images_per_identity {
        let small = labels::smaller_than(&train, needed);
        if small > 0 {
            let (of, have) = (labels::present(&train), if small == 1 { "has" } else { "have" });
            info!(
                "note: {small} of {of} training classes {have} fewer than {needed} images, which a batch repeats in other views; \
                 --images-per-identity sets how many"
            );
        }
    }
    Ok((train, held_out))
}

/// Returns why there is no score after each epoch.
fn reason_for_no_score(recipe: &Recipe, plan: &Plan, splits: &Splits) -> &'static str {
    match plan.validating {
        Validating::Recall if recipe.validation_share == 0.0 => "no Recall@1 is computed: validation_share is 0",
        Validating::Recall => "no Recall@1 is computed: there are too few images to hold some out",
        Validating::Neighbours if splits.train.is_labeled() => {
            "no kNN accuracy is computed: all labelled images are of one class"
        }
        Validating::Neighbours if recipe.figures.list().contains(&LiveFigure::Probe) => {
            "no kNN accuracy and no accuracy of a probe are computed: the images have no labels"
        }
        Validating::Neighbours => "no kNN accuracy is computed: the images have no labels",
    }
}

/// Returns notes on how training on several devices differs from training on one.
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
    let statistics = recipe.local_batch_norm.then(|| note("statistics of batch normalisation are computed over"));
    negatives.into_iter().chain(statistics).collect()
}
