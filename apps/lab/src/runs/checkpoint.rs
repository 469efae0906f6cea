//! Writing a run's weights, and reading them again.

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

/// What a weights file says of itself, under one key of the safetensors metadata.
#[derive(Debug, Serialize, Deserialize)]
struct Origin {
    recipe: String,
    epoch: usize,
    /// Whether the backbone is of another program, so that seed and method of the recipe mean nothing.
    #[serde(default)]
    foreign: bool,
    /// Names of the labels: of the classifier, if there is one, or else of the images trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
}

/// The key of the metadata under which weights say where they come from.
pub const ORIGIN: &str = "qare";

fn write_with_origin(path: &Path, tensors: &[NamedTensor], origin: Origin) -> Result<()> {
    let epoch = origin.epoch;
    if let Some(bad) = tensors.iter().find(|tensor| tensor.values.iter().any(|value| !value.is_finite())) {
        return Err(LabError::Failed(format!(
            "the weights of epoch {epoch} are not saved: `{}` holds NaN or infinity, training has diverged",
            bad.name
        )));
    }
    let origin = serde_json::to_string(&origin).expect("plain data");
    write_whole(path, &safetensors_bytes(tensors, Some(HashMap::from([(ORIGIN.to_string(), origin)]))))
}

/// Weights with where they come from.
pub struct Checkpoint {
    /// The run's folder.
    pub folder: PathBuf,
    /// The weights file.
    pub file: PathBuf,
    /// What the weights were trained by.
    pub recipe: Recipe,
    /// Whole epochs they were trained for.
    pub epoch: usize,
    /// Whether the backbone is of another program: then method and seed of the recipe mean nothing.
    pub foreign: bool,
    /// Names of the labels of the classifier, or of the images trained on, if they are known.
    pub classes: Option<Vec<String>>,
    /// All tensors of the file.
    pub weights: StateDict,
    backbone: FoundBackbone,
}

/// What a call says of a weights file: checked against what the file says, and necessary where it says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stated {
    /// The dataset trained on.
    pub dataset: Option<DatasetName>,
    /// The method trained with.
    pub method: Option<Method>,
    /// The backbone.
    pub backbone: Option<BackboneName>,
}

/// Weights that a run can start from.
pub struct Initial {
    weights: StateDict,
    /// What trained them, if they tell.
    method: Option<MethodName>,
    /// Names of the labels that they were trained with, if they tell.
    classes: Option<Vec<String>>,
}

impl Initial {
    /// The model of a recipe with this backbone, and with the networks of its method where they are there and, for a method
    /// that learns `classes`, of the same ones; says which.
    pub fn put_into<B: Backend, P: Pretext<B>>(
        &self,
        model: PretextModel<B, P>,
        recipe: &Recipe,
        classes: Option<&[String]>,
    ) -> Result<PretextModel<B, P>> {
        let path = self.weights.path().display();
        let found = self.weights.find_backbone(Some(recipe.backbone)).map_err(|error| match error {
            // A sound file that does not fit is the wrong one.
            WeightsError::NoBackbone { .. } => LabError::Usage(format!("--checkpoint: {error}")),
            error => error.into(),
        })?;
        let model = model.with_backbone(&found)?;
        // Networks of other methods may have the same names. Files of other programs do not tell the method.
        let complete = match &self.method {
            Some(method) if *method != recipe.method => None,
            // A classifier of other classes is none of these.
            _ if classes.is_some() && self.classes.is_some() && self.classes.as_deref() != classes => None,
            _ => match model.clone().with_networks(&self.weights) {
                Err(error @ (WeightsError::NotFinite { .. } | WeightsError::Damaged { .. })) => {
                    return Err(error.into());
                }
                complete => complete.ok(),
            },
        };
        match complete {
            Some(_) => info!("starting from backbone and {} of {path}: {found}", recipe.method),
            None => info!("starting from the backbone of {path}: {found}"),
        }
        Ok(complete.unwrap_or(model))
    }
}

/// Any weights that can be started from: the latest of a run folder, or those in a file of ours or of PyTorch.
pub fn weights_of(path: &Path) -> Result<Initial> {
    let file = match path.is_dir() {
        true => path.join(latest(path)?.weights),
        false => path.to_path_buf(),
    };
    let weights = read_file(&file)?;
    let origin = origin(&file, &weights)?.filter(|(origin, _)| !origin.foreign);
    let (method, classes) = origin.map_or((None, None), |(origin, recipe)| (Some(recipe.method), origin.classes));
    Ok(Initial { weights, method, classes })
}

/// What a weights file says of itself, if it says anything.
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
            "{} has no finished epoch: it is no run folder, or its training was stopped before one",
            folder.display()
        ))
    })
}

impl Checkpoint {
    /// Of a weights file of ours, or of another that the call says enough about.
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

    /// The latest weights of a run folder, or the weights in a file.
    pub fn of_run_or_file(path: &Path, stated: &Stated) -> Result<Self> {
        if !path.is_dir() {
            return Self::read(path, stated);
        }
        Self::read(&path.join(latest(path)?.weights), stated)
    }

    /// Writes weights that were made of these, and a classifier of these classes, with where they come from.
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

    /// What a copy of these weights says of where they come from, with the text of a recipe in the place of theirs.
    pub fn origin_with(&self, recipe: String) -> String {
        let origin = Origin { recipe, epoch: self.epoch, foreign: self.foreign, classes: self.classes.clone() };
        serde_json::to_string(&origin).expect("plain data")
    }

    /// Where figures of these weights go: the results of their run, or, beside weights that are in no run folder, a file
    /// of their own.
    pub fn results_file(&self) -> PathBuf {
        if self.is_in_run() {
            return run_folder::results_file(&self.folder);
        }
        self.folder.join(format!("{}.results.json", name_of_probed(&self.file, self.foreign)))
    }

    /// Bytes that the weights take in a file.
    pub fn weight_bytes(&self) -> u64 {
        let shapes = self.weights.names().filter_map(|name| self.weights.shape(name));
        shapes.map(|shape| 4 * shape.iter().product::<usize>() as u64).sum()
    }

    /// Whether the weights are in the folder of a run, and of that run.
    pub fn is_in_run(&self) -> bool {
        !self.foreign && self.folder.join("recipe.toml").is_file()
    }

    /// What `results.json` calls a stage done to these weights: its plain name is for the latest of a run and their
    /// classifiers, others have the file's name with it.
    pub fn stage(&self, name: &str) -> Result<String> {
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        let latest = run_folder::latest(&self.folder)?.map(|latest| latest.weights);
        let stem = |name: &str| name.rsplit_once('.').map_or(name.to_string(), |(stem, _)| stem.to_string());
        let belongs = |latest: String| file.strip_prefix(&stem(&latest)).is_some_and(|end| end.starts_with(['.', '_']));
        Ok(match latest.is_some_and(belongs) || !self.is_in_run() {
            true => name.to_string(),
            false => format!("{name}:{}", stem(&file)),
        })
    }

    /// The backbone with these weights.
    pub fn backbone<B: Backend>(&self, device: &B::Device) -> Result<Backbone<B>> {
        Ok(self.backbone.init(device))
    }

    /// The classifier with these weights, of so many classes.
    ///
    /// # Errors
    /// If there is none, or one of another number of classes.
    pub fn classifier<B: Backend>(&self, classes: usize, device: &B::Device) -> Result<LinearClassifier<B>> {
        let classifier = LinearClassifierConfig::new(self.recipe.backbone.feature_dim(), classes);
        Ok(self.weights.load_into(classifier.init::<B>(self.recipe.seed, device), "classifier")?)
    }

    /// The classifier of a run folder that a stage of this name left (see [`Recipe::stage`]), or that the run itself
    /// trained; or the one in a file.
    pub fn of_probe(path: &Path, stage: &str, stated: &Stated) -> Result<Self> {
        let file = match path.is_dir() {
            false => path.to_path_buf(),
            true => {
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
                    // A supervised run has a classifier of its own.
                    None if stage == "probe" => path.join(latest.weights),
                    None => {
                        return Err(LabError::Usage(format!(
                            "{} has no classifier of that kind ({stage}): run `qare probe --checkpoint {0}{}` first",
                            path.display(),
                            flags_of(stage)
                        )));
                    }
                }
            }
        };
        let checkpoint = Self::read(&file, stated)?;
        match (checkpoint.weights.has_prefix("classifier"), path.is_dir()) {
            (true, _) => Ok(checkpoint),
            (false, true) => Err(LabError::Usage(format!(
                "{} has no linear probe: run `qare probe --checkpoint {0}` first",
                path.display()
            ))),
            (false, false) => Err(LabError::Usage(format!(
                "{} has no classifier: run `qare probe --checkpoint {0}` first, and test what that writes",
                file.display()
            ))),
        }
    }
}

/// The flags of a probe that leaves a stage of this name.
fn flags_of(stage: &str) -> String {
    let finetune = if stage.starts_with("finetune") { " --finetune" } else { "" };
    let dataset = stage.split_once('_').map_or(String::new(), |(_, dataset)| format!(" --dataset {dataset}"));
    format!("{finetune}{dataset}")
}

/// A recipe for weights that say nothing of their run: the backbone is known by its tensors, the dataset has to be told.
/// Says what is taken of the file.
fn foreign(file: &Path, weights: &StateDict, stated: &Stated) -> Result<(Recipe, FoundBackbone)> {
    let Some(dataset) = stated.dataset else {
        return Err(LabError::Usage(format!(
            "{} does not say which run it is from: name the dataset with --dataset",
            file.display()
        )));
    };
    let found = weights.find_backbone(stated.backbone)?;
    info!("{}: {found}", file.display());
    let method = stated.method.map_or(Recipe::default().method, MethodName::from);
    Ok((Recipe { dataset, backbone: found.name(), method, ..Default::default() }, found))
}

/// The file with the state of the optimizer after the last whole epoch of a run.
pub fn optimizer_file(folder: &RunFolder, latest: &Latest) -> Result<PathBuf> {
    latest.optimizer.as_deref().map(|name| folder.file(name)).ok_or_else(|| {
        LabError::Failed(format!(
            "{} names no file with the state of the optimizer, without which the run cannot go on; --checkpoint {} starts \
             another run from its weights",
            folder.file("latest.json").display(),
            folder.file(&latest.weights).display()
        ))
    })
}

/// What a run needs to go on, besides its weights.
pub struct Resumable<'a> {
    /// The optimizer's state.
    pub optimizer: &'a [u8],
    /// Of a run in f16.
    pub loss_scale: Option<LossScale>,
}

/// Keeps the weights of a run while it trains.
pub struct CheckpointWriter {
    /// The run.
    pub folder: RunFolder,
    /// What is trained.
    pub recipe: Recipe,
    record: RunRecord,
    /// Epochs whose weights stay.
    kept: Vec<usize>,
    /// Whether the record is in the folder.
    recorded: AtomicBool,
}

impl CheckpointWriter {
    /// Of a run with this record, which goes into its folder with the first epoch that is saved. Of a run that is made longer,
    /// the weights that its shorter form kept stay.
    pub fn new(folder: &RunFolder, recipe: &Recipe, record: RunRecord) -> Self {
        let kept = record.epochs.iter().flat_map(|epochs| milestones(*epochs)).collect();
        Self { folder: folder.clone(), recipe: recipe.clone(), record, kept, recorded: AtomicBool::new(false) }
    }

    /// How many epochs the run was to have before it was made longer.
    pub fn shorter(&self) -> Option<usize> {
        self.record.epochs.iter().rev().nth(1).copied()
    }

    /// Saves an epoch, and lets go of the one before unless it is one to keep.
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
                // Left over, it is in nobody's way.
                let _ = std::fs::remove_file(self.folder.file(&name));
            }
        }
        Ok(())
    }
}
