//! Stage 2: a linear classifier on frozen features, or fine-tuning.

use std::path::Path;

use burn::module::AutodiffModule;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::cast::ToElement;
use burn::tensor::{Int, Tensor, TensorData};
use qare_data::Splits;
use qare_models::{Backbone, LinearClassifier, named_tensors};
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::error::{AppError, Result};
use crate::features::{self, Features};
use crate::files::say;
use crate::finetune::{BACKBONE_RATE, CLASSIFIER_RATE, finetune};
use crate::precision::Precision;
use crate::progress::duration;
use crate::recipe::Recipe;
use crate::{knn, run_folder, softmax_regression};

/// Loss (mean cross entropy) and accuracy (percent).
#[derive(Clone, Copy, Debug)]
pub struct Evaluation {
    pub loss: f64,
    pub accuracy: f64,
}

/// What the features of a backbone are worth.
pub struct ProbeResult<B: Backend> {
    /// As it was, or fine-tuned.
    pub backbone: Backbone<B>,
    pub classifier: LinearClassifier<B>,
    pub train: Evaluation,
    pub test: Evaluation,
    /// Accuracy in percent of the test split's nearest neighbours in the training split.
    pub knn: f64,
}

/// Computes the features of both splits once, and trains and evaluates a classifier on them; or fine-tunes the backbone
/// together with one, and evaluates both.
pub fn evaluate_backbone<B: AutodiffBackend>(
    backbone: Backbone<B>,
    splits: &Splits,
    recipe: &Recipe,
    device: &B::Device,
) -> Result<ProbeResult<B::InnerBackend>> {
    let (backbone, tuned) = match recipe.probe.finetune {
        true => {
            let (backbone, classifier) = finetune::<B>(backbone, &splits.train, recipe, device)?;
            (backbone, Some(classifier))
        }
        false => (backbone.valid(), None),
    };
    let normalization = recipe.probed().normalization();
    let extract =
        |images| features::extract(&backbone, images, normalization, recipe.precision, recipe.num_workers, device);
    let (train, test) = (extract(&splits.train)?, extract(&splits.test)?);
    let classifier = tuned.unwrap_or_else(|| {
        softmax_regression::train(&train, splits.train.classes(), &recipe.probe, recipe.probe_seed(), device)
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

/// Trains the linear probe of a checkpoint, or fine-tunes it, saves that beside, and prints, records and returns what it found.
pub fn probe<B: AutodiffBackend>(
    checkpoint: &Checkpoint,
    recipe: &Recipe,
    splits: &Splits,
    device: &B::Device,
) -> Result<ProbeResult<B::InnerBackend>> {
    let started = std::time::Instant::now();
    if checkpoint.recipe.probe.finetune && checkpoint.weights.has_prefix("classifier") {
        return Err(AppError::Usage(format!(
            "{} is fine-tuned: probe the weights that it was tuned from",
            checkpoint.file.display()
        )));
    }
    let backbone = checkpoint.backbone::<B>(device)?;
    let result = evaluate_backbone::<B>(backbone, splits, recipe, device)?;

    let mut tensors = named_tensors(&result.backbone, "backbone");
    tensors.extend(named_tensors(&result.classifier, "classifier"));
    let path = probe_path(&checkpoint.file, recipe);
    checkpoint.write_beside(&path, &tensors, recipe)?;
    let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    let figures = json!({
        "checkpoint": name,
        "epoch": checkpoint.epoch,
        "dataset": recipe.probed(),
        "epochs": recipe.probe.epochs,
        "seed": recipe.probe_seed(),
        "data_size": recipe.probe.data_size,
        "learning_rate": match recipe.probe.finetune {
            true => json!({ "backbone": BACKBONE_RATE, "classifier": CLASSIFIER_RATE }),
            false => json!(recipe.probe.learning_rate),
        },
        "settings": settings(recipe),
        "train_accuracy": result.train.accuracy,
        "train_loss": result.train.loss,
        "test_accuracy": result.test.accuracy,
        "test_loss": result.test.loss,
        "seconds": started.elapsed().as_secs_f64(),
    });
    run_folder::record(&checkpoint.folder, &checkpoint.stage(&recipe.stage("probe"))?, figures)?;
    let neighbours = recipe.knn.neighbours.min(splits.train.len());
    run_folder::record(
        &checkpoint.folder,
        &checkpoint.stage(&recipe.stage("knn"))?,
        json!({ "accuracy": result.knn, "neighbours": neighbours, "epoch": checkpoint.epoch }),
    )?;
    say(format!(
        "{}: {} epochs in {}; saved as {}",
        if recipe.probe.finetune { "fine-tuning" } else { "probe" },
        recipe.probe.epochs,
        duration(started.elapsed().as_secs_f64()),
        path.display()
    ));
    say(format!("train accuracy: {:.2} %", result.train.accuracy));
    say(format!("kNN-{neighbours} accuracy: {:.2} %", result.knn));
    let what = if recipe.probe.finetune { "fine-tuned" } else { "linear probe" };
    say(format!("{what} test accuracy: {:.2} %", result.test.accuracy));
    Ok(result)
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
    // Figures of runs that could only be in f32 say nothing of it.
    if recipe.precision != Precision::F32 {
        settings["precision"] = json!(recipe.precision);
    }
    settings
}

/// Where the probe of some weights is kept.
fn probe_path(weights: &Path, recipe: &Recipe) -> std::path::PathBuf {
    let stem = weights.file_stem().expect("a file has a name").to_string_lossy().into_owned();
    let stem = [PROBED, TUNED]
        .iter()
        .find_map(|suffix| stem.split(suffix).next().filter(|start| *start != stem))
        .unwrap_or(&stem);
    let suffix = if recipe.probe.finetune { TUNED } else { PROBED };
    let elsewhere = match recipe.probed() == recipe.dataset {
        true => String::new(),
        false => format!("_{}", recipe.probed()),
    };
    weights.with_file_name(format!("{stem}{suffix}{elsewhere}.safetensors"))
}

const PROBED: &str = "_linear_evaluation";
const TUNED: &str = "_finetuned";

#[cfg(test)]
mod tests {
    use super::*;
    use qare_data::DatasetName;

    #[test]
    fn probes_of_one_run_have_names_of_their_own() {
        let mut recipe = Recipe::default();
        let name = |weights: &str, recipe: &Recipe| probe_path(Path::new(weights), recipe).display().to_string();
        assert_eq!(name("a/w_epoch_5.safetensors", &recipe), "a/w_epoch_5_linear_evaluation.safetensors");
        assert_eq!(name("w_linear_evaluation_cifar100.safetensors", &recipe), "w_linear_evaluation.safetensors");
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
