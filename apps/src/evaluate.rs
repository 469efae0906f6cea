//! Stage 3: the linear classifier on the unseen test split.

use burn::tensor::backend::Backend;
use qare_data::Splits;
use qare_models::LinearClassifierConfig;
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::files::say;
use crate::precision::Precision;
use crate::{features, probe, run_folder};

/// Prints loss and accuracy of a checkpoint's classifier on the test split, and records them under a stage's name.
pub fn test<B: Backend>(
    checkpoint: &Checkpoint,
    stage: &str,
    splits: &Splits,
    precision: Precision,
    workers: usize,
    device: &B::Device,
) -> Result<()> {
    let recipe = &checkpoint.recipe;
    let backbone = checkpoint.backbone::<B>(device)?;
    let classifier = LinearClassifierConfig::new(recipe.backbone.feature_dim(), splits.test.classes());
    let classifier = checkpoint.weights.load_into(classifier.init::<B>(recipe.seed, device), "classifier")?;
    let features =
        features::extract(&backbone, &splits.test, recipe.probed().normalization(), precision, workers, device)?;
    let found = probe::evaluate(&classifier, &features, device);
    let figures =
        json!({ "accuracy": found.accuracy, "loss": found.loss, "images": features.len(), "epoch": checkpoint.epoch });
    run_folder::record(&checkpoint.folder, &checkpoint.stage(stage)?, figures)?;
    say(format!("test loss: {:.4}", found.loss));
    say(format!("test accuracy: {:.2} %", found.accuracy));
    Ok(())
}
