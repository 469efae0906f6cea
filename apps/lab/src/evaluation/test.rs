//! Stage 3: the linear classifier on the unseen test split.

use burn::tensor::backend::Backend;
use qare_data::Splits;
use serde_json::json;

use super::probe::{self, Evaluation};
use super::{features, labels};
use crate::error::Result;
use crate::precision::Precision;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::files::{self, folder_of};
use crate::runs::run_folder;

/// A classifier's test, not yet recorded.
pub struct Tested<'a> {
    /// Loss and accuracy.
    pub evaluation: Evaluation,
    /// Images tested on.
    pub images: usize,
    /// Why nothing can be recorded, if that is so.
    unwritable: Option<std::io::Error>,
    checkpoint: &'a Checkpoint,
}

/// Loss and accuracy of a checkpoint's classifier on the test split. Labels of the images are matched with the classifier's by
/// the names of their classes.
///
/// # Errors
/// If there are images of a class that the classifier does not know.
pub fn test<'a, B: Backend>(
    checkpoint: &'a Checkpoint,
    splits: &Splits,
    precision: Precision,
    workers: usize,
    device: &B::Device,
) -> Result<Tested<'a>> {
    let recipe = &checkpoint.recipe;
    let backbone = checkpoint.backbone::<B>(device)?;
    let named = splits.test.class_names();
    // Classifiers of other programs do not tell the names of their classes: their number has to do.
    let known = checkpoint.classes.as_deref().unwrap_or(named);
    let classifier = checkpoint.classifier::<B>(known.len(), device)?;
    let unwritable = files::check_writable(folder_of(&checkpoint.results_file())).err();
    let normalization = recipe.probe_normalization();
    let features = features::extract(&backbone, &splits.test, normalization, precision, workers, device)?;
    let features = labels::as_known(features, named, known, &checkpoint.file.display().to_string())?;
    let evaluation = probe::evaluate(&classifier, &features, device);
    Ok(Tested { evaluation, images: features.len(), unwritable, checkpoint })
}

impl Tested<'_> {
    /// Records the figures under a stage's name. Where nothing can be written, it says why: a test is done all the same.
    ///
    /// # Errors
    /// If the figures that are there are damaged.
    pub fn record(&self, stage: &str) -> Result<Option<String>> {
        let results = self.checkpoint.results_file();
        if let Some(error) = &self.unwritable {
            return Ok(Some(format!("the figures are not recorded in {}: {error}", results.display())));
        }
        let Evaluation { loss, accuracy } = self.evaluation;
        let epoch = self.checkpoint.epoch;
        let figures = json!({ "accuracy": accuracy, "loss": loss, "images": self.images, "epoch": epoch });
        run_folder::record(&results, [(self.checkpoint.stage(stage)?, figures)])?;
        Ok(None)
    }
}
