//! The loader: batches of views as a [`DataLoader`] of Burn.

use std::sync::Arc;

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::augment_on::AugmentOn;
use super::config::LoaderConfig;
use super::cursor::EpochCursor;
use super::epoch::{Epoch, PreparedBatch, PreparedViews};
use super::identity_batches::IdentityBatches;
use super::prefetch::Prefetch;
use super::shard::{Shard, Share};
use crate::error::DataError;
use crate::images::ImageSet;
use crate::transforms::on_device::{ContrastiveTable, contrastive_views};
use crate::transforms::{Augmentation, Normalization};

/// A batch: views of images, with labels.
#[derive(Clone, Debug)]
pub struct ViewBatch<B: Backend> {
    /// Normalised views, `[images, views, 3, height, width]`.
    pub images: Tensor<B, 5>,
    /// Labels, `[images]`.
    pub labels: Tensor<B, 1, Int>,
    /// The index of each image in its [`ImageSet`].
    pub indices: Vec<usize>,
    /// The epoch of the views.
    pub epoch: u64,
    /// The share of the whole batch: all of it, unless the loader has a [shard](ViewLoader::shard).
    pub share: Share,
}

/// Loads views of an [`ImageSet`] in batches.
///
/// Views with resized crops are made of the [sources](ImageSet::source) of the images, if the set has them.
///
/// Each iteration is one epoch and visits every image once, or, [by identity](Self::by_identity), as many as such batches have. Its batches are a function of the images, the configuration and the
/// epoch of the [`EpochCursor`] at the start of the iteration; the number of workers and earlier iterations have no influence.
///
/// [`slice`](DataLoader::slice) refers to the order of the epoch, after shuffling: the slices `0..n` and `n..num_items` together
/// give the images of the whole loader in the same order, and in the same batches if `n` is a multiple of the batch size.
#[derive(Clone, Debug)]
pub struct ViewLoader<B: Backend> {
    images: ImageSet,
    config: LoaderConfig,
    augment_on: AugmentOn,
    /// The batches, if they are of several images of each identity.
    identities: Option<Arc<IdentityBatches>>,
    epoch: EpochCursor,
    start: usize,
    end: usize,
    shard: Shard,
    device: B::Device,
}

impl<B: Backend> ViewLoader<B> {
    /// A loader of all images, with tensors on `device`.
    ///
    /// # Errors
    /// [`DataError::Setting`] if `images` is empty, `batch_size` or `views` is 0, or `drop_last` would drop the only batch.
    pub fn new(
        images: ImageSet,
        config: LoaderConfig,
        epoch: EpochCursor,
        device: &B::Device,
    ) -> Result<Self, DataError> {
        let setting =
            |name, value: usize, expected: String| Err(DataError::Setting { name, value: value.to_string(), expected });
        if images.is_empty() {
            return setting("images", 0, "at least one image".into());
        }
        if config.batch_size == 0 {
            return setting("batch_size", 0, "at least 1".into());
        }
        if config.views == 0 {
            return setting("views", 0, "at least 1".into());
        }
        if config.drop_last && config.batch_size > images.len() {
            let expected = format!(
                "at most the number of images, {}: incomplete batches are dropped, so none would be left",
                images.len()
            );
            return setting("batch_size", config.batch_size, expected);
        }
        let end = images.len();
        let (shard, augment_on, device) = (Shard::WHOLE, AugmentOn::default(), device.clone());
        Ok(Self { images, config, augment_on, identities: None, epoch, start: 0, end, shard, device }.without_rest())
    }

    /// A loader of batches with `images_per_identity` images of each identity, which is a class: for metric learning.
    ///
    /// - A batch has P = `batch_size` / M different identities, in random order, and M = `images_per_identity` images of each, one after
    ///   the other.
    /// - An epoch has an image once at most. Identities with fewer than M images are the exception: they are in the epoch once, with
    ///   each of their images, which repeat with other views until there are M.
    /// - In a set with [cameras](ImageSet::cameras), images of one camera are in as many different batches as possible: if there are
    ///   enough cameras, the images of an identity in a batch are of M different ones.
    /// - An epoch has as many batches as there can be, the same number in each. If no identity has much more images than the others, that
    ///   is about the number of images divided by the batch size. Where it has, its images wait for partners: each batch has P identities.
    /// - Images that remain, such as the last of five with M = 4, are others in each epoch.
    ///
    /// Order and images are drawn anew in each epoch, also without `shuffle`, and are a function of images, seed and epoch. Call it before
    /// [`shard`](Self::shard) and `slice`. `drop_last` has no effect, because all batches are complete.
    ///
    /// # Errors
    /// [`DataError::Setting`] if the images have no labels, M does not divide the batch size, or there are fewer identities than a batch has.
    pub fn by_identity(self, images_per_identity: usize) -> Result<Self, DataError> {
        let batches = IdentityBatches::new(&self.images, self.config.batch_size, images_per_identity)?;
        Ok(Self { start: 0, end: batches.len(), identities: Some(Arc::new(batches)), ..self })
    }

    /// A loader of one shard of each batch, for one of several devices. Order, batches and views are those of the loader without
    /// shards. Progress counts the images of whole batches.
    ///
    /// A last batch with fewer images than shards is dropped.
    ///
    /// # Errors
    /// [`DataError::Setting`] if the rank is not below the number of shards, or a batch or the set has fewer images than there are
    /// shards.
    pub fn shard(self, shard: Shard) -> Result<Self, DataError> {
        if shard.rank >= shard.count {
            let expected = format!("a rank below the number of shards, {}", shard.count);
            return Err(DataError::Setting { name: "shard", value: shard.rank.to_string(), expected });
        }
        for (name, images) in [("batch_size", self.config.batch_size), ("images", self.end - self.start)] {
            if images < shard.count {
                let expected = format!("at least one image for each of {} shards", shard.count);
                return Err(DataError::Setting { name, value: images.to_string(), expected });
            }
        }
        Ok(Self { shard, ..self }.without_rest())
    }

    /// A loader whose views are computed on the host, which is the default, or on the device. The batches are the same, up to the
    /// last bits of the normalised values.
    ///
    /// # Errors
    /// [`DataError::Setting`] if the device is to compute other than contrastive views, or the images are too large for that, with
    /// more than [`ContrastiveTable::MAX_PIXELS`] pixels.
    pub fn augment_on(self, augment_on: AugmentOn) -> Result<Self, DataError> {
        let refused =
            |expected| Err(DataError::Setting { name: "augment_on", value: augment_on.to_string(), expected });
        if augment_on == AugmentOn::Device {
            if self.config.augmentation != Augmentation::Contrastive {
                return refused("host, because a device computes contrastive views only".into());
            }
            let side = self.images.side();
            if side * side > ContrastiveTable::MAX_PIXELS {
                let most = ContrastiveTable::MAX_PIXELS;
                return refused(format!("host, because images of {side}×{side} have more than {most} pixels"));
            }
        }
        Ok(Self { augment_on, ..self })
    }

    /// Drops an incomplete last batch if `drop_last` is set or it has fewer images than there are shards.
    fn without_rest(mut self) -> Self {
        let rest = (self.end - self.start) % self.config.batch_size;
        if self.config.drop_last || rest < self.shard.count {
            self.end -= rest;
        }
        self
    }

    /// The set of all images, also in a slice.
    pub fn images(&self) -> &ImageSet {
        &self.images
    }

    /// The number of batches in an epoch.
    pub fn num_batches(&self) -> usize {
        (self.end - self.start).div_ceil(self.config.batch_size)
    }
}

impl<B: Backend> ViewLoader<B> {
    /// The batches of epoch `number`, regardless of the [`EpochCursor`].
    pub fn epoch<'a>(&'a self, number: u64) -> Box<dyn DataLoaderIterator<ViewBatch<B>> + 'a> {
        let (places, settings) = (self.start..self.end, (self.config, self.augment_on));
        let epoch =
            Arc::new(Epoch::new(self.images.clone(), settings, self.identities.as_deref(), number, places, self.shard));
        let prefetch = (self.config.workers > 0).then(|| {
            let epoch = epoch.clone();
            Prefetch::start(epoch.batches(), self.config.workers, move |batch, stop| epoch.prepare(batch, stop))
        });
        Box::new(ViewIterator::<B> {
            epoch,
            prefetch,
            side: self.images.side(),
            views: self.config.views,
            normalization: self.config.normalization,
            number,
            next_batch: 0,
            items_processed: 0,
            device: self.device.clone(),
        })
    }
}

impl<B: Backend> DataLoader<B, ViewBatch<B>> for ViewLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<ViewBatch<B>> + 'a> {
        self.epoch(self.epoch.get())
    }

    fn num_items(&self) -> usize {
        self.end - self.start
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, ViewBatch<B>>> {
        Arc::new(Self { device: device.clone(), ..self.clone() })
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<B, ViewBatch<B>>> {
        let end = self.end.min(self.start + end);
        let start = end.min(self.start + start);
        Arc::new(Self { start, end, ..self.clone() }.without_rest())
    }
}

struct ViewIterator<B: Backend> {
    epoch: Arc<Epoch>,
    prefetch: Option<Prefetch<PreparedBatch>>,
    side: usize,
    views: usize,
    normalization: Normalization,
    number: u64,
    next_batch: usize,
    items_processed: usize,
    device: B::Device,
}

impl<B: Backend> Iterator for ViewIterator<B> {
    type Item = ViewBatch<B>;

    fn next(&mut self) -> Option<ViewBatch<B>> {
        if self.next_batch == self.epoch.batches() {
            return None;
        }
        let PreparedBatch { views, labels, indices } = match &mut self.prefetch {
            Some(prefetch) => prefetch.next()?,
            None => self.epoch.prepare_in_parallel(self.next_batch),
        };
        let share = self.epoch.share(self.next_batch);
        self.next_batch += 1;
        self.items_processed += share.batch;
        let shape = [indices.len(), self.views, 3, self.side, self.side];
        let images = match views {
            PreparedViews::Values(values) => Tensor::from_data(TensorData::new(values, shape), &self.device),
            // Views of crops are images of their own in the table.
            PreparedViews::Table(table) => contrastive_views(table, &self.normalization, &self.device).reshape(shape),
        };
        let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
        Some(ViewBatch {
            images,
            labels: Tensor::from_data(TensorData::new(labels, [indices.len()]), &self.device),
            indices,
            epoch: self.number,
            share,
        })
    }
}

impl<B: Backend> DataLoaderIterator<ViewBatch<B>> for ViewIterator<B> {
    fn progress(&self) -> Progress {
        Progress::new(self.items_processed, self.epoch.items())
    }
}
