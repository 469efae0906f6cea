//! What a run has learned, on the host: features of the test images, predicted classes, and embeddings of view sets.

use burn::data::dataloader::DataLoader;
use burn::tensor::{Tensor, backend::Backend};
use log::info;
use qare_data::{Augmentation, Draw, EpochCursor, ImageSet, LoaderConfig, Purpose, Splits, ViewBatch, ViewLoader};
use qare_models::{ProjectionHead, ProjectionHeadConfig};

use super::features::{self, Features};
use super::{knn, labels};
use crate::error::{LabError, Result};
use crate::methods::Method;
use crate::printable_path::PrintablePath;
use crate::recipe::Recipe;
use crate::runs::checkpoint::{Checkpoint, Stated};

/// Most images of a view set, so that its eigenvalues take seconds.
const MAX_SET: usize = 1024;
/// Most training images that kNN searches.
const MAX_BANK: usize = 10_000;

/// Features, predictions and embeddings of a run.
pub struct Representation {
    /// Features of the backbone, of the images in their order.
    pub features: Features,
    /// Embeddings `[N, D]` of the same images: of the projection head of a contrastive run, or of the head that metric learning trains.
    pub embeddings: Option<Features>,
    /// Whether images are searched by their embeddings, as after metric learning, and not by their features.
    pub searched_by_embedding: bool,
    /// Embeddings of two view sets of the same B images, `[B, D]` each.
    pub view_sets: Option<[Features; 2]>,
    /// The predicted class of each image, if the images have labels.
    pub predicted: Option<Predicted>,
}

impl Representation {
    /// Returns the rows that images are searched by, and what they are called.
    pub fn searched(&self) -> (&Features, &'static str) {
        match &self.embeddings {
            Some(embeddings) if self.searched_by_embedding => (embeddings, "embeddings"),
            _ => (&self.features, "features"),
        }
    }
}

/// Predicted classes.
pub struct Predicted {
    /// The class of each image.
    pub classes: Vec<u16>,
    /// What predicts them, in words.
    pub by: String,
}

/// Computes what a run has learned about `images`, which are the test split of `splits` or, without one, its training split.
///
/// The classes are predicted by the linear classifier of the run; without one, by kNN in a part of the training images. The view sets are
/// contrastive views of as many of the images as a batch of training has, drawn with the seed. Batch normalisation uses the statistics of
/// training.
///
/// # Errors
/// If images cannot be loaded in batches, or the weights are damaged.
pub fn represent<B: Backend>(
    checkpoint: &Checkpoint,
    splits: &Splits,
    images: &ImageSet,
    recipe: &Recipe,
    device: &B::Device,
) -> Result<Representation> {
    let backbone = checkpoint.backbone::<B>(device)?;
    let Recipe { precision, num_workers, .. } = *recipe;
    let normalization = recipe.probe_normalization();
    let extract =
        |images: &ImageSet| features::extract(&backbone, images, normalization, precision, num_workers, device);
    let features = extract(images)?;
    let finite = features.values.iter().all(|value| value.is_finite());
    if !finite {
        return Err(LabError::Failed(format!(
            "{}: features of the test images contain NaN or infinity; training has diverged",
            checkpoint.file.printable()
        )));
    }
    let head = head::<B>(checkpoint, device)?;
    let embed = |features: &Features, head: &dyn Fn(Tensor<B, 2>) -> Tensor<B, 2>| {
        let embedded = head(features.tensor::<B>(device)); // [N, D]
        Features { dim: embedded.dims()[1], values: features::values(embedded), labels: features.labels.clone() }
    };
    let of_search = checkpoint.embedding_head::<B>(device)?;
    let embeddings = match (&of_search, &head) {
        (Some(head), _) => Some(embed(&features, &|rows| head.forward(rows))),
        (None, Some(head)) => Some(embed(&features, &|rows| head.forward(rows))),
        (None, None) => None,
    };
    let view_sets = match &head {
        Some(head) if images.len() >= 2 => {
            let count = recipe.batch_size.min(MAX_SET).min(images.len());
            let mut order = Draw::new(recipe.seed, Purpose::Part, 0, 0, 0).permutation(images.len());
            order.truncate(count);
            let config = LoaderConfig {
                batch_size: features::batch_size::<B>(device).min(count),
                views: 2,
                seed: recipe.seed,
                workers: num_workers,
                shuffle: false,
                drop_last: false,
                augmentation: Augmentation::Contrastive,
                normalization,
            };
            let loader = ViewLoader::<B>::new(images.select(&order), config, EpochCursor::default(), device)?;
            let mut sets =
                [(); 2].map(|()| Features { values: Vec::new(), dim: backbone.feature_dim(), labels: vec![0; count] });
            let _kept = qare_models::keep_weights();
            for batch in loader.iter() {
                let ViewBatch { images, .. } = batch; // [n, 2, 3, H, W]
                for (view, set) in sets.iter_mut().enumerate() {
                    let view = images.clone().narrow(1, view, 1);
                    set.values.extend(features::of_batch(&backbone, view, precision));
                }
            }
            Some(sets.map(|set| embed(&set, &|rows| head.forward(rows))))
        }
        _ => None,
    };
    let predicted = if images.is_labeled() && labels::have_several_classes(images) {
        predict::<B>(checkpoint, splits, images, &features, recipe, &extract, device)?
    } else {
        None
    };
    Ok(Representation { features, embeddings, searched_by_embedding: of_search.is_some(), view_sets, predicted })
}

/// Loads the projection head of a contrastive run.
fn head<B: Backend>(checkpoint: &Checkpoint, device: &B::Device) -> Result<Option<ProjectionHead<B>>> {
    let recipe = &checkpoint.recipe;
    let contrastive = [Method::Simclr, Method::SimclrQare, Method::Sparseclr, Method::SparseclrQare];
    let contrastive = contrastive.into_iter().any(|method| recipe.method == method);
    if checkpoint.foreign || !contrastive || !checkpoint.weights.has_prefix("head") {
        return Ok(None);
    }
    let config = ProjectionHeadConfig::new(recipe.backbone.feature_dim()).with_output(recipe.outter_fs);
    Ok(Some(checkpoint.weights.load_into(config.init(recipe.seed, device), "head")?))
}

/// Predicts the classes by the classifier of the run, or by kNN.
fn predict<B: Backend>(
    checkpoint: &Checkpoint,
    splits: &Splits,
    images: &ImageSet,
    features: &Features,
    recipe: &Recipe,
    extract: &dyn Fn(&ImageSet) -> Result<Features>,
    device: &B::Device,
) -> Result<Option<Predicted>> {
    let names = images.class_names();
    // A fine-tuned classifier belongs to another backbone.
    if !recipe.probe.finetune
        && let Ok(probe) = Checkpoint::of_probe(&checkpoint.folder, &recipe.stage("probe"), &Stated::default())
        && probe.epoch == checkpoint.epoch
        && probe.classes.as_deref().is_none_or(|known| known == names)
    {
        let classifier = probe.classifier::<B>(names.len(), device)?;
        let logits = features::values(classifier.forward(features.tensor::<B>(device)));
        let argmax = |row: &[f32]| {
            let best =
                row.iter().enumerate().fold(0, |best, (class, value)| if *value > row[best] { class } else { best });
            best as u16
        };
        let classes = logits.chunks_exact(names.len()).map(argmax).collect();
        return Ok(Some(Predicted { classes, by: "the linear classifier of the run".into() }));
    }
    // Without a test split, the images are training images: each would find itself.
    let comparable = !splits.test.is_empty() && splits.train.is_labeled() && splits.train.class_names() == names;
    if splits.train.is_empty() || !comparable {
        info!(
            "note: no classes are predicted: the run has no linear probe, and there are no other images of these classes for kNN"
        );
        return Ok(None);
    }
    let bank = extract(&splits.train.stratified(MAX_BANK, recipe.seed))?;
    let classes = knn::predictions::<B>(&bank, features, &recipe.knn, device);
    let neighbours = recipe.knn.neighbours.min(bank.len());
    Ok(Some(Predicted { classes, by: format!("kNN-{neighbours} among {} training images", bank.len()) }))
}
