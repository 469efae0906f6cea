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
use crate::images::is_other_folder;
use crate::precision::Precision;
use crate::printable_path::PrintablePath;
use crate::progress::{OnProgress, ignore};
use crate::recipe::Recipe;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::files::folder_of;
use crate::runs::{files, records};
use crate::training::TrainOptions;

/// Loss and accuracy of a classifier.
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    /// Mean cross entropy.
    pub loss: f64,
    /// Accuracy in percent.
    pub accuracy: f64,
}

/// The result of a linear probe or of fine-tuning.
pub struct ProbeResult<B: Backend> {
    /// The backbone, frozen or fine-tuned.
    pub backbone: Backbone<B>,
    /// The classifier on its features.
    pub classifier: LinearClassifier<B>,
    /// Loss and accuracy on the training split.
    pub train: Evaluation,
    /// Loss and accuracy on the test split.
    pub test: Evaluation,
    /// kNN accuracy of the test split in percent, with the training split as the bank.
    pub knn: f64,
}

/// Options of a probe besides its recipe and its images.
pub struct ProbeOptions<'a, B: Backend> {
    /// Receives the progress of a linear probe.
    pub on_progress: OnProgress<'a>,
    /// Options of fine-tuning.
    pub training: TrainOptions<'a, B>,
    /// The run folder of fine-tuning while it trains.
    pub tuning_folder: PathBuf,
}

impl<B: Backend> ProbeOptions<'_, B> {
    /// Options without progress reports and renderer.
    pub fn silent(tuning_folder: &Path) -> Self {
        Self { on_progress: &ignore, training: TrainOptions::default(), tuning_folder: tuning_folder.to_path_buf() }
    }
}

/// Trains and evaluates a linear classifier on the frozen features of both splits, which are computed once; or fine-tunes the
/// backbone together with a classifier. Fine-tuning uses all devices, everything else the first one.
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

/// Computes loss and accuracy of a classifier on features.
pub fn evaluate<B: Backend>(classifier: &LinearClassifier<B>, features: &Features, device: &B::Device) -> Evaluation {
    let logits = classifier.forward(features.tensor(device)); // [N, classes]
    let targets = labels::<B>(features, device);
    let predicted = logits.clone().argmax(1).squeeze_dim(1);
    let correct = predicted.equal(targets.clone()).int().sum().into_scalar().to_i64();
    let loss = CrossEntropyLossConfig::new().init(device).forward(logits, targets);
    Evaluation { loss: loss.into_scalar().to_f64(), accuracy: 100.0 * correct as f64 / features.len() as f64 }
}

/// The output files of a probe.
pub struct ProbeTarget {
    /// File of the backbone and the classifier.
    weights: PathBuf,
    /// File of the figures of the probe, of kNN, and of tests of the classifier.
    results: PathBuf,
}

impl ProbeTarget {
    /// Returns the path of the file of backbone and classifier.
    pub fn weights(&self) -> &Path {
        &self.weights
    }

    /// Returns the run folder of fine-tuning: the path of the weights without its extension.
    pub fn tuning_folder(&self) -> PathBuf {
        self.weights.with_extension("")
    }

    /// Returns `output` and a results file beside it; without `output`, files beside the weights that are probed.
    ///
    /// The checks run before the training, so that no training is lost.
    ///
    /// # Errors
    /// If `output` is not the name of a `.safetensors` file, the folder is not writable, or the disk has too little space.
    pub fn of(checkpoint: &Checkpoint, recipe: &Recipe, output: Option<&Path>) -> Result<Self> {
        let target = match output {
            Some(output) if extension(output) != "safetensors" => {
                return Err(LabError::Usage(format!(
                    "--output {}: expected a name that ends in .safetensors",
                    output.printable()
                )));
            }
            Some(output) => {
                writable("--output", output)?;
                is_another("--output", output, checkpoint)?;
                Self { weights: output.to_path_buf(), results: output.with_extension("results.json") }
            }
            None if is_other_folder(&checkpoint.recipe, recipe) => {
                return Err(LabError::Usage(format!(
                    "{} was trained on the images in {}, and the probe is for the images in {}: name an output file with \
                     --output FILE.safetensors; the file beside the weights is for a probe of their own images",
                    checkpoint.file.printable(),
                    checkpoint.recipe.data_dir.as_deref().unwrap_or(Path::new("")).printable(),
                    recipe.data_dir.as_deref().unwrap_or(Path::new("")).printable()
                )));
            }
            None => Self {
                weights: probe_path(&checkpoint.file, recipe, checkpoint.foreign),
                results: checkpoint.results_file(),
            },
        };
        let folder = folder_of(&target.weights);
        files::check_writable(&target.weights).map_err(|error| {
            LabError::Usage(format!(
                "the folder {} is not writable ({error}): name another place with --output FILE.safetensors",
                folder.printable()
            ))
        })?;
        files::check_space(folder, checkpoint.weight_bytes())?;
        Ok(target)
    }
}

/// A probe of a checkpoint, not yet saved.
pub struct Probed<'a, B: Backend> {
    /// Classifier, losses and accuracies.
    pub result: ProbeResult<B>,
    /// Number of neighbours of the kNN accuracy.
    pub neighbours: usize,
    /// Duration of the probe in seconds.
    pub seconds: f64,
    checkpoint: &'a Checkpoint,
    recipe: &'a Recipe,
    target: &'a ProbeTarget,
    classes: &'a [String],
}

/// Trains a linear probe on a checkpoint, or fine-tunes the checkpoint.
///
/// # Errors
/// If the checkpoint is fine-tuned already, and the errors of [`evaluate_backbone`].
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
            "{} is fine-tuned: probe the weights that the fine-tuning started from",
            checkpoint.file.printable()
        )));
    }
    let classes = splits.train.class_names();
    if let Some(trained) = checkpoint.classes.as_deref().filter(|trained| *trained != classes)
        && recipe.probed() == recipe.dataset
    {
        info!(
            "note: {}; the classifier learns the classes of these images",
            labels::difference("the backbone was trained on images of", trained, "these images are of", classes)
        );
    }
    let backbone = checkpoint.backbone::<B>(&devices[0])?;
    let result = evaluate_backbone::<B>(backbone, splits, recipe, devices, options)?;
    let neighbours = recipe.knn.neighbours.min(splits.train.len());
    let seconds = started.elapsed().as_secs_f64();
    Ok(Probed { result, neighbours, seconds, checkpoint, recipe, target, classes })
}

impl<B: Backend> Probed<'_, B> {
    /// Writes backbone and classifier to the weights file, and the figures to the results file.
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
        records::record(&target.results, [(stage("probe")?, probed), (stage("knn")?, nearest)])?;
        if recipe.probe.finetune {
            discard(&target.tuning_folder());
        }
        Ok(())
    }
}

/// Returns the settings that a probe's figures depend on besides the weights.
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
    // The key is present only if the recipe sets a size.
    if let Some(size) = recipe.image_size {
        settings["image_size"] = json!(size);
    }
    // The key is absent for f32, so that figures recorded before this setting existed still match.
    if recipe.precision != Precision::F32 {
        settings["precision"] = json!(recipe.precision);
    }
    settings
}

/// Returns the default file for the probe of some weights.
fn probe_path(weights: &Path, recipe: &Recipe, foreign: bool) -> PathBuf {
    let stem = name_of_probed(weights, foreign);
    let suffix = if recipe.probe.finetune { TUNED } else { PROBED };
    let dataset = if recipe.probed() == recipe.dataset { String::new() } else { format!("_{}", recipe.probed()) };
    weights.with_file_name(format!("{stem}{suffix}{dataset}.safetensors"))
}

/// Returns the prefix of the names of files derived from some weights: the file name without its extension.
///
/// Files of other programs keep the extension, so that the probes of `m.pt` and `m.pth` have different names; only `.tar` is
/// removed, as in the paper's repository.
pub fn name_of_probed(weights: &Path, foreign: bool) -> String {
    let name = weights.file_name().expect("a file has a name").to_string_lossy();
    let derived_from = [PROBED, TUNED].iter().find_map(|suffix| name.split_once(suffix).map(|(start, _)| start));
    let stem = || weights.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    match derived_from {
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
    fn each_probe_of_a_run_has_its_own_name() {
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
