//! Batches of views, prepared ahead of time on worker threads. Their content is a function of the images, the seed and the epoch.

mod augment_on;
mod config;
mod cursor;
mod epoch;
mod identity_batches;
mod prefetch;
mod shard;
mod view_loader;

pub use augment_on::AugmentOn;
pub use config::LoaderConfig;
pub use cursor::EpochCursor;
pub use shard::{Shard, Share};
pub use view_loader::{ViewBatch, ViewLoader};
