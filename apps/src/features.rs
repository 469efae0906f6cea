//! Frozen features: a backbone in evaluation mode on un-augmented images.

use burn::data::dataloader::DataLoader;
use burn::tensor::{Tensor, TensorData, backend::Backend};
use qare_data::{Augmentation, EpochCursor, ImageSet, LoaderConfig, Normalization, ViewLoader};
use qare_models::Backbone;

use crate::error::Result;

/// Images a forward pass takes at a time.
pub const BATCH: usize = 500;

/// Features of a set of images, on the host.
#[derive(Clone, Debug)]
pub struct Features {
    /// One row of `dim` values after the other.
    pub values: Vec<f32>,
    pub dim: usize,
    pub labels: Vec<u16>,
}

impl Features {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// All rows as a tensor `[N, F]`.
    pub fn tensor<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2> {
        Tensor::from_data(TensorData::new(self.values.clone(), [self.len(), self.dim]), device)
    }

    /// The rows from `start` on, and those before it.
    pub fn split(self, start: usize) -> (Features, Features) {
        let part = |rows: std::ops::Range<usize>| Features {
            values: self.values[rows.start * self.dim..rows.end * self.dim].to_vec(),
            dim: self.dim,
            labels: self.labels[rows].to_vec(),
        };
        (part(start..self.len()), part(0..start))
    }
}

/// A loader of single, un-augmented images in the order of their set.
pub fn loader<B: Backend>(
    images: ImageSet,
    normalization: Normalization,
    workers: usize,
    device: &B::Device,
) -> Result<ViewLoader<B>> {
    let config = LoaderConfig {
        batch_size: BATCH,
        views: 1,
        seed: 0,
        workers,
        shuffle: false,
        drop_last: false,
        augmentation: Augmentation::None,
        normalization,
    };
    Ok(ViewLoader::new(images, config, EpochCursor::default(), device)?)
}

/// Features of a batch of single views `[N, 1, 3, H, W]`.
pub fn of_batch<B: Backend>(backbone: &Backbone<B>, images: Tensor<B, 5>) -> Vec<f32> {
    let features = backbone.forward(images.squeeze_dim(1)); // [N, F]
    features.into_data().convert::<f32>().into_vec().expect("the data has just been converted")
}

/// Features of a whole set of images.
pub fn extract<B: Backend>(
    backbone: &Backbone<B>,
    images: &ImageSet,
    normalization: Normalization,
    workers: usize,
    device: &B::Device,
) -> Result<Features> {
    let loader = loader::<B>(images.clone(), normalization, workers, device)?;
    let dim = backbone.feature_dim();
    let mut values = Vec::with_capacity(images.len() * dim);
    for batch in loader.iter() {
        values.extend(of_batch(backbone, batch.images));
    }
    Ok(Features { values, dim, labels: images.labels().to_vec() })
}
