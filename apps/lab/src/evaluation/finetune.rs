//! Fine-tuning: backbone and classifier learn from labels together, in the loop that everything trains in.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use burn::tensor::backend::Backend;
use log::info;
use qare_data::{Augmentation, DatasetName, RandomErasing, Splits, ViewBatch};
use qare_models::replicas::ReplicaBackend;
use qare_models::{Backbone, LinearClassifier, NamedTensor, StateDict, WeightsError, named_tensors};

use super::labels;
use crate::error::{LabError, Result};
use crate::methods::{Facts, Figure, MethodName, Plan, Pretext, Standard, StepLoss};
use crate::recipe::{ProbeRecipe, Recipe};
use crate::runs::checkpoint::{Checkpoint, Stated};
use crate::runs::lock::Lock;
use crate::runs::open_run::{Existing, OpenRun};
use crate::runs::run_folder::RunFolder;
use crate::runs::run_record::RunRecord;
use crate::training::optimizer::Rule;
use crate::training::{TrainOptions, train};

/// Rates of Adam at the start; both are divided by ten after half and three quarters of the epochs.
pub const BACKBONE_RATE: f64 = 1e-3;
/// That of the classifier.
pub const CLASSIFIER_RATE: f64 = 1e-4;
const DROPS: [f64; 2] = [0.5, 0.75];
const WEIGHT_DECAY: f32 = 1e-5;

/// What the run of a fine-tuning calls its method.
const NAME: &str = "finetune";

/// Supervised training of a backbone that is trained already, with rates of its own.
#[derive(Module, Debug)]
pub struct FineTuning<B: Backend> {
    supervised: Standard<B>,
}

impl<B: Backend> Pretext<B> for FineTuning<B> {
    fn plan(recipe: &Recipe) -> Plan {
        let augmentation = if recipe.probe.augment { affine(recipe.dataset) } else { Augmentation::None };
        Plan {
            labelled: true,
            rule: Rule::Adam { weight_decay: WEIGHT_DECAY },
            backbone_rate: BACKBONE_RATE / CLASSIFIER_RATE,
            drops: &DROPS,
            ..Plan::new(augmentation, 1).with_figures([Figure::accuracy("Accuracy")])
        }
    }

    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self> {
        Ok(Self { supervised: Standard::new(recipe, facts, device)? })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        self.supervised.forward(backbone, batch)
    }

    fn weights(&self) -> Vec<NamedTensor> {
        self.supervised.weights()
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { supervised: self.supervised.load(weights)? })
    }
}

/// Affine views, with an erased square where the reference knows one of a size that suits the dataset.
pub fn affine(dataset: DatasetName) -> Augmentation {
    let erase = match dataset {
        DatasetName::Stl10 => Some(RandomErasing::STL10),
        DatasetName::Cifar100 | DatasetName::Supercifar100 => Some(RandomErasing::CIFAR100),
        DatasetName::Cifar10 => Some(RandomErasing::CIFAR10),
        // The reference has no size for the others.
        _ => None,
    };
    Augmentation::Affine { erase }
}

/// A backbone and the classifier it was tuned with.
pub type Tuned<B> = (Backbone<B>, LinearClassifier<B>);

/// Trains a backbone and a new classifier on labelled images.
///
/// While it trains, `folder` is its run folder. A fine-tuning that was stopped goes on there. What is done with goes with
/// [`discard`].
///
/// # Errors
/// If another fine-tuning is there, and those of [`train`].
pub fn finetune<B: ReplicaBackend>(
    backbone: Backbone<B>,
    splits: &Splits,
    recipe: &Recipe,
    folder: &Path,
    devices: &[B::Device],
    options: TrainOptions<'_, B>,
) -> Result<Tuned<B::InnerBackend>> {
    let run_recipe = recipe_of(recipe, &backbone);
    let folder = RunFolder::at(folder, &run_recipe);
    // What is there is looked at, and perhaps cleared away, only by who holds the lock.
    let lock = Lock::of_run(folder.path(), "wait for it or stop it")?;
    let existing = settled(&folder, &run_recipe, splits)?;
    let run = OpenRun::locked(folder.clone(), lock, &run_recipe, existing)?;
    let options = TrainOptions { backbone: Some(backbone), ..options };
    train::<B, FineTuning<B>>(&run, splits, devices, options).map_err(|error| match error {
        LabError::Interrupted(_) => LabError::Interrupted(format!("interrupted; {}", hint(folder.path()))),
        error => error,
    })?;
    let tuned = Checkpoint::of_run_or_file(folder.path(), &Stated::default())?;
    let device = &devices[0];
    Ok((tuned.backbone(device)?, tuned.classifier(splits.train.classes(), device)?))
}

/// What a person can do whose fine-tuning in this folder was stopped.
pub fn hint(folder: &Path) -> String {
    format!("the same command goes on after the last whole epoch, kept in {}", folder.display())
}

/// Whether a fine-tuning that is in its folder already goes on, or another takes its place.
///
/// # Errors
/// If the one there is damaged, or has whole epochs and is another one.
fn settled(folder: &RunFolder, recipe: &Recipe, splits: &Splits) -> Result<Existing> {
    let path = folder.path().display();
    let found = folder.recipe().and_then(|there| Ok((there, folder.latest()?, RunRecord::read(folder)?)));
    let damaged = |_| {
        LabError::Failed(format!(
            "the state of a fine-tuning in {path} is damaged; nothing was changed: delete that folder, and the same command \
             begins anew"
        ))
    };
    let (Some(there), Some(latest), record) = found.map_err(damaged)? else {
        let began = folder.recipe().is_ok_and(|recipe| recipe.is_some());
        if began && folder.latest_weights().is_some_and(|epoch| epoch > 1) {
            return Err(damaged(LabError::failed("")));
        }
        if !began && folder.has_only_own_files() {
            // What is left of one that is done.
            let _ = std::fs::remove_dir_all(folder.path());
        }
        return Ok(Existing::Overwrite);
    };
    let mut differences = recipe.differences(&there);
    if there.epochs != recipe.epochs {
        differences.push(format!("epochs = {} (it has {})", recipe.epochs, there.epochs));
    }
    if there.id != recipe.id {
        differences.push("it starts from other weights".into());
    }
    if record.is_some_and(|record| record.classes.is_some() && record.classes != labels::names(&splits.train)) {
        differences.push("it learns other classes".into());
    }
    if differences.is_empty() {
        return Ok(Existing::Resume);
    }
    Err(LabError::Usage(format!(
        "{path} holds another fine-tuning, at epoch {} of {}: {}; nothing was changed: go on with it as it was called, or \
         delete that folder to begin this one",
        latest.epoch,
        there.epochs,
        differences.join(", ")
    )))
}

/// The recipe of a fine-tuning's own run. It is named after the weights that it starts from: others would make another run.
fn recipe_of<B: Backend>(recipe: &Recipe, backbone: &Backbone<B>) -> Recipe {
    let mut hasher = crc32fast::Hasher::new();
    for tensor in named_tensors(backbone, "") {
        tensor.values.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
    }
    Recipe {
        method: MethodName::Own(NAME.into()),
        dataset: recipe.probed(),
        seed: recipe.probe_seed(),
        epochs: recipe.probe.epochs,
        batch_size: recipe.probe.batch_size,
        learning_rate: CLASSIFIER_RATE,
        checkpoint: None,
        id: Some(format!("{:08x}", hasher.finalize())),
        probe: ProbeRecipe { dataset: None, seed: None, ..recipe.probe.clone() },
        ..recipe.clone()
    }
}

/// Deletes the folder of a fine-tuning whose weights are kept elsewhere, but for its log, which goes beside it.
pub fn discard(folder: &Path) {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(".log.csv");
    let log = folder.with_file_name(name);
    if std::fs::rename(folder.join("log.csv"), &log).is_ok() {
        info!("its losses, epoch by epoch, are in {}", log.display());
    }
    // Deleting takes a while, in which the process may be killed: what is left must not look like a fine-tuning.
    let _ = std::fs::remove_file(folder.join("latest.json"));
    let _ = std::fs::remove_file(folder.join("recipe.toml"));
    let _ = std::fs::remove_dir_all(folder);
}
