//! The score after each epoch: a kNN accuracy, or Recall@1.

use burn::data::dataloader::DataLoaderIterator;
use burn::tensor::backend::Backend;
use qare_data::{Draw, ImageSet, Purpose, ViewBatch};
use qare_retrieval::{LabelledRows, Summary, rank_among_others};

use super::live::probe_accuracy;
use crate::error::Result;
use crate::evaluation::features::{self, Features};
use crate::evaluation::{knn, labels};
use crate::methods::Validating;
use crate::recipe::{KnnRecipe, Recipe};

/// The labels and settings of the validation.
pub struct Validation {
    labels: Vec<u16>,
    dim: usize,
    score: Score,
}

/// What is computed.
enum Score {
    /// The kNN accuracy. The images are the bank, of this size, followed by the held-out queries.
    Neighbours { bank: usize, recipe: KnnRecipe },
    /// Recall@1: each image is a query among all others.
    Recall,
}

impl Validation {
    /// Draws bank and queries from the training split, so that the test split stays unseen. Returns their images and the validation.
    ///
    /// Without labels of at least two classes there is no validation. The images are then a single unused one, because the Learner
    /// needs a loader.
    pub fn draw(recipe: &Recipe, images: &ImageSet) -> (ImageSet, Option<Self>) {
        if !labels::have_several_classes(images) {
            return (images.select(&[0][..images.len().min(1)]), None);
        }
        let order = Draw::new(recipe.seed, Purpose::HeldOut, 0, 0, 0).permutation(images.len());
        let queries = recipe.knn.held_out.min(images.len() / 5).max(1);
        let bank = recipe.knn.bank.min(images.len() - queries);
        let (held_out, others) = order.split_at(queries);
        let chosen: Vec<usize> = others[..bank].iter().chain(held_out).copied().collect();
        let images = images.select(&chosen);
        let labels = images.labels().to_vec();
        let score = Score::Neighbours { bank, recipe: recipe.knn.clone() };
        (images, Some(Self { labels, dim: recipe.backbone.feature_dim(), score }))
    }

    /// Validates by Recall@1 among images that training does not have. Returns them and the validation.
    ///
    /// Without two classes and two images of a class there is no validation, and the images are a single one of `others`.
    pub fn of_held_out(recipe: &Recipe, held_out: Option<ImageSet>, others: &ImageSet) -> (ImageSet, Option<Self>) {
        let some =
            held_out.filter(|images| labels::have_several_classes(images) && labels::present(images) < images.len());
        let Some(images) = some else { return (others.select(&[0]), None) };
        let labels = images.labels().to_vec();
        (images, Some(Self { labels, dim: recipe.embedding_dim(), score: Score::Recall }))
    }

    /// Returns what the score is.
    pub fn kind(&self) -> Validating {
        match self.score {
            Score::Neighbours { .. } => Validating::Neighbours,
            Score::Recall => Validating::Recall,
        }
    }

    /// Computes the score in percent. `step` computes the features of a batch, or for Recall@1 its embeddings. With `probe`, the seed of a
    /// linear probe, its accuracy in percent follows if the score is one of features.
    ///
    /// # Errors
    /// If an embedding is not finite.
    pub fn score<B: Backend>(
        &self,
        batches: &mut dyn DataLoaderIterator<ViewBatch<B>>,
        step: impl Fn(ViewBatch<B>) -> Vec<f32> + Sync,
        probe: Option<u64>,
        device: &B::Device,
    ) -> Result<(f64, Option<f64>)> {
        let Self { labels, dim, score } = self;
        let values = features::of_batches(batches, step, labels.len() * dim, device);
        match score {
            Score::Neighbours { bank, recipe } => {
                let (queries, bank) = Features { values, dim: *dim, labels: labels.clone() }.split(*bank);
                let of_probe = probe.map(|seed| probe_accuracy::<B>(&bank, &queries, seed, device));
                Ok((knn::accuracy::<B>(&bank, &queries, recipe, device), of_probe))
            }
            Score::Recall => {
                let labels: Vec<u32> = labels.iter().map(|label| u32::from(*label)).collect();
                let rows = LabelledRows::new(&values, *dim, &labels)?;
                Ok((100.0 * Summary::of(&rank_among_others(&rows))?.recall_at(1), None))
            }
        }
    }
}
