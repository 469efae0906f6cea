//! Stage 3: the linear classifier on the unseen test split.

use burn::tensor::backend::Backend;
use qare_data::Splits;
use qare_models::LinearClassifierConfig;
use serde_json::json;

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::files::folder_of;
use crate::output::say;
use crate::precision::Precision;
use crate::{features, files, labels, probe, run_folder};

/// Prints loss and accuracy of a checkpoint's classifier on the test split, and records them under a stage's name. Labels of
/// the images are matched with the classifier's by the names of their classes.
///
/// # Errors
/// If there are images of a class that the classifier does not know.
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
    let named = splits.test.class_names();
    // Classifiers of other programs do not tell the names of their classes: their number has to do.
    let known = checkpoint.classes.as_deref().unwrap_or(named);
    let classifier = LinearClassifierConfig::new(recipe.backbone.feature_dim(), known.len());
    let classifier = checkpoint.weights.load_into(classifier.init::<B>(recipe.seed, device), "classifier")?;
    let results = checkpoint.results_file();
    let unwritable = files::check_writable(folder_of(&results)).err();
    let features =
        features::extract(&backbone, &splits.test, recipe.probed().normalization(), precision, workers, device)?;
    let features = labels::as_known(features, named, known, &checkpoint.file.display().to_string())?;
    let found = probe::evaluate(&classifier, &features, device);
    say(format!("test loss: {:.4}", found.loss));
    say(format!("test accuracy: {:.2} %", found.accuracy));
    if let Some(error) = unwritable {
        say(format!("note: the figures are not recorded in {}: {error}", results.display()));
        return Ok(());
    }
    let figures =
        json!({ "accuracy": found.accuracy, "loss": found.loss, "images": features.len(), "epoch": checkpoint.epoch });
    run_folder::record(&results, [(checkpoint.stage(stage)?, figures)])
}
