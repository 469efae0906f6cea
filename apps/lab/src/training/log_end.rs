//! What ends the logs of a run: the files of TensorBoard's projector.

use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use qare_data::{ImageSet, Splits};
use qare_models::StateDict;

use super::model::PretextModel;
use super::{divided, run_record};
use crate::error::Result;
use crate::evaluation::features::{self, Features};
use crate::loggers::tensorboard::projector::{self, MAX_POINTS};
use crate::loggers::{LoggerName, Loggers};
use crate::methods::{Facts, Plan, Pretext, Trainable, Validating};
use crate::recipe::Recipe;
use crate::runs::open_run::OpenRun;
use crate::runs::records::Latest;

/// Returns the images that the projector shows, if the recipe asks for TensorBoard's files.
pub(super) fn projected_images(recipe: &Recipe, splits: &Splits) -> Option<ImageSet> {
    recipe.logger.contains(&LoggerName::Tensorboard).then(|| {
        let shown = if splits.test.is_empty() { &splits.train } else { &splits.test };
        shown.stratified(MAX_POINTS, recipe.seed)
    })
}

/// Returns what the projector shows of these images: embeddings of metric learning, or features.
///
/// # Errors
/// If the images cannot be read.
pub(super) fn projected<B: AutodiffBackend, P: Trainable<B>>(
    recipe: &Recipe,
    model: &PretextModel<B, P>,
    images: &ImageSet,
    device: &B::Device,
) -> Result<Features> {
    let (normalization, workers) = (recipe.dataset.normalization(), recipe.num_workers);
    let backbone = model.backbone.valid();
    let features = features::extract(&backbone, images, normalization, recipe.precision, workers, device)?;
    let embedded = model.networks.valid().embed(features.tensor(device));
    Ok(Features { dim: embedded.dims()[1], values: features::values(embedded), ..features })
}

/// Returns what the networks of a method depend on besides the recipe.
pub(super) fn facts(plan: &Plan, splits: &Splits, images: &ImageSet) -> Facts {
    let classes = if plan.validating == Validating::Recall { images.classes() } else { splits.train.classes() };
    Facts { images: images.len(), classes }
}

/// Ends the logs of a run that has trained all epochs, as its process would have done had it not been killed. Needs the weights of the
/// run, and not what resuming needs besides.
///
/// # Errors
/// If the weights or the images are not those of the run, or a file cannot be written.
pub(super) fn end_logs<B: AutodiffBackend, P: Trainable<B>>(
    run: &OpenRun,
    splits: &Splits,
    plan: &Plan,
    latest: &Latest,
    device: &B::Device,
) -> Result<()> {
    let OpenRun { recipe, folder, .. } = run;
    let (images, _) = divided(run, plan, splits)?;
    // This compares the images with those of the run.
    run_record(run, splits, images.len(), latest.epoch, "")?;
    let networks = P::new(recipe, &facts(plan, splits, &images), device)?;
    let backbone = recipe.backbone.init::<B>(recipe.seed, device);
    let model = PretextModel::new(backbone, networks, plan.figures.clone(), recipe.precision);
    let model = model.with_weights(&StateDict::read_safetensors(&folder.file(&latest.weights))?)?;
    let images = projected_images(recipe, splits);
    let shown = images.as_ref().map(|images| projected(recipe, &model, images, device)).transpose()?;
    Loggers::end_later(recipe, folder.path())?;
    match shown.zip(images) {
        Some((shown, images)) => projector::write(folder.path(), &shown, &images),
        None => Ok(()),
    }
}
