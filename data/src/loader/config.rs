//! The settings of a loader.

use crate::transforms::{Augmentation, Normalization};

/// Settings of a [`ViewLoader`](super::ViewLoader).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Number of images in a batch.
    pub batch_size: usize,
    /// Number of views of each image.
    pub views: usize,
    /// Seed of the order and the views.
    pub seed: u64,
    /// Number of threads that prepare batches ahead of time. With 0, the iterating thread prepares each batch on demand, on
    /// rayon's threads. The batches are the same for every number.
    pub workers: usize,
    /// Whether each epoch has its own random order. Otherwise images come in the order of the set.
    pub shuffle: bool,
    /// Whether an incomplete last batch is dropped.
    pub drop_last: bool,
    /// The kind of views.
    pub augmentation: Augmentation,
    /// Channel statistics for normalisation.
    pub normalization: Normalization,
}
