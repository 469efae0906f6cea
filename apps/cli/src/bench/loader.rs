//! The loader alone: batches of contrastive views of CIFAR-sized images.

use burn::data::dataloader::DataLoader;
use qare_data::{Augmentation, DatasetName, EpochCursor, ImageSet, LoaderConfig, ViewLoader};

use super::Bench;
use super::clock::Clock;
use super::views::random_pixels;
use crate::backend::Training;
use qare_lab::Result;

/// Views of an image.
pub const VIEWS: usize = 2;
const SIDE: usize = 32;
const CLASSES: usize = 10;

pub fn measure(bench: &mut Bench) -> Result<()> {
    // Nothing else runs, so every thread may prepare batches.
    let workers = bench.options.num_workers.unwrap_or_else(rayon::current_num_threads);
    for batch_size in bench.options.batches.clone() {
        let batches = if bench.options.quick { 8 } else { 40 };
        let images = random_images(batches * batch_size)?;
        let loader = contrastive(images, batch_size, workers, DatasetName::Cifar10, &bench.clock)?;
        // A run includes the start of the workers, as an epoch does.
        let runs = bench.clock.measure(|| {
            loader.iter().for_each(drop);
            Ok(())
        })?;
        let label = format!("loader, batch of {batch_size} × {VIEWS} views, {workers} workers");
        bench.figures.seconds(format!("loader.B{batch_size}.K{VIEWS}"), label, &runs, batches, Some("batches"));
    }
    Ok(())
}

/// A loader of whole batches of contrastive views, normalised as those of a dataset.
pub fn contrastive(
    images: ImageSet,
    batch_size: usize,
    workers: usize,
    dataset: DatasetName,
    clock: &Clock,
) -> Result<ViewLoader<Training>> {
    let config = LoaderConfig {
        batch_size,
        views: VIEWS,
        seed: 1,
        workers,
        shuffle: true,
        drop_last: true,
        augmentation: Augmentation::Contrastive,
        normalization: dataset.normalization(),
    };
    Ok(ViewLoader::new(images, config, EpochCursor::default(), &clock.device)?)
}

/// Images of 32×32 random pixels in ten classes.
pub fn random_images(count: usize) -> Result<ImageSet> {
    let labels = (0..count).map(|index| (index % CLASSES) as u16).collect();
    let names = (0..CLASSES).map(|class| format!("class {class}")).collect();
    Ok(ImageSet::new(random_pixels(count, SIDE), labels, SIDE, names)?)
}
