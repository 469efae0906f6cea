//! Checkpoints: writing and reading weights with their origin.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::backend::Backend;
use qare_data::DatasetName;
use qare_models::{
    Backbone, BackboneName, FoundBackbone, LinearClassifier, LinearClassifierConfig, NamedTensor, StateDict,
    WeightsError, safetensors_bytes,
};
use serde::{Deserialize, Serialize};

use log::info;

use crate::error::{LabError, Result};
use crate::evaluation::probe::name_of_probed;
use crate::methods::{Method, MethodName, Pretext};
use crate::recipe::Recipe;
use crate::runs::files::write_whole;
use crate::runs::run_folder::{self, Latest, RunFolder, milestones};
use crate::runs::run_record::RunRecord;
use crate::training::loss_scale::LossScale;
use crate::training::model::PretextModel;

/// The origin of weights, a JSON value in the metadata of a safetensors file.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    recipe: String,
    epoch: usize,
    /// Whether the backbone is of another program, so that seed and method of the recipe do not apply.
    #[serde(default)]
    foreign: bool,
    /// Class names of the classifier, or, without a classifier, of the training images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
}

/// The metadata key of the origin of weights.
pub const ORIGIN: &str = "qare";

fn write_with_origin(path: &Path, tensors: &[NamedTensor], origin: Origin) -> Result<()> {
    let epoch = origin.epoch;
    if let Some(bad) = tensors.iter().find(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
        return Err(LabError::Failed(format!(
            "the weights of epoch {epoch} are not saved: `{}` contains NaN or infinity, training has diverged",
            bad.name
        )));
    }
    let origin = serde_json::to_string(&origin).expect("plain data");
    write_whole(path, &safetensors_bytes(tensors, Some(HashMap::from([(ORIGIN.to_string(), origin)]))))
}

/// Weights with their origin.
pub struct Checkpoint {
    /// The folder of the weights file, which may be a run folder.
    pub folder: PathBuf,
    /// The weights file.
    pub file: PathBuf,
    /// The recipe of the training.
    pub recipe: Recipe,
    /// Number of training epochs.
    pub epoch: usize,
    /// Whether the backbone is of another program. Method and seed of the recipe do not apply then.
    pub foreign: bool,
    /// Class names of the classifier, or, without a classifier, of the training images, if known.
    pub classes: Option<Vec<String>>,
    /// All tensors of the file.
    pub weights: StateDict,
    backbone: FoundBackbone,
}

/// Properties of a weights file as stated by the user, for files of other programs, which do not record them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stated {
    /// The training dataset.
    pub dataset: Option<DatasetName>,
    /// The training method.
    pub method: Option<Method>,
    /// The backbone.
    pub backbone: Option<BackboneName>,
}

/// Weights that a run starts from.
pub struct StartingWeights {
    weights: StateDict,
    /// The method that trained them, if known.
    method: Option<MethodName>,
    /// The class names that they were trained with, if known.
    classes: Option<Vec<String>>,
}

impl StartingWeights {
    /// Loads the backbone into a model, and the networks of the method if the file has them. For a method that learns `classes`, the
    /// networks are loaded only if they learned the same classes. Logs which weights are loaded.
    ///
    /// # Errors
    /// If the backbone does not fit, or the weights are damaged or not finite.
    pub fn load_into<B: Backend, P: Pretext<B>>(
        &self,
        model: PretextModel<B, P>,
        recipe: &Recipe,
        classes: Option<&[String]>,
    ) -> Result<PretextModel<B, P>> {
        let path = self.weights.path().display();
        let found = self.weights.find_backbone(Some(recipe.backbone)).map_err(|error| match error {
            // The file is readable but does not fit, so the call is wrong.
            WeightsError::NoBackbone { .. } => LabError::Usage(format!("--checkpoint: {error}")),
            error => error.into(),
        })?;
        let model = model.with_backbone(&found)?;
        // Networks of another method may have the same names, so the method is compared, if it is known.
        let complete = match &self.method {
            Some(method) if *method != recipe.method => None,
            // The classifier of other classes is not used.
            _ if classes.is_some() && self.classes.is_some() && self.classes.as_deref() != classes => None,
            _ => match model.clone().with_networks(&self.weights) {
                Err(error @ (WeightsError::NotFinite { .. } | WeightsError::Damaged { .. })) => {
                    return Err(error.into());
                }
                complete => complete.ok(),
            },
        };
        match complete {
            Some(_) => info!("starting from the backbone and {} of {path}: {found}", recipe.method),
            None => info!("starting from the backbone of {path}: {found}"),
        }
        Ok(complete.unwrap_or(model))
    }
}

/// Reads the weights that a run starts from: the latest of a run folder, or those in a file of this program or of PyTorch.
///
/// # Errors
/// If the folder has no finished epoch, or the file is missing or damaged.
pub fn starting_weights(path: &Path) -> Result<StartingWeights> {
    let file = if path.is_dir() { path.join(latest(path)?.weights) } else { path.to_path_buf() };
    let weights = read_file(&file)?;
    let origin = origin(&file, &weights)?.filter(|(origin, _)| !origin.foreign);
    let (method, classes) = origin.map_or((None, None), |(origin, recipe)| (Some(recipe.method), origin.classes));
    Ok(StartingWeights { weights, method, classes })
}

/// Reads the origin of weights and its recipe, if the file has one.
fn origin(file: &Path, weights: &StateDict) -> Result<Option<(Origin, Recipe)>> {
    let damaged = |error: String| LabError::Failed(format!("{} is damaged: {error}", file.display()));
    let Some(origin) = weights.metadata().get(ORIGIN) else { return Ok(None) };
    let origin: Origin = serde_json::from_str(origin).map_err(|error| damaged(error.to_string()))?;
    let recipe = Recipe::parse(&origin.recipe).map_err(damaged)?;
    recipe.validate().map_err(|error| damaged(format!("in its recipe, {error}")))?;
    Ok(Some((origin, recipe)))
}

fn read_file(file: &Path) -> Result<StateDict> {
    if !file.is_file() {
        return Err(LabError::Usage(format!(
            "no checkpoint at {}: expected a run folder, or a weights file (.safetensors, or .pt, .pth, .ckpt or .tar of PyTorch)",
            file.display()
        )));
    }
    Ok(StateDict::read(file)?)
}

fn latest(folder: &Path) -> Result<Latest> {
    run_folder::latest(folder)?.ok_or_else(|| {
        LabError::Usage(format!(
            "{} has no finished epoch: it is not a run folder, or its training was stopped during the first epoch",
            folder.display()
        ))
    })
}

impl Checkpoint {
    /// Reads a weights file of this program, or of another program with the properties in `stated`.
    ///
    /// # Errors
    /// If the file is missing or damaged, has no known backbone, or has no origin and `stated` has no dataset.
    pub fn read(file: &Path, stated: &Stated) -> Result<Self> {
        let weights = read_file(file)?;
        let folder = match file.parent() {
            Some(parent) if parent != Path::new("") => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        let (recipe, epoch, foreign, classes, backbone) = match origin(file, &weights)? {
            Some((origin, recipe)) => {
                let backbone = weights.find_backbone(Some(recipe.backbone))?;
                (recipe, origin.epoch, origin.foreign, origin.classes, backbone)
            }
            None => {
                let (recipe, backbone) = foreign(file, &weights, stated)?;
                (recipe, 0, true, None, backbone)
            }
        };
        Ok(Self { folder, file: file.to_path_buf(), recipe, epoch, foreign, classes, weights, backbone })
    }

    /// Reads the latest weights of a run folder, or the weights in a file.
    ///
    /// # Errors
    /// If the folder has no finished epoch, and the errors of [`Checkpoint::read`].
    pub fn of_run_or_file(path: &Path, stated: &Stated) -> Result<Self> {
        if !path.is_dir() {
            return Self::read(path, stated);
        }
        Self::read(&path.join(latest(path)?.weights), stated)
    }

    /// Writes weights derived from these, with a classifier of `classes`, and their origin.
    ///
    /// # Errors
    /// If a weight is NaN or infinite, or the file cannot be written.
    pub fn write_derived(
        &self,
        path: &Path,
        tensors: &[NamedTensor],
        recipe: &Recipe,
        classes: &[String],
    ) -> Result<()> {
        let Self { epoch, foreign, .. } = *self;
        write_with_origin(
            path,
            tensors,
            Origin { recipe: recipe.to_toml(), epoch, foreign, classes: Some(classes.to_vec()) },
        )
    }

    /// Returns the origin of these weights as JSON, with the text of another recipe.
    pub fn origin_with(&self, recipe: String) -> String {
        let origin = Origin { recipe, epoch: self.epoch, foreign: self.foreign, classes: self.classes.clone() };
        serde_json::to_string(&origin).expect("plain data")
    }

    /// Returns the results file for figures of these weights: that of the run folder, or, outside of a run folder, a file beside the
    /// weights.
    pub fn results_file(&self) -> PathBuf {
        if self.is_in_run() {
            return run_folder::results_file(&self.folder);
        }
        self.folder.join(format!("{}.results.json", name_of_probed(&self.file, self.foreign)))
    }

    /// Returns the size of all weights in bytes as f32.
    pub fn weight_bytes(&self) -> u64 {
        let shapes = self.weights.names().filter_map(|name| self.weights.shape(name));
        shapes.map(|shape| 4 * shape.iter().product::<usize>() as u64).sum()
    }

    /// Whether the weights are in a run folder and are not of another program.
    pub fn is_in_run(&self) -> bool {
        !self.foreign && self.folder.join("recipe.toml").is_file()
    }

    /// Returns the key of a stage of these weights in `results.json`: the name of the stage for the latest weights of a run and
    /// files derived from them; otherwise the name of the stage with the name of the file.
    ///
    /// # Errors
    /// If `latest.json` is damaged.
    pub fn stage(&self, name: &str) -> Result<String> {
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        let latest = run_folder::latest(&self.folder)?.map(|latest| latest.weights);
        let stem = |name: &str| name.rsplit_once('.').map_or(name.to_string(), |(stem, _)| stem.to_string());
        let derived = |latest: String| file.strip_prefix(&stem(&latest)).is_some_and(|end| end.starts_with(['.', '_']));
        let is_latest = latest.is_some_and(derived) || !self.is_in_run();
        Ok(if is_latest { name.to_string() } else { format!("{name}:{}", stem(&file)) })
    }

    /// Loads the backbone on a device.
    pub fn backbone<B: Backend>(&self, device: &B::Device) -> Result<Backbone<B>> {
        Ok(self.backbone.init(device))
    }

    /// Loads the classifier on a device.
    ///
    /// # Errors
    /// If there is no classifier, or it has another number of classes.
    pub fn classifier<B: Backend>(&self, classes: usize, device: &B::Device) -> Result<LinearClassifier<B>> {
        let classifier = LinearClassifierConfig::new(self.recipe.backbone.feature_dim(), classes);
        Ok(self.weights.load_into(classifier.init::<B>(self.recipe.seed, device), "classifier")?)
    }

    /// Reads weights with a classifier: those in a file, those that a stage wrote to a run folder (see [`Recipe::stage`]), or those
    /// of a supervised run.
    ///
    /// # Errors
    /// If there is no classifier, or it was trained on an earlier epoch of the run.
    pub fn of_probe(path: &Path, stage: &str, stated: &Stated) -> Result<Self> {
        let file = if path.is_dir() {
            let results = serde_json::Value::Object(run_folder::results(&run_folder::results_file(path))?);
            let latest = latest(path)?;
            match results[stage]["checkpoint"].as_str() {
                Some(name) if results[stage]["epoch"] == latest.epoch => path.join(name),
                Some(name) => {
                    return Err(LabError::Usage(format!(
                        "the linear probe of {} is of epoch {}, and the run is at {}: run `qare probe --checkpoint \
                         {0}` first, or name the file to test ({name})",
                        path.display(),
                        results[stage]["epoch"],
                        latest.epoch
                    )));
                }
                // The weights of a supervised run contain a classifier.
                None if stage == "probe" => path.join(latest.weights),
                None => {
                    return Err(LabError::Usage(format!(
                        "{} has no classifier for the stage `{stage}`: run `qare probe --checkpoint {0}{}` first",
                        path.display(),
                        flags_of(stage)
                    )));
                }
            }
        } else {
            path.to_path_buf()
        };
        let checkpoint = Self::read(&file, stated)?;
        match (checkpoint.weights.has_prefix("classifier"), path.is_dir()) {
            (true, _) => Ok(checkpoint),
            (false, true) => Err(LabError::Usage(format!(
                "{} has no linear probe: run `qare probe --checkpoint {0}` first",
                path.display()
            ))),
            (false, false) => Err(LabError::Usage(format!(
                "{} has no classifier: run `qare probe --checkpoint {0}` first, and test the file that it writes",
                file.display()
            ))),
        }
    }
}

/// Returns the flags of `qare probe` for a stage.
fn flags_of(stage: &str) -> String {
    let finetune = if stage.starts_with("finetune") { " --finetune" } else { "" };
    let dataset = stage.split_once('_').map_or(String::new(), |(_, dataset)| format!(" --dataset {dataset}"));
    format!("{finetune}{dataset}")
}

/// Returns a recipe for weights without an origin. The backbone is recognised by its tensors; the dataset must be stated. Logs which
/// tensors of the file are used.
fn foreign(file: &Path, weights: &StateDict, stated: &Stated) -> Result<(Recipe, FoundBackbone)> {
    let Some(dataset) = stated.dataset else {
        return Err(LabError::Usage(format!(
            "{} does not say which run it is from: name its dataset with --dataset",
            file.display()
        )));
    };
    let found = weights.find_backbone(stated.backbone)?;
    info!("{}: {found}", file.display());
    let method = stated.method.map_or(Recipe::default().method, MethodName::from);
    Ok((Recipe { dataset, backbone: found.name(), method, ..Default::default() }, found))
}

/// Returns the file with the state of the optimizer after the last finished epoch of a run.
///
/// # Errors
/// If the run has saved no state.
pub fn optimizer_file(folder: &RunFolder, latest: &Latest) -> Result<PathBuf> {
    latest.optimizer.as_deref().map(|name| folder.file(name)).ok_or_else(|| {
        LabError::Failed(format!(
            "{} names no file with the state of the optimizer, so the run cannot be resumed; --checkpoint {} starts another run \
             from its weights",
            folder.file("latest.json").display(),
            folder.file(&latest.weights).display()
        ))
    })
}

/// The state, besides the weights, that a run needs to resume.
pub struct Resumable<'a> {
    /// The optimizer's state.
    pub optimizer: &'a [u8],
    /// The loss scale of a run in f16.
    pub loss_scale: Option<LossScale>,
}

/// Writes the checkpoints of a run.
pub struct CheckpointWriter {
    /// The folder of the run.
    pub folder: RunFolder,
    /// The recipe of the run.
    pub recipe: Recipe,
    record: RunRecord,
    /// Epochs whose weights are kept.
    kept: Vec<usize>,
    /// Whether the record has been written.
    recorded: AtomicBool,
}

impl CheckpointWriter {
    /// Creates a writer. The record is written with the first saved epoch. If the run was extended, the weights kept by its shorter
    /// version stay.
    pub fn new(folder: &RunFolder, recipe: &Recipe, record: RunRecord) -> Self {
        let kept = record.epochs.iter().flat_map(|epochs| milestones(*epochs)).collect();
        Self { folder: folder.clone(), recipe: recipe.clone(), record, kept, recorded: AtomicBool::new(false) }
    }

    /// Returns the number of epochs before the last extension of the run, if there was one.
    pub fn epochs_before_extension(&self) -> Option<usize> {
        self.record.epochs.iter().rev().nth(1).copied()
    }

    /// Saves an epoch, and deletes the previous one unless its weights are kept.
    ///
    /// # Errors
    /// If a weight is NaN or infinite, or a file cannot be written.
    pub fn save(&self, epoch: usize, weights: &[NamedTensor], state: Option<Resumable>) -> Result<()> {
        let before = self.folder.latest()?;
        let name = self.folder.weights_name(epoch);
        let classes = self.record.classes.clone();
        let origin = Origin { recipe: self.recipe.to_toml(), epoch, foreign: false, classes };
        write_with_origin(&self.folder.file(&name), weights, origin)?;
        let mut latest = Latest { epoch, weights: name, optimizer: None, loss_scale: None };
        if let Some(state) = state {
            let name = self.folder.optimizer_name(epoch);
            write_whole(&self.folder.file(&name), state.optimizer)?;
            latest = Latest { optimizer: Some(name), loss_scale: state.loss_scale, ..latest };
        }
        if !self.recorded.load(Ordering::Relaxed) {
            self.record.write(&self.folder)?;
            self.recorded.store(true, Ordering::Relaxed);
        }
        self.folder.set_latest(&latest)?;

        if let Some(before) = before.filter(|before| before.epoch != epoch && !self.kept.contains(&before.epoch)) {
            for name in [Some(before.weights), before.optimizer].into_iter().flatten() {
                // A leftover file does no harm, so an error is ignored.
                let _ = std::fs::remove_file(self.folder.file(&name));
            }
        }
        Ok(())
    }
}
