//! The current epoch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of the current epoch, shared by all clones. The training loop sets it, and a loader reads it when an iteration
/// starts.
#[derive(Clone, Debug, Default)]
pub struct EpochCursor(Arc<AtomicU64>);

impl EpochCursor {
    /// Sets the epoch of all iterations that start from now on.
    pub fn set(&self, epoch: u64) {
        self.0.store(epoch, Ordering::SeqCst);
    }

    /// The current epoch, initially 0.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
