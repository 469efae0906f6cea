//! Stage 1: training a backbone.

use std::sync::{Arc, Mutex};

use burn::module::Module;
use burn_train::logger::InMemoryMetricLogger;
use burn_train::metric::LearningRateMetric;
use burn_train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use qare_data::{Draw, EpochCursor, ImageSet, LoaderConfig, Purpose, Shard, Splits, ViewLoader};
use qare_models::replicas::{BatchStatistics, ReplicaBackend, ReplicaGroup};
use qare_models::{StateDict, named_tensors};
use serde_json::json;

use crate::checkpoint::{CheckpointWriter, optimizer_file, weights_of};
use crate::dashboard::{self, Dashboard, Killed};
use crate::error::{AppError, Result};
use crate::labels;
use crate::lock::Lock;
use crate::log::EpochLog;
use crate::methods::{Facts, LastBatch, Networks, Plan};
use crate::model::PretextModel;
use crate::optimizer::{SharedOptimizer, with_stable_ids};
use crate::output::{complain, say};
use crate::progress::{PlainProgress, duration};
use crate::recipe::Recipe;
use crate::run_folder::{self, RunFolder, results_file};
use crate::run_record::RunRecord;
use crate::schedule::StepDecay;
use crate::strategy::{Others, Outcome, PretrainStrategy, Validation};
use crate::{features, files, interrupt, metrics, terminal};

/// How to go about a run, apart from its recipe.
#[derive(Clone, Debug, Default)]
pub struct PretrainOptions {
    pub resume: bool,
    pub overwrite: bool,
    pub no_tui: bool,
}

/// Trains, or goes on training, the run of a recipe on its devices, and returns its folder, which is locked meanwhile.
pub fn pretrain<B: ReplicaBackend>(
    recipe: &Recipe,
    splits: &Splits,
    devices: &[B::Device],
    options: &PretrainOptions,
    _lock: &Lock,
) -> Result<RunFolder> {
    let device = &devices[0];
    let folder = RunFolder::of(recipe);
    let resumed = run_folder::settle_existing(&folder, recipe, options.resume, options.overwrite)?;
    let latest = if resumed { folder.latest()? } else { None };
    if let Some(epoch) = folder.latest_weights().filter(|epoch| resumed && latest.is_none() && *epoch > 1) {
        return Err(AppError::Failed(format!(
            "{} is missing, and there are weights of epoch {epoch}: the run is damaged; nothing was changed: put the file back, \
             or start another run from the weights with --checkpoint",
            folder.file("latest.json").display()
        )));
    }
    if options.resume && latest.is_none() {
        say(format!("nothing to resume in {}: starting at epoch 1", folder.path().display()));
    }
    if let Some(latest) = &latest
        && (latest.epoch >= recipe.epochs || recipe.method.plan(recipe).is_none())
    {
        say(format!("{} is complete: nothing to train", folder.path().display()));
        return Ok(folder);
    }

    let epochs_done = latest.as_ref().map_or(0, |latest| latest.epoch);
    let mut record = RunRecord::begun(recipe, splits);
    if let Some(before) = if resumed { RunRecord::read(&folder)? } else { None } {
        record = before.continued(&record, epochs_done)?;
    }
    let writer = CheckpointWriter::new(&folder, recipe, record);
    let backbone = recipe.backbone.init::<B>(recipe.seed, device);
    let Some(plan) = recipe.method.plan(recipe) else {
        make_folder(&folder, recipe, options.overwrite)?;
        writer.save(0, &named_tensors(&backbone, "backbone"), None)?;
        let figures = json!({ "epochs": 0, "seed": recipe.seed });
        run_folder::record(&results_file(folder.path()), [("pretrain".into(), figures)])?;
        say(format!("untrained {} saved in {}", recipe.backbone, folder.path().display()));
        return Ok(folder);
    };

    let images = training_images(recipe, splits)?;
    if plan.labelled && (!images.is_labeled() || images.classes() < 2) {
        let problem =
            if images.is_labeled() { "has images of one class only" } else { "has images without labels only" };
        return Err(AppError::Usage(format!("{} learns from labels, and {} {problem}", recipe.method, recipe.dataset)));
    }
    let epoch = EpochCursor::default();
    let facts = Facts { images: images.len(), classes: splits.train.classes(), epoch: epoch.clone() };
    let networks = Networks::<B>::new(recipe, &facts, device)?.expect("a method with a plan trains something");
    let mut model = with_stable_ids(PretextModel::new(backbone, networks, plan.figures.clone(), recipe.precision));
    if let (Some(path), None) = (&recipe.checkpoint, &latest) {
        let classes = plan.labelled.then(|| images.class_names());
        model = weights_of(path)?.put_into(model, recipe, classes)?;
    }
    let optimizer = SharedOptimizer::new(plan.rule);
    if let Some(latest) = &latest {
        model = model.with_weights(&StateDict::read_safetensors(&folder.file(&latest.weights))?)?;
        model.loss_scale.resume(latest.loss_scale);
        let path = optimizer_file(&folder, latest)?;
        let unusable = |problem: String| {
            AppError::Failed(format!(
                "{} {problem}; nothing was changed: put it back, or start another run from the weights with --checkpoint {}",
                path.display(),
                folder.file(&latest.weights).display()
            ))
        };
        let bytes = std::fs::read(&path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
        optimizer.load_bytes(&bytes, &model, device).map_err(|error| unusable(format!("is damaged: {error}")))?;
    }

    let mut shares = training_loaders::<B>(recipe, &plan, images, epoch.clone(), devices)?;
    let train = shares.remove(0);
    let steps = train.num_batches();
    let (valid, validation) = validation(recipe, &splits.train);
    let has_score = validation.is_some();
    if !has_score {
        let why = if splits.train.is_labeled() {
            "all labelled images are of one class"
        } else {
            "the images have no labels"
        };
        say(format!("note: no kNN accuracy is shown: {why}"));
    }
    let normalization = recipe.dataset.normalization();
    let valid = features::loader::<B::InnerBackend>(valid, normalization, recipe.num_workers, device)?;
    let log = EpochLog::after(folder.file("log.csv"), &plan.figures, epochs_done)?;

    // What does not decide the weights may have changed since the run began.
    make_folder(&folder, recipe, options.overwrite && !resumed)?;
    // Weights, and two moments of each.
    files::check_space(folder.path(), 3 * 4 * Module::<B>::num_params(&model) as u64)?;
    if let Some(before) = writer.shorter().filter(|_| epochs_done > 0 && !plan.drops.is_empty()) {
        say(format!(
            "note: the learning rate goes on as in a run of {} epochs; so far it was that of a run of {before}",
            recipe.epochs
        ));
    }
    if epochs_done > 0 {
        say(format!("resuming after epoch {epochs_done} of {}", recipe.epochs));
    }
    let others = (devices.len() > 1).then(|| {
        notes(recipe, &plan, devices.len()).iter().for_each(complain);
        let statistics = if recipe.local_batch_norm { BatchStatistics::Share } else { BatchStatistics::Whole };
        Others { group: ReplicaGroup::new::<B>(devices.len(), statistics), shares }
    });
    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let strategy = PretrainStrategy {
        epoch,
        optimizer: optimizer.clone(),
        images: images.clone(),
        validation,
        checkpoints: writer,
        log: Mutex::new(log),
        devices: devices.to_vec(),
        others,
        outcome: outcome.clone(),
    };

    let interrupter = Interrupter::new();
    interrupt::stop_on_ctrl_c(&interrupter);
    let mut training = SupervisedTraining::new(folder.path(), Arc::new(train), Arc::new(valid))
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
    training = if options.no_tui || !terminal::can_draw() {
        training.renderer(PlainProgress::new(epochs_done, recipe.epochs))
    } else {
        training.renderer(Dashboard::open(interrupter.clone(), epochs_done))
    };
    let schedule = StepDecay::new(recipe.learning_rate, plan.drops, recipe.epochs, steps, epochs_done);
    let learner = Learner::new(model, optimizer, schedule);
    // Dropping the result closes the dashboard.
    dashboard::until_killed(move || drop(training.launch(learner)))
        .map_err(|Killed| AppError::Interrupted(format!("killed from the dashboard; {}", resume_hint(&folder))))?;

    interrupt::training_has_ended();
    let outcome = std::mem::take(&mut *outcome.lock().expect("no holder panicked"));
    let folder = finish(&folder, outcome)?;
    match interrupter.should_stop() {
        // After the last step: all is trained and saved, but whoever asked to stop wants no further stage.
        true => Err(AppError::Interrupted(format!("interrupted; {} is trained", folder.path().display()))),
        false => Ok(folder),
    }
}

/// Says how training ended.
fn finish(folder: &RunFolder, outcome: Outcome) -> Result<RunFolder> {
    let path = folder.path().display();
    if let Some(failure) = outcome.failure {
        return Err(failure);
    }
    if outcome.interrupted {
        return Err(AppError::Interrupted(format!("interrupted; {}", resume_hint(folder))));
    }
    let Some(last) = outcome.last else { return Ok(folder.clone()) };
    let per_epoch = outcome.seconds / last.epoch as f64;
    say(format!(
        "{} epochs in {} ({per_epoch:.1} s an epoch), final loss {:.4}; saved in {path}",
        last.epoch,
        duration(outcome.seconds),
        last.loss
    ));
    Ok(folder.clone())
}

fn resume_hint(folder: &RunFolder) -> String {
    format!("--resume goes on after the last whole epoch, in {}", folder.path().display())
}

fn make_folder(folder: &RunFolder, recipe: &Recipe, overwrite: bool) -> Result<()> {
    // What a killed start left is no run to be replaced.
    match overwrite && folder.file("recipe.toml").is_file() {
        true => folder.replace(recipe),
        false => folder.create(recipe),
    }
}

/// The images a recipe trains on, if they are enough to.
fn training_images<'a>(recipe: &Recipe, splits: &'a Splits) -> Result<&'a ImageSet> {
    let images = recipe.method.images(recipe, splits);
    let (least, devices) = (recipe.least_batch(), recipe.devices().len());
    if images.len() < least {
        let place = if devices > 1 { format!(" on {devices} devices") } else { String::new() };
        return Err(AppError::Usage(format!(
            "{} cannot train on {} image(s): training{place} needs at least {least}",
            recipe.method,
            images.len()
        )));
    }
    Ok(images)
}

/// What is other on several devices than on one.
fn notes(recipe: &Recipe, plan: &Plan, devices: usize) -> Vec<String> {
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

/// A loader for each device, of its share of the batches.
fn training_loaders<B: ReplicaBackend>(
    recipe: &Recipe,
    plan: &Plan,
    images: &ImageSet,
    epoch: EpochCursor,
    devices: &[B::Device],
) -> Result<Vec<ViewLoader<B>>> {
    let config = LoaderConfig {
        batch_size: recipe.batch_size,
        views: plan.views,
        seed: recipe.seed,
        workers: recipe.num_workers.div_ceil(devices.len()),
        shuffle: true,
        drop_last: match plan.last_batch {
            LastBatch::IfEnough => (1..recipe.least_batch()).contains(&(images.len() % recipe.batch_size)),
            LastBatch::Dropped => true,
        },
        augmentation: plan.augmentation,
        normalization: recipe.dataset.normalization(),
    };
    let loader = |(rank, device)| {
        let loader = ViewLoader::new(images.clone(), config, epoch.clone(), device)?;
        Ok(loader.shard(Shard { rank, count: devices.len() })?)
    };
    devices.iter().enumerate().map(loader).collect()
}

/// A bank and held-out queries, drawn from the training split: the test split stays unseen. Where labels do not tell images
/// apart there are none.
fn validation(recipe: &Recipe, images: &ImageSet) -> (ImageSet, Option<Validation>) {
    if !labels::tell_apart(images) {
        // The Learner wants images to validate on, which nobody looks at.
        return (images.select(&[0][..images.len().min(1)]), None);
    }
    let order = Draw::new(recipe.seed, Purpose::HeldOut, 0, 0, 0).permutation(images.len());
    let queries = recipe.knn.held_out.min(images.len() / 5).max(1);
    let bank = recipe.knn.bank.min(images.len() - queries);
    let (held_out, others) = order.split_at(queries);
    let chosen: Vec<usize> = others[..bank].iter().chain(held_out).copied().collect();
    let images = images.select(&chosen);
    let labels = images.labels().to_vec();
    let validation =
        Validation { labels, bank, feature_dim: recipe.backbone.feature_dim(), recipe: recipe.knn.clone() };
    (images, Some(validation))
}
