//! Frozen features: a backbone in evaluation mode on un-augmented images.

use burn::data::dataloader::DataLoader;
use burn::tensor::{Tensor, TensorData, backend::Backend};
use qare_data::{Augmentation, EpochCursor, ImageSet, LoaderConfig, Normalization, ViewBatch, ViewLoader};
use qare_models::{Backbone, computes_on_host};
use rayon::prelude::*;

use crate::error::Result;
use crate::precision::Precision;

/// Images a forward pass takes at a time: a processor's caches hold what a layer makes of few, a GPU wants many.
pub fn batch_size<B: Backend>(device: &B::Device) -> usize {
    if computes_on_host::<B>(device) { 50 } else { 500 }
}

/// Features of a set of images, on the host.
#[derive(Clone, Debug)]
pub struct Features {
    /// One row of `dim` values after the other.
    pub values: Vec<f32>,
    /// The number of values of an image.
    pub dim: usize,
    /// The class of each image.
    pub labels: Vec<u16>,
}

impl Features {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
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
        batch_size: batch_size::<B>(device),
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

/// A tensor's values on the host, row by row.
pub fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data has just been converted")
}

/// Features of a batch of single views `[N, 1, 3, H, W]`.
pub fn of_batch<B: Backend>(backbone: &Backbone<B>, images: Tensor<B, 5>, precision: Precision) -> Vec<f32> {
    values(backbone.forward(precision.of(images).squeeze_dim(1))) // [N, F]
}

/// Features of batches of single views, which `step` computes of each, one row after the other; so many `values` are expected.
///
/// On the host each thread takes a batch of its own, since not all operations of a network use more than one.
pub fn of_batches<B: Backend>(
    mut batches: impl Iterator<Item = ViewBatch<B>>,
    step: impl Fn(ViewBatch<B>) -> Vec<f32> + Sync,
    values: usize,
    device: &B::Device,
) -> Vec<f32> {
    let mut all = Vec::with_capacity(values);
    if !computes_on_host::<B>(device) {
        batches.for_each(|batch| all.extend(step(batch)));
        return all;
    }
    loop {
        let group: Vec<ViewBatch<B>> = batches.by_ref().take(rayon::current_num_threads()).collect();
        if group.is_empty() {
            return all;
        }
        let features: Vec<Vec<f32>> = group.into_par_iter().map(&step).collect();
        features.iter().for_each(|features| all.extend_from_slice(features));
    }
}

/// Features of a whole set of images.
pub fn extract<B: Backend>(
    backbone: &Backbone<B>,
    images: &ImageSet,
    normalization: Normalization,
    precision: Precision,
    workers: usize,
    device: &B::Device,
) -> Result<Features> {
    let loader = loader::<B>(images.clone(), normalization, workers, device)?;
    let dim = backbone.feature_dim();
    let step = |batch: ViewBatch<B>| of_batch(backbone, batch.images, precision);
    let values = of_batches(loader.iter(), step, images.len() * dim, device);
    Ok(Features { values, dim, labels: images.labels().to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};
    use qare_data::{DatasetName, LoadOptions};
    use qare_models::BackboneName;

    #[test]
    fn features_are_those_of_one_forward_pass_in_the_order_of_the_images() {
        let (device, dataset) = (any_device(), DatasetName::Shapes);
        // A last batch of one image, and batches that are no multiple of the threads.
        let images = qare_data::load(dataset, &LoadOptions::default())
            .unwrap()
            .test
            .select(&Vec::from_iter(0..2 * batch_size::<Plain>(&device) + 1));
        let backbone = BackboneName::Conv4.init::<Plain>(1, &device);
        let normalization = dataset.normalization();
        let extract = |workers| extract(&backbone, &images, normalization, Precision::F32, workers, &device).unwrap();
        let found = extract(2);
        assert_eq!(
            (found.len(), found.dim, &found.labels[..]),
            (2 * batch_size::<Plain>(&device) + 1, 64, images.labels())
        );
        let mut scratch = qare_data::Scratch::default();
        for (index, row) in found.values.chunks(found.dim).enumerate() {
            let side = images.side();
            let mut values = vec![0.0; 3 * side * side];
            let mut draw = qare_data::Draw::new(0, qare_data::Purpose::View, 0, 0, 0);
            let pixels = images.pixels(index);
            qare_data::write_view(
                Augmentation::None,
                &pixels,
                side,
                &mut draw,
                &normalization,
                &mut scratch,
                &mut values,
            );
            let image = Tensor::from_data(TensorData::new(values, [1, 1, 3, side, side]), &device);
            for (found, expected) in row.iter().zip(of_batch(&backbone, image, Precision::F32)) {
                assert!((found - expected).abs() < 1e-5, "image {index}: {found} is not {expected}");
            }
        }
        assert_eq!(found.values, extract(0).values);
    }
}
