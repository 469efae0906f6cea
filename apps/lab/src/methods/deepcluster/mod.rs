//! `deepcluster`: clusters the features before each epoch, and uses the clusters as labels of the epoch.
//!
//! Source: Caron et al., "Deep Clustering for Unsupervised Learning of Visual Features" (2018).

mod whitening;

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Device, Int, Tensor, TensorData};
use qare_data::{Augmentation, ViewBatch};
use qare_models::replicas::Replica;
use qare_models::{
    Backbone, InitialWeights, NamedTensor, ProjectionHead, ProjectionHeadConfig, StateDict, WeightStream, WeightsError,
    named_tensors,
};

use super::pretext::accuracy;
use super::{Embeddings, EpochStart, Facts, Figure, Plan, Pretext, Scope, StepLoss};
use crate::error::{LabError, Result};
use crate::evaluation::kmeans;
use crate::precision::single;
use crate::recipe::Recipe;

/// Standard deviation of the reinitialised weights of the last layer at the start of an epoch.
const NEW_OUTPUT_STD: f64 = 0.01;

/// The head that predicts clusters, and the clusters of the epoch.
#[derive(Module, Debug)]
pub struct DeepCluster<B: Backend> {
    head: ProjectionHead<B>,
    #[module(skip)]
    count: usize,
    #[module(skip)]
    clusters: Arc<Clusters>,
}

/// The cluster of each image, and the weight of each cluster in the loss.
#[derive(Debug, Default)]
struct Clusters {
    /// The cluster of each image.
    assigned: Vec<u32>,
    /// 1 − the fraction of the images in the cluster, for each cluster.
    weights: Vec<f32>,
}

impl Clusters {
    fn new(assigned: Vec<u32>, count: usize) -> Self {
        let mut sizes = vec![0usize; count];
        for cluster in &assigned {
            sizes[*cluster as usize] += 1;
        }
        let weights = sizes.iter().map(|size| 1.0 - *size as f32 / assigned.len() as f32).collect();
        Self { assigned, weights }
    }

    /// Returns the weight of an image.
    fn weight(&self, image: usize) -> f32 {
        self.weights[self.assigned[image] as usize]
    }
}

/// Weighted mean cross entropy of logits `[N, clusters]`: Σ w_y·(−log softmax(logits)_y) / Σ w_y.
fn weighted_cross_entropy<B: Backend>(
    logits: Tensor<B, 2>,
    targets: Tensor<B, 1, Int>,
    weights: Tensor<B, 1>,
) -> Tensor<B, 1> {
    let weights = weights.select(0, targets.clone()); // [N]
    let log_likelihood: Tensor<B, 1> = log_softmax(logits, 1).gather(1, targets.unsqueeze_dim(1)).squeeze_dim(1);
    // If all images are in one cluster, all weights are 0, and the bound avoids a division by zero.
    -(log_likelihood * weights.clone()).sum() / weights.sum().clamp_min(1e-12)
}

/// Does nothing: the method follows the common protocol.
pub(super) fn set_defaults(_recipe: &mut Recipe) {}

/// Returns the training plan of the method.
pub(super) fn plan(_recipe: &Recipe) -> Plan {
    Plan::new(Augmentation::Crop, 1).with_figures([Figure::accuracy("Accuracy")])
}

impl<B: Backend> Pretext<B> for DeepCluster<B> {
    fn set_defaults(recipe: &mut Recipe) {
        set_defaults(recipe);
    }

    fn plan(recipe: &Recipe) -> Plan {
        plan(recipe)
    }

    fn new(recipe: &Recipe, facts: &Facts, device: &Device<B>) -> Result<Self> {
        let count = recipe.clusters.unwrap_or(10 * facts.classes);
        if count > facts.images {
            return Err(LabError::Usage(format!(
                "deepcluster cannot make {count} clusters of {} images: choose fewer clusters (--clusters) or use more images",
                facts.images
            )));
        }
        let head = ProjectionHeadConfig::new(recipe.backbone.feature_dim()).with_output(count);
        Ok(Self { head: head.init(recipe.seed, device), count, clusters: Arc::default() })
    }

    /// Clusters whitened features. The clusters of two epochs are unrelated, so the last layer of the head is reinitialised.
    fn begin_epoch(self, start: &mut EpochStart<'_, B>) -> Result<Self> {
        let features = (start.features)()?;
        let device = start.device.clone();
        let points = whitening::whitened::<B>(&features, &device)?;
        let settings = kmeans::Settings { clusters: self.count, ..kmeans::Settings::of(start.seed, start.epoch) };
        let assigned = kmeans::kmeans::<B>(&points, &settings, &device);
        let clusters = Arc::new(Clusters::new(assigned, self.count));
        let mut weights = InitialWeights::numbered(start.seed, WeightStream::Clusters, start.epoch as u32);
        let head = self.head.with_new_output(NEW_OUTPUT_STD, &mut weights);
        Ok(Self { head, clusters, ..self })
    }

    fn forward(&self, backbone: &Backbone<B>, batch: ViewBatch<B>) -> Result<StepLoss<B>> {
        let clusters = &self.clusters;
        let features = backbone.forward(batch.images.squeeze_dim(1)); // [B, F]
        let embeddings = Embeddings::of(&features, 1);
        let logits = single(self.head.forward(features)); // [B, clusters]
        let device = logits.device();
        let targets: Vec<i64> = batch.indices.iter().map(|index| i64::from(clusters.assigned[*index])).collect();
        let targets = Tensor::<B, 1, Int>::from_data(TensorData::new(targets, [batch.indices.len()]), &device);
        let weights = TensorData::new(clusters.weights.clone(), [self.count]);
        let accuracy = accuracy(logits.clone(), targets.clone());
        let mut loss = weighted_cross_entropy(logits, targets, Tensor::from_data(weights, &device));
        let share = batch.share.fraction();
        if let Some(replica) = Replica::current() {
            // The loss is a weighted mean, so a share counts by the weights of its images instead of their number.
            let weight: f64 = batch.indices.iter().map(|index| f64::from(clusters.weight(*index))).sum();
            let weights = replica.all_gather(vec![weight]).map_err(LabError::failed)?;
            let total: f64 = weights.iter().flatten().sum();
            loss = loss * (weight / total.max(1e-12) / share);
        }
        Ok(StepLoss { loss, figures: vec![accuracy], scope: Scope::Share(share), embeddings })
    }

    fn weights(&self) -> Vec<NamedTensor> {
        named_tensors(&self.head, "head")
    }

    fn load(self, weights: &StateDict) -> std::result::Result<Self, WeightsError> {
        Ok(Self { head: weights.load_into(self.head, "head")?, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_backend::{Plain, any_device};

    #[test]
    fn the_weighted_cross_entropy_equals_its_definition() {
        let logits = [[1.0f64, -2.0, 0.5], [0.0, 0.0, 3.0], [-1.0, 4.0, 2.0], [0.3, 0.2, 0.1]];
        let targets = [0usize, 2, 2, 1];
        let clusters = Clusters::new(targets.iter().map(|target| *target as u32).collect(), 3);
        assert_eq!(clusters.weights, [0.75, 0.75, 0.5]);
        let (mut sum, mut weight) = (0.0, 0.0);
        for (row, target) in logits.iter().zip(targets) {
            let w = f64::from(clusters.weights[target]);
            sum += w * (row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[target]);
            weight += w;
        }
        let rows: Vec<f32> = logits.iter().flatten().map(|value| *value as f32).collect();
        let logits = Tensor::<Plain, 2>::from_data(TensorData::new(rows, [4, 3]), &any_device());
        let targets = Tensor::from_data(TensorData::new(targets.map(|t| t as i64).to_vec(), [4]), &any_device());
        let weights = Tensor::from_data(TensorData::new(clusters.weights, [3]), &any_device());
        let found = f64::from(weighted_cross_entropy(logits, targets, weights).into_scalar());
        assert!((found - sum / weight).abs() < 1e-3, "{found}");
    }
}
