//! The data loaders of training.

use burn::tensor::backend::Backend;
use qare_data::{EpochCursor, ImageSet, LoaderConfig, Shard, ViewLoader};

use crate::error::{LabError, Result};
use crate::methods::{LastBatch, Plan};
use crate::recipe::Recipe;

/// Returns one loader for each device. It loads the device's share of each batch.
///
/// # Errors
/// If the images cannot be loaded in batches of this size.
pub fn training_loaders<B: Backend>(
    recipe: &Recipe,
    plan: &Plan,
    images: &ImageSet,
    devices: &[B::Device],
) -> Result<Vec<ViewLoader<B>>> {
    let config = LoaderConfig {
        batch_size: recipe.batch_size,
        views: plan.views,
        seed: recipe.seed,
        workers: recipe.num_workers.div_ceil(devices.len()),
        shuffle: true,
        drop_last: match plan.last_batch {
            // All batches by identity are complete, and images repeat where there are fewer than in a batch.
            _ if plan.images_per_identity.is_some() => false,
            LastBatch::IfEnough => (1..recipe.least_batch()).contains(&(images.len() % recipe.batch_size)),
            LastBatch::Dropped => true,
        },
        augmentation: plan.augmentation,
        normalization: recipe.dataset.normalization(),
    };
    let loader = |(rank, device)| {
        let loader = ViewLoader::new(images.clone(), config, EpochCursor::default(), device)?;
        let loader = match plan.images_per_identity {
            Some(images) => loader.by_identity(images).map_err(|error| LabError::Usage(error.to_string()))?,
            None => loader,
        };
        let loader = loader.augment_on(recipe.augment_on)?;
        Ok(loader.shard(Shard { rank, count: devices.len() })?)
    };
    devices.iter().enumerate().map(loader).collect()
}
