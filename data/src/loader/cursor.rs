//! The current epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of the current epoch, shared by its clones: the training loop sets it, a loader reads it once whenever an
/// iteration starts.
#[derive(Clone, Debug, Default)]
pub struct EpochCursor(Arc<AtomicU64>);

impl EpochCursor {
    /// Sets the epoch that iterations started from now on belong to.
    pub fn set(&self, epoch: u64) {
        self.0.store(epoch, Ordering::SeqCst);
    }

    /// The current epoch; 0 at first.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
