//! Stage 3: testing the linear classifier on the test split.

use burn::tensor::backend::Backend;
use qare_data::Splits;
use serde_json::json;

use super::probe::{self, Evaluation};
use super::{features, labels};
use crate::error::Result;
use crate::precision::Precision;
use crate::printable_path::PrintablePath;
use crate::runs::checkpoint::Checkpoint;
use crate::runs::files;
use crate::runs::records;

/// The result of a test, not yet recorded.
pub struct Tested<'a> {
    /// Loss and accuracy.
    pub evaluation: Evaluation,
    /// Number of test images.
    pub images: usize,
    /// The error that prevents recording, if any.
    unwritable: Option<std::io::Error>,
    checkpoint: &'a Checkpoint,
}

/// Computes loss and accuracy of a checkpoint's classifier on the test split. Classes of the images are matched with those of
/// the classifier by name.
///
/// # Errors
/// If there are images of a class that the classifier does not know, or the checkpoint has no classifier of this number of classes.
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
    // Classifiers of other programs have no class names. Their classes are assumed to be those of the images.
    let known = checkpoint.classes.as_deref().unwrap_or(named);
    let classifier = checkpoint.classifier::<B>(known.len(), device)?;
    let unwritable = files::check_writable(&checkpoint.results_file()).err();
    let normalization = recipe.probe_normalization();
    let features = features::extract(&backbone, &splits.test, normalization, precision, workers, device)?;
    let features = labels::match_classes(features, named, known, &checkpoint.file.printable())?;
    let evaluation = probe::evaluate(&classifier, &features, device);
    Ok(Tested { evaluation, images: features.len(), unwritable, checkpoint })
}

impl Tested<'_> {
    /// Records the figures under the name of a stage. A folder that is not writable is not an error: the reason is returned as a
    /// note.
    ///
    /// # Errors
    /// If the results file is damaged.
    pub fn record(&self, stage: &str) -> Result<Option<String>> {
        let results = self.checkpoint.results_file();
        if let Some(error) = &self.unwritable {
            return Ok(Some(format!("the figures are not recorded in {}: {error}", results.printable())));
        }
        let Evaluation { loss, accuracy } = self.evaluation;
        let epoch = self.checkpoint.epoch;
        let figures = json!({ "accuracy": accuracy, "loss": loss, "images": self.images, "epoch": epoch });
        records::record(&results, [(self.checkpoint.stage(stage)?, figures)])?;
        Ok(None)
    }
}
