//! What retrieval compares: the embeddings that a run trained, or the features of its backbone.

use burn::data::dataloader::DataLoader;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use qare_data::{ImageSet, Normalization, ViewBatch};
use qare_models::{Backbone, EmbeddingHead};

use super::features::{self, Features};
use crate::error::Result;
use crate::precision::Precision;

/// Which vectors of an image are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Space {
    /// The embeddings of metric learning. Of weights without an embedding head, the features.
    #[default]
    Embedding,
    /// The features of the backbone.
    Features,
}

/// A backbone, and the embedding head that was trained on it, if that is used.
#[derive(Debug)]
pub struct Embedder<B: Backend> {
    backbone: Backbone<B>,
    head: Option<EmbeddingHead<B>>,
}

impl<B: Backend> Embedder<B> {
    /// Without a head, embeddings are the features of the backbone.
    pub fn new(backbone: Backbone<B>, head: Option<EmbeddingHead<B>>) -> Self {
        Self { backbone, head }
    }

    /// Returns the number of dimensions of an embedding.
    pub fn dim(&self) -> usize {
        self.head.as_ref().map_or(self.backbone.feature_dim(), |head| head.bias.dims()[0])
    }

    /// Returns "embedding" if there is a head, else "features".
    pub fn what(&self) -> &'static str {
        if self.head.is_some() { "embedding" } else { "features" }
    }

    /// Computes the embeddings `[N, D]` of a batch of single views `[N, 1, 3, H, W]`, row by row.
    fn of_batch(&self, images: Tensor<B, 5>, precision: Precision) -> Vec<f32> {
        let features = self.backbone.forward(precision.of(images).squeeze_dim(1)); // [N, F]
        features::values(match &self.head {
            Some(head) => head.forward(features),
            None => features,
        })
    }

    /// Computes the embeddings of a set of images, in evaluation mode.
    ///
    /// # Errors
    /// If the images cannot be loaded in batches.
    pub fn extract(
        &self,
        images: &ImageSet,
        normalization: Normalization,
        precision: Precision,
        workers: usize,
        device: &B::Device,
    ) -> Result<Features> {
        let loader = features::loader::<B>(images.clone(), normalization, workers, device)?;
        let step = |batch: ViewBatch<B>| self.of_batch(batch.images, precision);
        let values = features::of_batches(loader.iter(), step, images.len() * self.dim(), device);
        Ok(Features { values, dim: self.dim(), labels: images.labels().to_vec() })
    }
}
