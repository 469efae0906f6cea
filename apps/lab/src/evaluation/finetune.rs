//! Fine-tuning: supervised training of backbone and classifier together, in the loop of [`train`].

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use burn::tensor::backend::Backend;
use log::info;
use qare_data::{AugmentOn, Augmentation, DatasetName, RandomErasing, Splits, ViewBatch};
use qare_models::replicas::ReplicaBackend;
use qare_models::{Backbone, LinearClassifier, NamedTensor, StateDict, WeightsError, named_tensors};

use super::labels;
use crate::error::{LabError, Result};
use crate::methods::{Facts, Figure, MethodName, Plan, Pretext, Standard, StepLoss};
use crate::printable_path::PrintablePath;
use crate::recipe::{ProbeRecipe, Recipe};
use crate::runs::checkpoint::{Checkpoint, Stated};
use crate::runs::lock::Lock;
use crate::runs::open_run::{Existing, OpenRun};
use crate::runs::run_folder::RunFolder;
use crate::runs::run_record::RunRecord;
use crate::training::optimizer::Rule;
use crate::training::{TrainOptions, train};

/// Initial learning rate of the backbone. Both rates are divided by ten after half and three quarters of the epochs.
pub const BACKBONE_RATE: f64 = 1e-3;
/// Initial learning rate of the classifier.
pub const CLASSIFIER_RATE: f64 = 1e-4;
const DROPS: [f64; 2] = [0.5, 0.75];
const WEIGHT_DECAY: f32 = 1e-5;

/// Method name in the recipe of a fine-tuning run.
const NAME: &str = "finetune";

/// Supervised training of a pretrained backbone, with its own learning rates for backbone and classifier.
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

/// Returns the affine augmentation, with random erasing for the datasets for which the reference sets a size.
pub fn affine(dataset: DatasetName) -> Augmentation {
    let erase = match dataset {
        DatasetName::Stl10 => Some(RandomErasing::STL10),
        DatasetName::Cifar100 | DatasetName::Supercifar100 => Some(RandomErasing::CIFAR100),
        DatasetName::Cifar10 => Some(RandomErasing::CIFAR10),
        // The reference sets no size for the other datasets.
        _ => None,
    };
    Augmentation::Affine { erase }
}

/// A fine-tuned backbone and its classifier.
pub type Tuned<B> = (Backbone<B>, LinearClassifier<B>);

/// Trains a backbone and a new classifier on labelled images.
///
/// `folder` is the run folder of the fine-tuning. An interrupted fine-tuning resumes from it. Once the weights are saved
/// elsewhere, [`discard`] deletes it.
///
/// # Errors
/// If the folder holds a different fine-tuning, and the errors of [`train`].
pub fn finetune<B: ReplicaBackend>(
    backbone: Backbone<B>,
    splits: &Splits,
    recipe: &Recipe,
    folder: &Path,
    devices: &[B::Device],
    options: TrainOptions<'_, B>,
) -> Result<Tuned<B::InnerBackend>> {
    let run_recipe = tuning_recipe(recipe, &backbone);
    let folder = RunFolder::at(folder, &run_recipe);
    // The check may delete a finished fine-tuning, so it needs the lock.
    let lock = Lock::of_run(folder.path(), "wait for it or stop it")?;
    let existing = check_existing(&folder, &run_recipe, splits)?;
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

/// Returns the advice for a user whose fine-tuning in this folder was interrupted.
pub fn hint(folder: &Path) -> String {
    format!("the same command resumes after the last finished epoch, saved in {}", folder.printable())
}

/// Returns whether to resume the fine-tuning in a folder or to start a new one there. Deletes the rest of a finished one.
///
/// # Errors
/// If the fine-tuning in the folder is damaged, or differs from this one and has finished epochs.
fn check_existing(folder: &RunFolder, recipe: &Recipe, splits: &Splits) -> Result<Existing> {
    let path = folder.path().printable();
    let found = folder.recipe().and_then(|existing| Ok((existing, folder.latest()?, RunRecord::read(folder)?)));
    let damaged = |_| {
        LabError::Failed(format!(
            "the state of the fine-tuning in {path} is damaged; nothing was changed: to start again, delete that folder and \
             repeat the command"
        ))
    };
    let (Some(existing), Some(latest), record) = found.map_err(damaged)? else {
        let has_recipe = folder.recipe().is_ok_and(|recipe| recipe.is_some());
        if has_recipe && folder.latest_weights().is_some_and(|epoch| epoch > 1) {
            return Err(damaged(LabError::failed("")));
        }
        if !has_recipe && folder.has_only_own_files() {
            // The rest of a finished fine-tuning, see `discard`.
            let _ = std::fs::remove_dir_all(folder.path());
        }
        return Ok(Existing::Overwrite);
    };
    let mut differences = recipe.differences(&existing);
    if existing.epochs != recipe.epochs {
        differences.push(format!("epochs = {} (it has {})", recipe.epochs, existing.epochs));
    }
    if existing.id != recipe.id {
        differences.push("it started from different weights".into());
    }
    if record.is_some_and(|record| record.classes.is_some() && record.classes != labels::names(&splits.train)) {
        differences.push("it has different classes".into());
    }
    if differences.is_empty() {
        return Ok(Existing::Resume);
    }
    Err(LabError::Usage(format!(
        "{path} holds another fine-tuning, at epoch {} of {}: {}; nothing was changed: resume it with its own settings, or \
         delete that folder to start a new one",
        latest.epoch,
        existing.epochs,
        differences.join(", ")
    )))
}

/// Returns the recipe of the fine-tuning run. Its `id` is a checksum of the initial weights, so that different weights make a
/// different run.
fn tuning_recipe<B: Backend>(recipe: &Recipe, backbone: &Backbone<B>) -> Recipe {
    let mut hasher = crc32fast::Hasher::new();
    for tensor in named_tensors(backbone, "") {
        tensor.values.iter().for_each(|value| hasher.update(&value.to_le_bytes()));
    }
    Recipe {
        method: MethodName::Custom(NAME.into()),
        dataset: recipe.probed(),
        seed: recipe.probe_seed(),
        epochs: recipe.probe.epochs,
        batch_size: recipe.probe.batch_size,
        learning_rate: CLASSIFIER_RATE,
        checkpoint: None,
        // Its views are not contrastive.
        augment_on: AugmentOn::Host,
        id: Some(format!("{:08x}", hasher.finalize())),
        logger: Vec::new(),
        probe: ProbeRecipe { dataset: None, seed: None, ..recipe.probe.clone() },
        ..recipe.clone()
    }
}

/// Deletes the folder of a fine-tuning whose weights are saved elsewhere. Its log is kept beside the folder.
pub fn discard(folder: &Path) {
    let mut name = folder.file_name().unwrap_or_default().to_os_string();
    name.push(".log.csv");
    let log = folder.with_file_name(name);
    if std::fs::rename(folder.join("log.csv"), &log).is_ok() {
        info!("the losses of each epoch are in {}", log.printable());
    }
    // The process may be killed while it deletes. These two files go first, so that the rest does not look like a fine-tuning.
    let _ = std::fs::remove_file(folder.join("latest.json"));
    let _ = std::fs::remove_file(folder.join("recipe.toml"));
    let _ = std::fs::remove_dir_all(folder);
}
