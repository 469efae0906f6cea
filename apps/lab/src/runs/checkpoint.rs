//! Reading the weights of a run, or of another program, with their origin.

use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use log::info;
use qare_data::DatasetName;
use qare_models::{
    Backbone, BackboneName, EmbeddingHead, EmbeddingHeadConfig, FoundBackbone, LinearClassifier,
    LinearClassifierConfig, NamedTensor, StateDict,
};

use super::origin::{Origin, origin, read_file, write_with_origin};
use crate::error::{LabError, Result};
use crate::evaluation::embedder::{Embedder, Space};
use crate::evaluation::probe::name_of_probed;
use crate::methods::metric::EMBEDDING;
use crate::methods::{Method, MethodName};
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::records::{self, Latest};

pub use super::origin::ORIGIN;

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
            return records::results_file(&self.folder);
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
        let latest = records::latest(&self.folder)?.map(|latest| latest.weights);
        let stem = |name: &str| name.rsplit_once('.').map_or(name.to_string(), |(stem, _)| stem.to_string());
        let derived = |latest: String| file.strip_prefix(&stem(&latest)).is_some_and(|end| end.starts_with(['.', '_']));
        let is_latest = latest.is_some_and(derived) || !self.is_in_run();
        Ok(if is_latest { name.to_string() } else { format!("{name}:{}", stem(&file)) })
    }

    /// Loads the backbone on a device.
    pub fn backbone<B: Backend>(&self, device: &B::Device) -> Result<Backbone<B>> {
        Ok(self.backbone.init(device))
    }

    /// Whether a head was trained on the backbone whose output is the embedding of an image: that of metric learning.
    pub fn has_embedding(&self) -> bool {
        !self.foreign && self.weights.has_prefix(EMBEDDING)
    }

    /// Loads the backbone on a device, and the embedding head if that is wanted and there is one.
    ///
    /// # Errors
    /// If the tensors of the head are damaged.
    pub fn embedder<B: Backend>(&self, space: Space, device: &B::Device) -> Result<Embedder<B>> {
        let head = match space {
            Space::Features => None,
            Space::Embedding => self.embedding_head(device)?,
        };
        Ok(Embedder::new(self.backbone(device)?, head))
    }

    /// Loads the embedding head on a device, if there is one.
    ///
    /// # Errors
    /// If its tensors are damaged.
    pub fn embedding_head<B: Backend>(&self, device: &B::Device) -> Result<Option<EmbeddingHead<B>>> {
        if !self.has_embedding() {
            return Ok(None);
        }
        let output = self.weights.shape(&format!("{EMBEDDING}.bias")).map_or(1, |shape| shape.iter().product());
        let head = EmbeddingHeadConfig::new(self.recipe.backbone.feature_dim(), output).init::<B>(0, device);
        Ok(Some(self.weights.load_into(head, EMBEDDING)?))
    }

    /// The class names of the classifier, if there is one.
    pub fn classifier_classes(&self) -> Option<&[String]> {
        self.classes.as_deref().filter(|_| self.weights.has_prefix("classifier"))
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
            let results = serde_json::Value::Object(records::results(&records::results_file(path))?);
            let latest = latest(path)?;
            match results[stage]["checkpoint"].as_str() {
                Some(name) if results[stage]["epoch"] == latest.epoch => path.join(name),
                Some(name) => {
                    return Err(LabError::Usage(format!(
                        "the linear probe of {} is of epoch {}, and the run is at {}: run `qare probe --checkpoint \
                         {0}` first, or name the file to test ({name})",
                        path.printable(),
                        results[stage]["epoch"],
                        latest.epoch
                    )));
                }
                // The weights of a supervised run contain a classifier.
                None if stage == "probe" => path.join(latest.weights),
                None => {
                    return Err(LabError::Usage(format!(
                        "{} has no classifier for the stage `{stage}`: run `qare probe --checkpoint {0}{}` first",
                        path.printable(),
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
                path.printable()
            ))),
            (false, false) => Err(LabError::Usage(format!(
                "{} has no classifier: run `qare probe --checkpoint {0}` first, and test the file that it writes",
                file.printable()
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
            file.printable()
        )));
    };
    let found = weights.find_backbone(stated.backbone)?;
    info!("{}: {found}", file.printable());
    let method = stated.method.map_or(Recipe::default().method, MethodName::from);
    Ok((Recipe { dataset, backbone: found.name(), method, ..Default::default() }, found))
}

/// Returns the last finished epoch of the run in a folder.
///
/// # Errors
/// If there is none.
pub(super) fn latest(folder: &Path) -> Result<Latest> {
    records::latest(folder)?.ok_or_else(|| {
        let problem = if folder.join("recipe.toml").is_file() {
            "its training has not finished the first epoch; `qare pretrain --resume` resumes it".to_string()
        } else {
            match &runs_in(folder)[..] {
                [] => "it is not a run folder".to_string(),
                [run, others @ ..] => {
                    format!(
                        "it is not a run folder but holds {} of them: give one, such as {}",
                        1 + others.len(),
                        run.printable()
                    )
                }
            }
        };
        LabError::Usage(format!("{} has no finished epoch: {problem}", folder.printable()))
    })
}

/// Returns the run folders in a folder, sorted.
fn runs_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut runs: Vec<PathBuf> = entries.filter(|path| path.join("recipe.toml").is_file()).collect();
    runs.sort();
    runs
}
