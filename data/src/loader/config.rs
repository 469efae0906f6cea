//! The settings of a loader.

use crate::transforms::{Augmentation, Normalization};

/// Settings of a [`ViewLoader`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoaderConfig {
    /// Images in a batch.
    pub batch_size: usize,
    /// Views of each image.
    pub views: usize,
    /// Where all randomness starts from.
    pub seed: u64,
    /// Threads that prepare batches ahead of time. With 0 the iterating thread prepares each batch when it is asked for, with
    /// the help of rayon's threads. The batches are the same for every number.
    pub workers: usize,
    /// Whether each epoch has a random order of its own; otherwise images come in the order of their set.
    pub shuffle: bool,
    /// Whether a last batch of fewer images is left out.
    pub drop_last: bool,
    /// How views are made.
    pub augmentation: Augmentation,
    /// What pixel values are normalised with.
    pub normalization: Normalization,
}
