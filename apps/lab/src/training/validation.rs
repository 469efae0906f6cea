//! The kNN accuracy after each epoch, on images held out of the training split.

use burn::data::dataloader::DataLoaderIterator;
use burn::tensor::backend::Backend;
use qare_data::{Draw, ImageSet, Purpose, ViewBatch};

use crate::evaluation::features::{self, Features};
use crate::evaluation::{knn, labels};
use crate::recipe::{KnnRecipe, Recipe};

/// The labels and settings of the validation. Its images are the bank, followed by the held-out queries.
pub struct Validation {
    labels: Vec<u16>,
    /// Number of images in the bank.
    bank: usize,
    feature_dim: usize,
    recipe: KnnRecipe,
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
        let validation = Self { labels, bank, feature_dim: recipe.backbone.feature_dim(), recipe: recipe.knn.clone() };
        (images, Some(validation))
    }

    /// Computes the kNN accuracy in percent. `step` computes the features of a batch.
    pub fn accuracy<B: Backend>(
        &self,
        batches: &mut dyn DataLoaderIterator<ViewBatch<B>>,
        step: impl Fn(ViewBatch<B>) -> Vec<f32> + Sync,
        device: &B::Device,
    ) -> f64 {
        let Self { labels, bank, feature_dim: dim, recipe } = self;
        let values = features::of_batches(batches, step, labels.len() * dim, device);
        let (queries, bank) = Features { values, dim: *dim, labels: labels.clone() }.split(*bank);
        knn::accuracy::<B>(&bank, &queries, recipe, device)
    }
}
