//! One epoch: the order of its images, and its batches.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::augment_on::AugmentOn;
use super::config::LoaderConfig;
use super::identity_batches::IdentityBatches;
use super::shard::{Shard, Share};
use crate::draw::{Draw, Purpose};
use crate::images::{ImageSet, SourceImage};
use crate::transforms::crop::CropBox;
use crate::transforms::on_device::ContrastiveTable;
use crate::transforms::views::ContrastiveView;
use crate::transforms::{Scratch, write_view, write_view_of};

/// One batch in host memory.
#[derive(Debug)]
pub(crate) struct PreparedBatch {
    pub views: PreparedViews,
    pub labels: Vec<u16>,
    pub indices: Vec<usize>,
}

/// The views of a batch.
#[derive(Debug)]
pub(crate) enum PreparedViews {
    /// Normalised values, `[images, views, 3, side, side]`.
    Values(Vec<f32>),
    /// What a device computes them from.
    Table(ContrastiveTable),
}

/// An image in the order of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The index of the image in its set.
    pub image: usize,
    /// How many times the image is in the same batch before, if a batch repeats images. Each time has other views.
    pub repeat: usize,
}

/// The batches of one epoch. Each can be computed independently of the others.
#[derive(Debug)]
pub(crate) struct Epoch {
    images: ImageSet,
    config: LoaderConfig,
    augment_on: AugmentOn,
    number: u64,
    order: Vec<Place>,
    /// The shard whose images of each batch are prepared.
    shard: Shard,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Epoch {
    /// Epoch `number`, restricted to `places` of its order, which is that of `identities` if there are any.
    pub fn new(
        images: ImageSet,
        (config, augment_on): (LoaderConfig, AugmentOn),
        identities: Option<&IdentityBatches>,
        number: u64,
        places: Range<usize>,
        shard: Shard,
    ) -> Self {
        let mut order = match identities {
            Some(identities) => identities.order(&images, config.seed, number),
            None => {
                let mut order: Vec<Place> = (0..images.len()).map(|image| Place { image, repeat: 0 }).collect();
                if config.shuffle {
                    Draw::new(config.seed, Purpose::Shuffle, number, 0, 0).shuffle(&mut order);
                }
                order
            }
        };
        order.truncate(places.end);
        order.drain(..places.start.min(places.end));
        Self { images, config, augment_on, number, order, shard }
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

    fn places(&self, batch: usize) -> &[Place] {
        let Share { offset, images, .. } = self.share(batch);
        &self.order[batch * self.config.batch_size + offset..][..images]
    }

    /// Computes a batch on the calling thread. Returns `None` once `stop` returns true.
    pub fn prepare(&self, batch: usize, stop: impl Fn() -> bool) -> Option<PreparedBatch> {
        let places = self.places(batch);
        let views = match self.augment_on {
            AugmentOn::Host => {
                let mut values = vec![0.0; places.len() * self.views_size()];
                for (&place, values) in places.iter().zip(values.chunks_exact_mut(self.views_size())) {
                    if stop() {
                        return None;
                    }
                    self.write_views(place, values);
                }
                PreparedViews::Values(values)
            }
            AugmentOn::Device => PreparedViews::Table(self.table(places, stop)?),
        };
        Some(self.prepared(batch, views))
    }

    /// Computes the same batch on rayon's threads.
    pub fn prepare_in_parallel(&self, batch: usize) -> PreparedBatch {
        let places = self.places(batch);
        let views = match self.augment_on {
            AugmentOn::Host => {
                let mut values = vec![0.0; places.len() * self.views_size()];
                values
                    .par_chunks_exact_mut(self.views_size())
                    .zip(places)
                    .for_each(|(values, &place)| self.write_views(place, values));
                PreparedViews::Values(values)
            }
            // Threads would take longer to wake up than the table takes to fill.
            AugmentOn::Device => PreparedViews::Table(self.table(places, || false).expect("it does not stop")),
        };
        self.prepared(batch, views)
    }

    fn prepared(&self, batch: usize, views: PreparedViews) -> PreparedBatch {
        let indices: Vec<usize> = self.places(batch).iter().map(|place| place.image).collect();
        PreparedBatch { views, labels: indices.iter().map(|&index| self.images.label(index)).collect(), indices }
    }

    fn views_size(&self) -> usize {
        self.config.views * 3 * self.images.side() * self.images.side()
    }

    /// The source of an image, if views are crops of it.
    fn source(&self, image: usize) -> Option<SourceImage<'_>> {
        self.config.augmentation.draws_crops().then(|| self.images.source(image)).flatten()
    }

    fn write_views(&self, place: Place, values: &mut [f32]) {
        let (side, LoaderConfig { augmentation, normalization, .. }) = (self.images.side(), &self.config);
        let views = values.chunks_exact_mut(3 * side * side).enumerate();
        SCRATCH.with_borrow_mut(|scratch| {
            if let Some(source) = self.source(place.image) {
                for (view, out) in views {
                    write_view_of(
                        *augmentation,
                        source,
                        side,
                        &mut self.draw(place, view),
                        normalization,
                        scratch,
                        out,
                    );
                }
                return;
            }
            let image = self.images.pixels(place.image);
            for (view, out) in views {
                write_view(*augmentation, &image, side, &mut self.draw(place, view), normalization, scratch, out);
            }
        });
    }

    /// The images and the choices of their views. Returns `None` once `stop` returns true.
    fn table(&self, places: &[Place], stop: impl Fn() -> bool) -> Option<ContrastiveTable> {
        if self.images.has_sources() {
            return self.table_of_crops(places, stop);
        }
        let side = self.images.side();
        let mut table = ContrastiveTable::new(places.len(), self.config.views, (side, side));
        SCRATCH.with_borrow_mut(|scratch| {
            for (row, &place) in places.iter().enumerate() {
                if stop() {
                    return None;
                }
                let views = 0..self.config.views;
                let choices: Vec<_> =
                    views.map(|view| ContrastiveView::draw(side, &mut self.draw(place, view))).collect();
                table.set_image(row, &self.images.pixels(place.image), &choices, &mut scratch.resizer);
            }
            Some(table)
        })
    }

    /// The same for images with sources, which differ in size: each view is an image of its own, whose crop the host has resized. Returns
    /// `None` once `stop` returns true.
    fn table_of_crops(&self, places: &[Place], stop: impl Fn() -> bool) -> Option<ContrastiveTable> {
        let (side, views) = (self.images.side(), self.config.views);
        let whole = CropBox { top: 0, left: 0, height: side, width: side };
        let mut table = ContrastiveTable::new(places.len() * views, 1, (side, side));
        SCRATCH.with_borrow_mut(|scratch| {
            for (row, &place) in places.iter().enumerate() {
                if stop() {
                    return None;
                }
                let source = self.images.source(place.image).expect("the set has sources");
                for view in 0..views {
                    let drawn = ContrastiveView::draw_of(source.size(), &mut self.draw(place, view));
                    scratch.resized_crop(source, side, &drawn.crop);
                    let Scratch { pixels, resizer, .. } = scratch;
                    let colors_and_flip = ContrastiveView { crop: whole, ..drawn };
                    table.set_image(row * views + view, pixels, &[colors_and_flip], resizer);
                }
            }
            Some(table)
        })
    }

    /// The random numbers of a view.
    fn draw(&self, place: Place, view: usize) -> Draw {
        let view = place.repeat * self.config.views + view;
        Draw::new(self.config.seed, Purpose::View, self.number, place.image as u64, view as u64)
    }
}
