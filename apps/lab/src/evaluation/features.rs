//! Frozen features: a backbone in evaluation mode on un-augmented images.

use burn::data::dataloader::DataLoader;
use burn::tensor::{Tensor, TensorData, backend::Backend};
use qare_data::{Augmentation, EpochCursor, ImageSet, LoaderConfig, Normalization, ViewBatch, ViewLoader};
use qare_models::{Backbone, computes_on_host};
use rayon::prelude::*;

use crate::error::Result;
use crate::precision::Precision;

/// Returns the number of images in a forward pass: few on the host, so that activations stay in the CPU caches; many on a GPU.
pub fn batch_size<B: Backend>(device: &B::Device) -> usize {
    if computes_on_host::<B>(device) { 50 } else { 500 }
}

/// Features of a set of images, on the host.
#[derive(Clone, Debug)]
pub struct Features {
    /// The features `[N, F]`, row by row.
    pub values: Vec<f32>,
    /// The number of features of an image, F.
    pub dim: usize,
    /// The class of each image.
    pub labels: Vec<u16>,
}

impl Features {
    /// Returns the number of images, N.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns the features as a tensor `[N, F]`.
    pub fn tensor<B: Backend>(&self, device: &B::Device) -> Tensor<B, 2> {
        Tensor::from_data(TensorData::new(self.values.clone(), [self.len(), self.dim]), device)
    }

    /// Splits the rows into those from `start` on and those before `start`.
    pub fn split(self, start: usize) -> (Features, Features) {
        let part = |rows: std::ops::Range<usize>| Features {
            values: self.values[rows.start * self.dim..rows.end * self.dim].to_vec(),
            dim: self.dim,
            labels: self.labels[rows].to_vec(),
        };
        (part(start..self.len()), part(0..start))
    }
}

/// Returns a loader of single, un-augmented images in the order of the set.
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

/// Copies the values of a tensor to the host, in row-major order.
pub fn values<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().expect("the data has just been converted")
}

/// Computes the features `[N, F]` of a batch of single views `[N, 1, 3, H, W]`, row by row.
pub fn of_batch<B: Backend>(backbone: &Backbone<B>, images: Tensor<B, 5>, precision: Precision) -> Vec<f32> {
    values(backbone.forward(precision.of(images).squeeze_dim(1))) // [N, F]
}

/// Computes features of all batches with `step` and concatenates them. `values` is the expected number of values.
///
/// On the host, each thread computes a batch of its own, because not all operations of a network use several threads.
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
    let _kept = qare_models::keep_weights();
    loop {
        let group: Vec<ViewBatch<B>> = batches.by_ref().take(rayon::current_num_threads()).collect();
        if group.is_empty() {
            return all;
        }
        let features: Vec<Vec<f32>> = group.into_par_iter().map(&step).collect();
        features.iter().for_each(|features| all.extend_from_slice(features));
    }
}

/// Computes the frozen features of a set of images.
///
/// # Errors
/// If the images cannot be loaded in batches.
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
        // The last batch has one image, and the number of batches is not a multiple of the number of threads.
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
