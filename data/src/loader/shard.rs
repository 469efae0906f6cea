//! Shards of batches, for several devices that share each batch.

use std::ops::Range;

/// One of `count` shards, each of which gets a share of every batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Index of the shard, from 0.
    pub rank: usize,
    /// Number of shards.
    pub count: usize,
}

impl Shard {
    /// The only shard: it gets whole batches.
    pub const WHOLE: Shard = Shard { rank: 0, count: 1 };

    /// The range of its images in a batch of `images` images. The ranges of all ranks are consecutive, and their lengths differ
    /// by at most one.
    pub fn range(self, images: usize) -> Range<usize> {
        self.rank * images / self.count..(self.rank + 1) * images / self.count
    }
}

/// The part of a whole batch that a delivered batch contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The shard that the images belong to.
    pub shard: Shard,
    /// Number of images of the whole batch before the first one.
    pub offset: usize,
    /// Number of images in the share.
    pub images: usize,
    /// Number of images in the whole batch.
    pub batch: usize,
}

impl Share {
    /// A whole batch of `images` images.
    pub fn whole(images: usize) -> Self {
        Self::of(Shard::WHOLE, images)
    }

    /// The share of a shard in a batch of `batch` images.
    pub fn of(shard: Shard, batch: usize) -> Self {
        let range = shard.range(batch);
        Self { shard, offset: range.start, images: range.len(), batch }
    }

    /// `images` / `batch`.
    pub fn fraction(self) -> f64 {
        self.images as f64 / self.batch as f64
    }
}
