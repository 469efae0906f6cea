//! One epoch: the order of its images, and its batches.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::config::LoaderConfig;
use super::shard::{Shard, Share};
use crate::draw::{Draw, Purpose};
use crate::images::ImageSet;
use crate::transforms::{Scratch, write_view};

/// One batch in host memory.
#[derive(Debug)]
pub(crate) struct PreparedBatch {
    /// Normalised values, `[images, views, 3, side, side]`.
    pub values: Vec<f32>,
    pub labels: Vec<u16>,
    pub indices: Vec<usize>,
}

/// The batches of one epoch. Each can be computed independently of the others.
#[derive(Debug)]
pub(crate) struct Epoch {
    images: ImageSet,
    config: LoaderConfig,
    number: u64,
    order: Vec<usize>,
    /// The shard whose images of each batch are prepared.
    shard: Shard,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Epoch {
    /// Epoch `number`, restricted to `places` of its order.
    pub fn new(images: ImageSet, config: LoaderConfig, number: u64, places: Range<usize>, shard: Shard) -> Self {
        let mut order: Vec<usize> = (0..images.len()).collect();
        if config.shuffle {
            Draw::new(config.seed, Purpose::Shuffle, number, 0, 0).shuffle(&mut order);
        }
        order.truncate(places.end);
        order.drain(..places.start.min(places.end));
        Self { images, config, number, order, shard }
    }

    /// The number of batches.
    pub fn batches(&self) -> usize {
        self.order.len().div_ceil(self.config.batch_size)
    }

    /// The number of images in all batches, including those of other shards.
    pub fn items(&self) -> usize {
        self.order.len()
    }

    /// The share of a batch that is prepared.
    pub fn share(&self, batch: usize) -> Share {
        Share::of(self.shard, self.config.batch_size.min(self.order.len() - batch * self.config.batch_size))
    }

    fn indices(&self, batch: usize) -> &[usize] {
        let Share { offset, images, .. } = self.share(batch);
        &self.order[batch * self.config.batch_size + offset..][..images]
    }

    /// Computes a batch on the calling thread. Returns `None` once `stop` returns true.
    pub fn prepare(&self, batch: usize, stop: impl Fn() -> bool) -> Option<PreparedBatch> {
        let mut prepared = self.empty(batch);
        for (&index, values) in prepared.indices.iter().zip(prepared.values.chunks_exact_mut(self.views_size())) {
            if stop() {
                return None;
            }
            self.write_views(index, values);
        }
        Some(prepared)
    }

    /// Computes the same batch on rayon's threads.
    pub fn prepare_in_parallel(&self, batch: usize) -> PreparedBatch {
        let mut prepared = self.empty(batch);
        prepared
            .values
            .par_chunks_exact_mut(self.views_size())
            .zip(&prepared.indices)
            .for_each(|(values, &index)| self.write_views(index, values));
        prepared
    }

    fn empty(&self, batch: usize) -> PreparedBatch {
        let indices = self.indices(batch).to_vec();
        PreparedBatch {
            values: vec![0.0; indices.len() * self.views_size()],
            labels: indices.iter().map(|&index| self.images.label(index)).collect(),
            indices,
        }
    }

    fn views_size(&self) -> usize {
        self.config.views * 3 * self.images.side() * self.images.side()
    }

    fn write_views(&self, index: usize, values: &mut [f32]) {
        let side = self.images.side();
        let image = self.images.pixels(index);
        SCRATCH.with_borrow_mut(|scratch| {
            for (view, out) in values.chunks_exact_mut(3 * side * side).enumerate() {
                let mut draw = Draw::new(self.config.seed, Purpose::View, self.number, index as u64, view as u64);
                write_view(self.config.augmentation, &image, side, &mut draw, &self.config.normalization, scratch, out);
            }
        });
    }
}
