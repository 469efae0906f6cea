//! Stage 2: a linear classifier on frozen features, or fine-tuning.

use std::path::{Path, PathBuf};

use burn::module::AutodiffModule;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::backend::Backend;
use burn::tensor::cast::ToElement;
use burn::tensor::{Int, Tensor, TensorData};
use log::info;
use qare_data::{DatasetName, Splits};
use qare_models::replicas::ReplicaBackend;
use qare_models::{Backbone, LinearClassifier, named_tensors};
use serde_json::json;

use super::features::{self, Features};
use super::finetune::{BACKBONE_RATE, CLASSIFIER_RATE, discard, finetune};
use super::{knn, labels, softmax_regression};
use crate::error::{LabError, Result};
use crate::export::{extension, is_another, writable};
use crate::precision::Precision;
use crate::progress::{OnProgress, ignore};
use crate::recipe::Recipe;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::files::folder_of;
use crate::runs::{files, run_folder};
use crate::training::TrainOptions;

/// Loss (mean cross entropy) and accuracy (percent).
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// Mean cross entropy.
    pub loss: f64,
    /// Percent.
    pub accuracy: f64,
}

/// What the features of a backbone are worth.
pub struct ProbeResult<B: Backend> {
    /// As it was, or fine-tuned.
    pub backbone: Backbone<B>,
    /// What tells the classes by its features.
    pub classifier: LinearClassifier<B>,
    /// On the training split.
    pub train: Evaluation,
    /// On the test split.
    pub test: Evaluation,
    /// Accuracy in percent of the test split's nearest neighbours in the training split.
    pub knn: f64,
}

/// What a probe depends on besides its recipe and its images.
pub struct ProbeOptions<'a, B: Backend> {
    /// Hears how far a linear probe is.
    pub on_progress: OnProgress<'a>,
    /// Of fine-tuning.
    pub training: TrainOptions<'a, B>,
    /// Where a fine-tuning keeps its state while it goes on.
    pub tuning_folder: PathBuf,
}

impl<B: Backend> ProbeOptions<'_, B> {
    /// Of a probe that nobody watches; a fine-tuning keeps its state in this folder.
    pub fn silent(tuning_folder: &Path) -> Self {
        Self { on_progress: &ignore, training: TrainOptions::default(), tuning_folder: tuning_folder.to_path_buf() }
    }
}

/// Computes the features of both splits once, and trains and evaluates a classifier on them; or fine-tunes the backbone
/// together with one, and evaluates both. Fine-tuning takes all the devices, all else the first.
///
/// # Errors
/// If images cannot be loaded in batches, or fine-tuning fails.
pub fn evaluate_backbone<B: ReplicaBackend>(
    backbone: Backbone<B>,
    splits: &Splits,
    recipe: &Recipe,
    devices: &[B::Device],
    options: ProbeOptions<'_, B>,
) -> Result<ProbeResult<B::InnerBackend>> {
    let device = &devices[0];
    let (backbone, tuned) = if recipe.probe.finetune {
        let folder = &options.tuning_folder;
        let (backbone, classifier) = finetune::<B>(backbone, splits, recipe, folder, devices, options.training)?;
        (backbone, Some(classifier))
    } else {
        (backbone.valid(), None)
    };
    let normalization = recipe.probe_normalization();
    let extract =
        |images| features::extract(&backbone, images, normalization, recipe.precision, recipe.num_workers, device);
    let (train, test) = (extract(&splits.train)?, extract(&splits.test)?);
    let classifier = tuned.unwrap_or_else(|| {
        let (classes, seed) = (splits.train.classes(), recipe.probe_seed());
        softmax_regression::train(&train, classes, &recipe.probe, seed, device, options.on_progress)
    });
    Ok(ProbeResult {
        train: evaluate(&classifier, &train, device),
        test: evaluate(&classifier, &test, device),
        knn: knn::accuracy::<B::InnerBackend>(&train, &test, &recipe.knn, device),
        classifier,
        backbone,
    })
}

fn labels<B: Backend>(features: &Features, device: &B::Device) -> Tensor<B, 1, Int> {
    let labels: Vec<i64> = features.labels.iter().map(|label| i64::from(*label)).collect();
    Tensor::from_data(TensorData::new(labels, [features.len()]), device)
}

/// Loss and accuracy of a classifier on features.
pub fn evaluate<B: Backend>(classifier: &LinearClassifier<B>, features: &Features, device: &B::Device) -> Evaluation {
    let logits = classifier.forward(features.tensor(device)); // [N, classes]
    let targets = labels::<B>(features, device);
    let predicted = logits.clone().argmax(1).squeeze_dim(1);
    let correct = predicted.equal(targets.clone()).int().sum().into_scalar().to_i64();
    let loss = CrossEntropyLossConfig::new().init(device).forward(logits, targets);
    Evaluation { loss: loss.into_scalar().to_f64(), accuracy: 100.0 * correct as f64 / features.len() as f64 }
}

/// Where a probe and its figures go.
pub struct ProbeTarget {
    /// Backbone and classifier.
    weights: PathBuf,
    /// Figures of the probe, of kNN, and of tests of its classifier.
    results: PathBuf,
}

impl ProbeTarget {
    /// The file of backbone and classifier.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    /// Where a fine-tuning keeps its state while it goes on: a folder of the weights' name.
    pub fn tuning_folder(&self) -> PathBuf {
        self.weights.with_extension("")
    }

    /// A file that the call names and one for its figures; or files beside the weights that are probed.
    ///
    /// # Errors
    /// If files cannot be made there, or do not fit: an hour of training would have been for nothing.
    pub fn of(checkpoint: &Checkpoint, recipe: &Recipe, output: Option<&Path>) -> Result<Self> {
        let target = match output {
            Some(output) if extension(output) != "safetensors" => {
                return Err(LabError::Usage(format!(
                    "--output {}: expected a name that ends in .safetensors",
                    output.display()
                )));
            }
            Some(output) => {
                writable(output)?;
                is_another(output, checkpoint)?;
                Self { weights: output.to_path_buf(), results: output.with_extension("results.json") }
            }
            None if other_images(checkpoint, recipe) => {
                return Err(LabError::Usage(format!(
                    "{} was trained on the images in {}, and this is to be a classifier for those in {}: name a file for it with \
                     --output FILE.safetensors, for beside the weights is the place of one for their own images",
                    checkpoint.file.display(),
                    checkpoint.recipe.data_dir.as_deref().unwrap_or(Path::new("")).display(),
                    recipe.data_dir.as_deref().unwrap_or(Path::new("")).display()
                )));
            }
            None => Self {
                weights: probe_path(&checkpoint.file, recipe, checkpoint.foreign),
                results: checkpoint.results_file(),
            },
        };
        let folder = folder_of(&target.weights);
        files::check_writable(folder).map_err(|error| {
            LabError::Usage(format!(
                "nothing can be written in {} ({error}): name another place with --output FILE.safetensors",
                folder.display()
            ))
        })?;
        files::check_space(folder, checkpoint.weight_bytes())?;
        Ok(target)
    }
}

/// A probe of a checkpoint, not yet saved.
pub struct Probed<'a, B: Backend> {
    /// What it found.
    pub result: ProbeResult<B>,
    /// Neighbours that the kNN accuracy asked.
    pub neighbours: usize,
    /// How long it took.
    pub seconds: f64,
    checkpoint: &'a Checkpoint,
    recipe: &'a Recipe,
    target: &'a ProbeTarget,
    classes: &'a [String],
}

/// Trains the linear probe of a checkpoint, or fine-tunes it.
///
/// # Errors
/// If the checkpoint is fine-tuned already, and those of [`evaluate_backbone`].
pub fn probe<'a, B: ReplicaBackend>(
    checkpoint: &'a Checkpoint,
    recipe: &'a Recipe,
    splits: &'a Splits,
    devices: &[B::Device],
    target: &'a ProbeTarget,
    options: ProbeOptions<'_, B>,
) -> Result<Probed<'a, B::InnerBackend>> {
    let started = std::time::Instant::now();
    if checkpoint.recipe.probe.finetune && checkpoint.weights.has_prefix("classifier") {
        return Err(LabError::Usage(format!(
            "{} is fine-tuned: probe the weights that it was tuned from",
            checkpoint.file.display()
        )));
    }
    let classes = splits.train.class_names();
    if let Some(trained) = checkpoint.classes.as_deref().filter(|trained| *trained != classes)
        && recipe.probed() == recipe.dataset
    {
        info!(
            "note: {}; the classifier is for those of these images",
            labels::difference("the backbone was trained on images of", trained, "these are of", classes)
        );
    }
    let backbone = checkpoint.backbone::<B>(&devices[0])?;
    let result = evaluate_backbone::<B>(backbone, splits, recipe, devices, options)?;
    let neighbours = recipe.knn.neighbours.min(splits.train.len());
    let seconds = started.elapsed().as_secs_f64();
    Ok(Probed { result, neighbours, seconds, checkpoint, recipe, target, classes })
}

impl<B: Backend> Probed<'_, B> {
    /// Writes backbone and classifier to their file, and the figures to theirs.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self) -> Result<()> {
        let Self { result, neighbours, seconds, checkpoint, recipe, target, classes } = self;
        let mut tensors = named_tensors(&result.backbone, "backbone");
        tensors.extend(named_tensors(&result.classifier, "classifier"));
        checkpoint.write_derived(&target.weights, &tensors, recipe, classes)?;
        let file = target.weights.file_name().expect("a file has a name").to_string_lossy();
        let learning_rate = if recipe.probe.finetune {
            json!({ "backbone": BACKBONE_RATE, "classifier": CLASSIFIER_RATE })
        } else {
            json!(recipe.probe.learning_rate)
        };
        let probed = json!({
            "checkpoint": file,
            "epoch": checkpoint.epoch,
            "dataset": recipe.probed(),
            "epochs": recipe.probe.epochs,
            "seed": recipe.probe_seed(),
            "batch_size": recipe.probe.batch_size,
            "learning_rate": learning_rate,
            "settings": settings(recipe),
            "train_accuracy": result.train.accuracy,
            "train_loss": result.train.loss,
            "test_accuracy": result.test.accuracy,
            "test_loss": result.test.loss,
            "seconds": seconds,
        });
        let nearest = json!({ "accuracy": result.knn, "neighbours": neighbours, "epoch": checkpoint.epoch });
        let stage = |name: &str| checkpoint.stage(&recipe.stage(name));
        run_folder::record(&target.results, [(stage("probe")?, probed), (stage("knn")?, nearest)])?;
        if recipe.probe.finetune {
            discard(&target.tuning_folder());
        }
        Ok(())
    }
}

/// Whether a probe is of another folder of images than the weights were trained on, which still is there.
fn other_images(checkpoint: &Checkpoint, recipe: &Recipe) -> bool {
    let folder = |recipe: &Recipe| recipe.data_dir.as_deref().and_then(|dir| dir.canonicalize().ok());
    let both = recipe.probed() == DatasetName::Folder && checkpoint.recipe.dataset == DatasetName::Folder;
    both && folder(&checkpoint.recipe).is_some_and(|own| folder(recipe).is_some_and(|probed| probed != own))
}

/// All that a probe's figures depend on besides the weights.
pub fn settings(recipe: &Recipe) -> serde_json::Value {
    let mut settings = json!({
        "seed": recipe.probe_seed(),
        "probe": recipe.probe,
        "knn": recipe.knn,
        "train_images": recipe.train_images,
        "test_images": recipe.test_images,
    });
    if recipe.probed() == DatasetName::Folder {
        settings["data_dir"] = json!(recipe.data_dir);
    }
    // Few runs have a size of their own; figures of the others say nothing of it.
    if let Some(size) = recipe.image_size {
        settings["image_size"] = json!(size);
    }
    // Figures of runs that could only be in f32 say nothing of it.
    if recipe.precision != Precision::F32 {
        settings["precision"] = json!(recipe.precision);
    }
    settings
}

/// Where the probe of some weights is kept.
fn probe_path(weights: &Path, recipe: &Recipe, foreign: bool) -> PathBuf {
    let stem = name_of_probed(weights, foreign);
    let suffix = if recipe.probe.finetune { TUNED } else { PROBED };
    let elsewhere = match recipe.probed() == recipe.dataset {
        true => String::new(),
        false => format!("_{}", recipe.probed()),
    };
    weights.with_file_name(format!("{stem}{suffix}{elsewhere}.safetensors"))
}

/// What names of things made of some weights begin with: the name of their file without its extension. Files of other
/// programs keep theirs, for `m.pt` and `m.pth` are two; `.tar` goes, as in the paper's repository.
pub fn name_of_probed(weights: &Path, foreign: bool) -> String {
    let name = weights.file_name().expect("a file has a name").to_string_lossy();
    let own = [PROBED, TUNED].iter().find_map(|suffix| name.split_once(suffix).map(|(start, _)| start));
    let stem = || weights.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    match own {
        Some(start) => start.to_string(),
        None if foreign && extension(weights) != "tar" => name.into_owned(),
        None => stem(),
    }
}

const PROBED: &str = "_linear_evaluation";
const TUNED: &str = "_finetuned";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_of_one_run_have_names_of_their_own() {
        let mut recipe = Recipe::default();
        let name = |weights: &str, recipe: &Recipe| {
            let foreign = !weights.contains("epoch_");
            probe_path(Path::new(weights), recipe, foreign).display().to_string()
        };
        assert_eq!(name("a/w_epoch_5.safetensors", &recipe), "a/w_epoch_5_linear_evaluation.safetensors");
        assert_eq!(name("w_linear_evaluation_cifar100.safetensors", &recipe), "w_linear_evaluation.safetensors");
        assert_eq!(name("m.pt", &recipe), "m.pt_linear_evaluation.safetensors");
        assert_eq!(name("m.pth", &recipe), "m.pth_linear_evaluation.safetensors");
        recipe.probe.dataset = Some(DatasetName::Cifar100);
        assert_eq!(name("w.tar", &recipe), "w_linear_evaluation_cifar100.safetensors");
        assert_eq!(recipe.stage("probe"), "probe_cifar100");
        recipe.probe.finetune = true;
        assert_eq!(name("w_linear_evaluation.pt", &recipe), "w_finetuned_cifar100.safetensors");
        assert_eq!(
            (recipe.stage("probe"), recipe.stage("test")),
            ("finetune_cifar100".into(), "test_finetune_cifar100".into())
        );
    }
}
