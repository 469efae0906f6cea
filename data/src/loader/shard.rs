//! Several devices, one batch: who gets which of its images.

use std::ops::Range;

/// One of several takers of the same batches, each of whom gets a share of every batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one it is, from 0 on.
    pub rank: usize,
    /// How many there are.
    pub count: usize,
}

impl Shard {
    /// The only one.
    pub const WHOLE: Shard = Shard { rank: 0, count: 1 };

    /// Its images of a batch of so many: ranks follow each other without a gap, and their shares differ by one image at most.
    pub fn range(self, images: usize) -> Range<usize> {
        self.rank * images / self.count..(self.rank + 1) * images / self.count
    }
}

/// What the images of a delivered batch are of the whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Whose images they are.
    pub shard: Shard,
    /// Images of the whole batch that are before them.
    pub offset: usize,
    /// How many they are.
    pub images: usize,
    /// Images of the whole batch.
    pub batch: usize,
}

impl Share {
    /// All images of a batch.
    pub fn whole(images: usize) -> Self {
        Self::of(Shard::WHOLE, images)
    }

    /// A shard's images of a batch of so many.
    pub fn of(shard: Shard, batch: usize) -> Self {
        let range = shard.range(batch);
        Self { shard, offset: range.start, images: range.len(), batch }
    }

    /// Images per image of the whole batch.
    pub fn fraction(self) -> f64 {
        self.images as f64 / self.batch as f64
    }
}
